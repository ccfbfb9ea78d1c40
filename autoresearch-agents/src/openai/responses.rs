//! The Responses interface. The server stores nothing, so every request holds the whole conversation.

use serde_json::{Value, json};

use super::settings::OpenAiSettings;
use crate::http::Headers;
use crate::http::sse::Event;
use crate::model::{Call, Conversation, Reply, ReplyBuilder, ReplyError, Stop, Turn, Usage, read_server_error};

pub(super) fn body(settings: &OpenAiSettings, conversation: &Conversation) -> Value {
    let user = |text: &str| json!({ "role": "user", "content": [{ "type": "input_text", "text": text }] });
    let mut input = vec![user(&conversation.files)];
    for turn in &conversation.turns {
        match turn {
            Turn::User(words) => input.push(user(words)),
            Turn::Model(items) => input.extend(items.iter().cloned()),
            Turn::Results(results) => {
                input.extend(results.iter().map(
                    |result| json!({ "type": "function_call_output", "call_id": result.id, "output": result.text }),
                ))
            }
        }
    }
    let mut body = json!({
        "model": settings.model,
        "instructions": conversation.rules,
        "input": input,
        "max_output_tokens": conversation.max_tokens,
        "store": false,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": cache_key(&conversation.rules),
        "stream": true,
    });
    if !conversation.tools.is_empty() {
        let tool = |tool: &crate::model::Tool| {
            let crate::model::Tool { name, description, parameters } = tool;
            json!({
                "type": "function", "name": name, "description": description, "parameters": parameters, "strict": false,
            })
        };
        body["tools"] = conversation.tools.iter().map(tool).collect();
    }
    if let Some(effort) = &settings.effort {
        body["reasoning"] = json!({ "effort": effort });
    }
    if let Some(schema) = &conversation.schema {
        body["text"] =
            json!({ "format": { "type": "json_schema", "name": "proposal", "schema": schema, "strict": true } });
    }
    body
}

/// Returns the cache key of a prompt's beginning. It is an FNV-1a hash, which is stable over versions.
fn cache_key(rules: &str) -> String {
    let hash = rules
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("autoresearch-{hash:016x}")
}

/// A response that is being assembled.
pub(super) struct Response {
    /// Estimated tokens of the request.
    input: u64,
    items: Vec<Value>,
    /// Whole response, once it is complete.
    end: Option<Value>,
    began: bool,
    bytes: u64,
}

impl Response {
    pub fn new(input: u64) -> Response {
        Response { input, items: Vec::new(), end: None, began: false, bytes: 0 }
    }
}

impl ReplyBuilder for Response {
    fn read_event(&mut self, event: &Event) -> Result<(), ReplyError> {
        if event.data.is_empty() || event.data.trim() == "[DONE]" {
            return Ok(());
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|error| ReplyError::Retry(format!("an event of the response is not valid JSON: {error}")))?;
        let kind = data["type"].as_str().unwrap_or(&event.name).to_owned();
        match kind.as_str() {
            "response.output_item.done" => {
                self.began = true;
                self.items.push(data["item"].clone());
            }
            "response.completed" | "response.incomplete" => self.end = Some(data["response"].clone()),
            "response.failed" => {
                self.end = None;
                return Err(read_server_error(&data["response"], None, &Headers::new()));
            }
            "error" => return Err(read_server_error(&data, None, &Headers::new())),
            delta if delta.ends_with(".delta") => {
                self.began = true;
                self.bytes += data["delta"].as_str().map_or(0, |delta| delta.len() as u64);
            }
            _ => {}
        }
        Ok(())
    }

    fn read_document(&mut self, reply: Value) -> Result<(), ReplyError> {
        if reply["error"].is_object() || reply["status"] == "failed" {
            return Err(read_server_error(&reply, None, &Headers::new()));
        }
        if !reply["output"].is_array() {
            return Err(ReplyError::Retry("the response is a JSON document without `output`".into()));
        }
        self.end = Some(reply);
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    fn usage(&self) -> Option<Usage> {
        let said = self.end.as_ref().map(|end| &end["usage"]);
        if let Some((said, input)) = said.and_then(|said| Some((said, said["input_tokens"].as_u64()?))) {
            let details = &said["input_tokens_details"];
            let cache_read = details["cached_tokens"].as_u64().unwrap_or(0).min(input);
            let cache_write = details["cache_write_tokens"].as_u64().unwrap_or(0).min(input - cache_read);
            let output = said["output_tokens"].as_u64().unwrap_or(0);
            let input = input - cache_read - cache_write;
            return Some(Usage { input, cache_read, cache_write, output, ..Usage::default() });
        }
        // The server tells only at the end: until then it is an estimate.
        let began = self.began || self.end.is_some();
        began.then(|| Usage { input: self.input, output: self.bytes.div_ceil(4), ..Usage::default() })
    }

    fn finish(self: Box<Self>) -> Result<Reply, ReplyError> {
        let usage = self.usage().unwrap_or_default();
        let Some(end) = self.end else { return Err(ReplyError::Retry("the reply has no end".into())) };
        let content = match (self.items.is_empty(), end["output"].clone()) {
            (true, Value::Array(output)) => output,
            _ => self.items,
        };
        let (mut text, mut calls, mut refusal) = (String::new(), Vec::new(), None);
        for item in &content {
            let word = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            match item["type"].as_str().unwrap_or_default() {
                "message" => {
                    for part in item["content"].as_array().into_iter().flatten() {
                        text.push_str(part["text"].as_str().unwrap_or_default());
                        refusal = part["refusal"].as_str().map(crate::text::shorten).or(refusal);
                    }
                }
                "function_call" => {
                    let arguments = word("arguments");
                    let parsed = serde_json::from_str(&arguments).map_err(|_| crate::text::shorten(&arguments));
                    calls.push(Call { id: word("call_id"), name: word("name"), arguments: parsed });
                }
                _ => {}
            }
        }
        let why = end["incomplete_details"]["reason"].as_str().unwrap_or_default();
        let stop = match (refusal, end["status"].as_str().unwrap_or_default(), why) {
            (Some(why), ..) => Stop::Refusal(why),
            (_, "incomplete", "content_filter") => Stop::Refusal("content_filter".into()),
            (_, "incomplete", _) => Stop::MaxTokens,
            _ if calls.is_empty() => Stop::End,
            _ => Stop::Calls,
        };
        Ok(Reply { content, text, calls, stop, usage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(events: &[&str]) -> Result<Reply, ReplyError> {
        let mut response = Box::new(Response::new(100));
        for data in events {
            response.read_event(&Event { name: String::new(), data: (*data).to_owned() })?;
        }
        response.finish()
    }

    #[test]
    fn items_come_back_as_they_were_sent() {
        let reply = reply(&[
            r#"{"type":"response.output_item.done","item":{"type":"reasoning","id":"r","encrypted_content":"x"}}"#,
            r#"{"type":"response.output_item.done","item":{"type":"function_call","call_id":"c","name":"edit","arguments":"{\"a\":1}"}}"#,
            r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":6}}}"#,
        ])
        .unwrap();
        assert_eq!(reply.content[0]["encrypted_content"], "x");
        assert_eq!(reply.stop, Stop::Calls);
        assert_eq!(reply.calls[0].arguments, Ok(json!({ "a": 1 })));
        assert_eq!(reply.usage, Usage { input: 6, cache_read: 4, output: 6, ..Usage::default() });
    }

    #[test]
    fn endings_are_told_apart() {
        let end =
            |response: &str| reply(&[&format!(r#"{{"type":"response.incomplete","response":{response}}}"#)]).unwrap();
        let cut = r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#;
        assert_eq!(end(cut).stop, Stop::MaxTokens);
        let filtered = r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#;
        assert_eq!(end(filtered).stop, Stop::Refusal("content_filter".into()));
        let refused =
            r#"{"status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"no"}]}]}"#;
        assert_eq!(end(refused).stop, Stop::Refusal("no".into()));
        assert!(matches!(
            reply(&[r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#]),
            Err(ReplyError::Retry(_))
        ));
        let broke = r#"{"type":"response.failed","response":{"error":{"code":"insufficient_quota","message":"m"}}}"#;
        assert!(matches!(reply(&[broke]), Err(ReplyError::Final(autoresearch_core::ProposerError::Exhausted(_)))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::testing::fuzz_cases()))]
        #[test]
        fn no_events_make_it_panic(events in proptest::collection::vec(crate::testing::openai_event(), 0..8)) {
            let mut response = Box::new(Response::new(1));
            for data in events {
                let _ = response.read_event(&Event { name: "response.completed".into(), data });
            }
            let _ = (response.usage(), response.finish());
        }
    }

    #[test]
    fn fuzz_of_responses() {
        crate::fuzz::fuzz("responses", |input| {
            crate::fuzz::same_reply_however_cut(|| Box::new(Response::new(7)), input)
        });
    }
}
