//! Asking a language model for proposals: what all vendors have in common.
//!
//! A vendor says how a conversation is written as a request and how its events are put together into a reply;
//! sending, retries, budgets, tools and repairs are the same for all.

pub mod answer;
pub mod budget;
mod call;
pub mod check;
mod dry_run;
pub mod options;
pub mod prices;
mod proposer;
pub(crate) mod reading;
mod wave;
mod workbench;

use autoresearch_core::{Cost, ProposerError};
use serde_json::Value;

pub use budget::Caps;
pub use check::{Check, CommandCheck};
pub use dry_run::DryRun;
pub use options::{Mode, Options, Surroundings};
pub use prices::{Price, Prices, Usage};
pub use proposer::ModelProposer;

use crate::http::sse::Event;
use crate::http::{Headers, Request};

/// One vendor's interface.
pub(crate) trait Vendor: Send + Sync {
    /// The model's name.
    fn model(&self) -> &str;

    /// The next request of a conversation.
    fn request(&self, conversation: &Conversation) -> Request;

    /// Puts the events of one response together. `input` estimates the request's tokens, for servers that do not tell.
    fn fold(&self, input: u64) -> Box<dyn Fold>;
}

/// Puts the events of one response together.
pub(crate) trait Fold: Send {
    /// Takes the next event.
    fn event(&mut self, event: &Event) -> Result<(), Trouble>;

    /// Takes the whole reply as one document: some servers do not stream, whatever they are asked for.
    fn whole(&mut self, reply: Value) -> Result<(), Trouble>;

    /// Whether nothing more is to come.
    fn done(&self) -> bool;

    /// Whether the reply may end here: some servers end the response without a last word.
    fn may_end(&self) -> bool {
        self.done()
    }

    /// What is used so far, as far as the server said; `None` if it began no answer.
    fn usage(&self) -> Option<Usage>;

    /// The whole reply.
    fn finish(self: Box<Self>) -> Result<Reply, Trouble>;
}

/// Why a response is no reply.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Worth another attempt.
    Again(String),
    /// Not worth one.
    Final(ProposerError),
}

/// What was said so far, and what may be answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Conversation {
    /// The rules and the programme: the same for a whole night.
    pub rules: String,
    /// The files: the same while the incumbent stands.
    pub files: String,
    /// What happened so far, and then turn by turn.
    pub turns: Vec<Turn>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// The form of the answer, if it has one.
    pub schema: Option<Value>,
    /// The longest reply, in tokens.
    pub max_tokens: u64,
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Turn {
    /// Ours, in words.
    User(String),
    /// The model's, in the vendor's own form: it is sent back as it came.
    Model(Vec<Value>),
    /// Ours: what its calls gave.
    Results(Vec<CallResult>),
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallResult {
    pub id: String,
    pub text: String,
    pub failed: bool,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub name: &'static str,
    pub description: &'static str,
    pub parameters: Value,
}

/// What the model answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// In the vendor's own form.
    pub content: Vec<Value>,
    /// Its words.
    pub text: String,
    /// What it calls.
    pub calls: Vec<Call>,
    /// Why it ended.
    pub stop: Stop,
    /// What it used.
    pub usage: Usage,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub id: String,
    pub name: String,
    /// The arguments, or what stood in their place.
    pub arguments: Result<Value, String>,
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is complete.
    End,
    /// It waits for what its calls give.
    Calls,
    /// It reached its limit.
    MaxTokens,
    /// It paused, and goes on when it is sent back.
    Pause,
    /// The model declined; this is why.
    Refusal(String),
    /// The conversation no longer fits into the model's window.
    WindowExceeded,
}

impl Conversation {
    /// Adds words of ours.
    pub fn say(&mut self, text: impl Into<String>) {
        self.turns.push(Turn::User(text.into()));
    }

    /// Sends a reply back as it came.
    pub fn echo(&mut self, reply: &Reply) {
        if !reply.content.is_empty() {
            self.turns.push(Turn::Model(reply.content.clone()));
        }
    }

    /// An upper estimate of the tokens that sending it takes: code has some four bytes a token.
    pub fn tokens(request: &Request) -> u64 {
        (request.body.to_string().len() as u64).div_ceil(3)
    }
}

/// The error of a vendor's JSON, in a response's body or in an event: `{"error": {"type", "code", "message"}}`.
pub(crate) fn trouble(error: &Value, status: Option<u16>, headers: &Headers) -> Trouble {
    let error = if error["error"].is_object() { &error["error"] } else { error };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let codes = [word(&error["details"]["error_code"]), word(&error["code"]), word(&error["type"])];
    let is = |names: &[&str]| codes.iter().any(|code| names.contains(&code.as_str()));
    let message = error["message"].as_str().unwrap_or("no message");
    let kind = codes.iter().rev().find(|code| !code.is_empty()).map_or("error", String::as_str);
    let text = match status {
        Some(status) => format!("the server answered {status} ({kind}): {}", shorten(message)),
        None => format!("the server broke off ({kind}): {}", shorten(message)),
    };
    if is(&["enforced_spend_limit_reached", "insufficient_quota"]) {
        return Trouble::Final(ProposerError::Exhausted(format!("{text}; the account's own limit is reached")));
    }
    let again = match status {
        Some(status) => crate::http::retry::worthwhile(status, headers),
        None => !is(&[
            "invalid_request_error",
            "authentication_error",
            "permission_error",
            "not_found_error",
            "request_too_large",
            "invalid_api_key",
            "model_not_found",
            "invalid_prompt",
        ]),
    };
    if again {
        return Trouble::Again(text);
    }
    if is(&["context_length_exceeded"]) || message.contains("prompt is too long") {
        let reason = format!("the conversation no longer fits into the model's window: {}", shorten(message));
        return Trouble::Final(ProposerError::Rejected {
            description: "no proposal".into(),
            reason,
            cost: Cost::default(),
        });
    }
    // A server that is overloaded and does not want this request again may take the next proposal's.
    if status.is_some_and(|status| matches!(status, 408 | 409 | 429) || status >= 500) {
        return Trouble::Final(ProposerError::Transient(text));
    }
    let advice = match status {
        Some(401 | 403) => "; is the key right, and allowed to use this model?",
        Some(404) => "; are the model and the base URL right?",
        Some(300..=399) => "; the base URL points somewhere else",
        _ => "",
    };
    Trouble::Final(ProposerError::Fatal(format!("{text}{advice}")))
}

/// The beginning of a text of somebody else's, in one line.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
