//! A conversation with a model, in no vendor's own form.

use serde_json::Value;

use super::prices::Usage;
use crate::http::Request;

/// The turns so far, and the form that the next answer may take.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Conversation {
    /// Rules and programme, the same for a whole run.
    pub rules: String,
    /// Editable files, the same while the incumbent stands.
    pub files: String,
    /// History and question, then turn by turn.
    pub turns: Vec<Turn>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// JSON schema of the answer, if the server enforces one.
    pub schema: Option<Value>,
    /// Longest reply in tokens.
    pub max_tokens: u64,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Turn {
    /// Words of ours.
    User(String),
    /// The model's reply in the vendor's own form, sent back as it came.
    Model(Vec<Value>),
    /// Results of the model's calls.
    Results(Vec<CallResult>),
}

/// Result of one call.
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

/// One reply of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// Blocks of the reply in the vendor's own form.
    pub content: Vec<Value>,
    /// All text of the reply.
    pub text: String,
    /// Calls of tools, in their order.
    pub calls: Vec<Call>,
    /// Reason why the reply ended.
    pub stop: Stop,
    /// Tokens used.
    pub usage: Usage,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub id: String,
    pub name: String,
    /// Arguments, or the text that is no JSON in their place.
    pub arguments: Result<Value, String>,
}

/// Reason why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The reply is complete.
    End,
    /// The model waits for the results of its calls.
    Calls,
    /// The reply reached `max_tokens`.
    MaxTokens,
    /// The model paused and continues when its reply is sent back.
    Pause,
    /// The model declined, for this reason.
    Refusal(String),
    /// The conversation no longer fits into the model's window.
    WindowExceeded,
}

impl Conversation {
    /// Adds words of ours.
    pub fn say(&mut self, text: impl Into<String>) {
        self.turns.push(Turn::User(text.into()));
    }

    /// Adds a reply as it came.
    pub fn echo(&mut self, reply: &Reply) {
        if !reply.content.is_empty() {
            self.turns.push(Turn::Model(reply.content.clone()));
        }
    }

    /// Returns true before the model has answered.
    pub fn is_new(&self) -> bool {
        self.turns.len() == 1
    }

    /// Estimates the tokens of a request from above: code has some four bytes a token.
    pub fn estimate_tokens(request: &Request) -> u64 {
        (request.body.to_string().len() as u64).div_ceil(3)
    }
}
