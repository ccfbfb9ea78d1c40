//! Errors that a server answers with, and their consequence for the call, the proposal and the run.

use autoresearch_core::{Cost, ProposerError, RejectedDraft};
use serde_json::Value;

use crate::http::Headers;
use crate::http::retry::is_worth_retrying;
use crate::text::shorten;

/// Reason why a response is no reply.
#[derive(Debug)]
pub(crate) enum ReplyError {
    /// Sending the request again may help.
    Retry(String),
    /// Sending the same request again cannot help.
    Final(ProposerError),
}

/// Limits of an account: no later call will succeed either.
const ACCOUNT_LIMITS: [&str; 2] = ["enforced_spend_limit_reached", "insufficient_quota"];
/// Errors that a person must mend.
const SET_UP: [&str; 5] =
    ["authentication_error", "permission_error", "not_found_error", "invalid_api_key", "model_not_found"];
/// Errors that the conversation itself caused.
const CONVERSATION: [&str; 6] = [
    "invalid_request_error",
    "request_too_large",
    "invalid_prompt",
    "context_length_exceeded",
    "exceed_context_size_error",
    "content_filter",
];
/// Words by which servers say that a conversation is too long.
const TOO_LONG: [&str; 6] = [
    "prompt is too long",
    "context length",
    "context size",
    "context window",
    "exceed_context_size",
    "exceeds the maximum number of tokens",
];

/// Reads an error in a vendor's JSON, `{"error": {"type", "code", "message"}}`, from a body or an event. Without a status it
/// came in the middle of a stream.
///
/// A wrong key or model ends the run. Any other 4xx was caused by this one conversation, such as a full context window or a
/// content filter, and rejects one proposal.
pub(crate) fn read_server_error(error: &Value, status: Option<u16>, headers: &Headers) -> ReplyError {
    // Some servers put their error into a list of one.
    let error = error.get(0).unwrap_or(error);
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
    if is(&ACCOUNT_LIMITS) {
        return ReplyError::Final(ProposerError::Exhausted(format!("{text}; the account's own limit is reached")));
    }
    let retry = match status {
        Some(status) => is_worth_retrying(status, headers),
        None => !is(&SET_UP) && !is(&CONVERSATION),
    };
    if retry {
        return ReplyError::Retry(text);
    }
    // A server that is overloaded and does not want this request again may accept the next proposal's.
    if status.is_some_and(|status| matches!(status, 408 | 409 | 429) || status >= 500) {
        return ReplyError::Final(ProposerError::Transient(text));
    }
    let advice = match status {
        // Some gateways answer 403 to a prompt that their moderation flags.
        Some(403) if error["metadata"]["flagged_input"].is_string() => None,
        Some(401 | 403) => Some("; check the key and whether it may use this model"),
        Some(402) => Some("; the account has no credit"),
        Some(404 | 405) => Some("; check the model and the base URL"),
        Some(..=399) => Some("; the base URL points elsewhere"),
        _ if is(&SET_UP) => Some("; check the key, the model and the base URL"),
        _ => None,
    };
    if let Some(advice) = advice {
        return ReplyError::Final(ProposerError::Fatal(format!("{text}{advice}")));
    }
    let too_long = is(&["context_length_exceeded"]) || TOO_LONG.iter().any(|words| message.contains(words));
    let cause = if too_long { "the conversation no longer fits into the model's window: " } else { "" };
    ReplyError::Final(RejectedDraft::new("no proposal", format!("{cause}{text}"), Cost::default()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> ProposerError {
        match read_server_error(&serde_json::from_str(body).unwrap(), Some(status), &Headers::new()) {
            ReplyError::Final(error) => error,
            ReplyError::Retry(why) => panic!("it would be sent again: {why}"),
        }
    }

    #[test]
    fn an_error_of_one_conversation_rejects_one_proposal() {
        for (status, body, words) in [
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 32768 tokens.","code":400}"#,
                "window",
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
                "window",
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
                "filtering",
            ),
            (413, r#"{"error":{"type":"request_too_large","message":"m"}}"#, "413"),
            (422, r#"{"error":"inputs tokens + max_new_tokens must be <= 4096"}"#, "422"),
            (403, r#"{"error":{"code":403,"message":"flagged","metadata":{"flagged_input":"x"}}}"#, "flagged"),
        ] {
            let error = read(status, body);
            assert!(matches!(error, ProposerError::Rejected(_)) && error.to_string().contains(words), "{error:?}");
        }
    }

    #[test]
    fn an_error_of_the_set_up_ends_the_run() {
        for status in [302, 401, 402, 403, 404, 405] {
            assert!(matches!(read(status, "{}"), ProposerError::Fatal(_)), "{status}");
        }
        let no_model = r#"{"error":{"type":"invalid_request_error","code":"model_not_found","message":"m"}}"#;
        assert!(matches!(read(400, no_model), ProposerError::Fatal(_)));
    }
}
