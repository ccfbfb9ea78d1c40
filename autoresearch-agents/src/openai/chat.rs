//! Chat Completions, in the subset that compatible servers have: functions, `response_format`, and every field of the usage
//! optional.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::settings::OpenAiSettings;
use crate::http::Headers;
use crate::http::sse::Event;
use crate::model::{Call, Conversation, Reply, ReplyBuilder, ReplyError, Stop, Turn, Usage, read_server_error};

pub(super) fn body(settings: &OpenAiSettings, conversation: &Conversation) -> Value {
    let mut messages = vec![
        json!({ "role": "system", "content": conversation.rules }),
        json!({ "role": "user", "content": conversation.files }),
    ];
    for turn in &conversation.turns {
        match turn {
            // Some servers want the roles to alternate.
            Turn::User(words) => match messages.last_mut() {
                Some(last) if last["role"] == "user" => {
                    let before = last["content"].as_str().unwrap_or_default();
                    last["content"] = format!("{before}\n\n{words}").into();
                }
                _ => messages.push(json!({ "role": "user", "content": words })),
            },
            Turn::Model(message) => messages.extend(message.iter().cloned()),
            Turn::Results(results) => messages.extend(
                results
                    .iter()
                    .map(|result| json!({ "role": "tool", "tool_call_id": result.id, "content": result.text })),
            ),
        }
    }
    let mut body = json!({
        "model": settings.model,
        "messages": messages,
        "max_completion_tokens": conversation.max_tokens,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if !conversation.tools.is_empty() {
        let tool = |tool: &crate::model::Tool| {
            let crate::model::Tool { name, description, parameters } = tool;
            let function = json!({ "name": name, "description": description, "parameters": parameters });
            json!({ "type": "function", "function": function })
        };
        body["tools"] = conversation.tools.iter().map(tool).collect();
        body["tool_choice"] = "auto".into();
    }
    if let Some(effort) = &settings.effort {
        body["reasoning_effort"] = effort.as_str().into();
    }
    if let Some(schema) = &conversation.schema {
        let schema = json!({ "name": "proposal", "schema": schema, "strict": true });
        body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
    }
    body
}

/// A completion that is being assembled.
pub(super) struct Completion {
    /// Estimated tokens of the request.
    input: u64,
    text: String,
    refusal: String,
    calls: BTreeMap<u64, Pieces>,
    reason: Option<String>,
    usage: Option<Usage>,
    began: bool,
    done: bool,
}

/// Pieces of a call.
#[derive(Default)]
struct Pieces {
    id: String,
    name: String,
    arguments: String,
}

impl Completion {
    pub fn new(input: u64) -> Completion {
        Completion {
            input,
            text: String::new(),
            refusal: String::new(),
            calls: BTreeMap::new(),
            reason: None,
            usage: None,
            began: false,
            done: false,
        }
    }

    /// Reads one piece of the reply, or the whole reply.
    fn read_piece(&mut self, data: &Value) -> Result<(), ReplyError> {
        if data["error"].is_object() {
            return Err(read_server_error(data, None, &Headers::new()));
        }
        if let Some(input) = data["usage"]["prompt_tokens"].as_u64() {
            let usage = &data["usage"];
            let cache_read = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0).min(input);
            let output = usage["completion_tokens"].as_u64().unwrap_or(0);
            self.usage = Some(Usage { input: input - cache_read, cache_read, output, ..Usage::default() });
        }
        let choice = &data["choices"][0];
        if choice.is_object() {
            self.began = true;
        }
        // A reply that is not streamed has the whole message in the place of its pieces.
        let delta = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        self.text.push_str(delta["content"].as_str().unwrap_or_default());
        self.refusal.push_str(delta["refusal"].as_str().unwrap_or_default());
        for (at, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let pieces = self.calls.entry(call["index"].as_u64().unwrap_or(at as u64)).or_default();
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if pieces.id.is_empty() {
                pieces.id = word(&call["id"]);
            }
            pieces.name.push_str(&word(&call["function"]["name"]));
            pieces.arguments.push_str(&word(&call["function"]["arguments"]));
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.reason = Some(reason.to_owned());
        }
        Ok(())
    }
}

impl ReplyBuilder for Completion {
    fn read_event(&mut self, event: &Event) -> Result<(), ReplyError> {
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        if event.data.is_empty() {
            return Ok(());
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|error| ReplyError::Retry(format!("an event of the response is not valid JSON: {error}")))?;
        self.read_piece(&data)
    }

    fn read_document(&mut self, reply: Value) -> Result<(), ReplyError> {
        self.read_piece(&reply)?;
        self.done = true;
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    fn may_end(&self) -> bool {
        self.done || self.reason.is_some()
    }

    fn usage(&self) -> Option<Usage> {
        // Some servers count nothing: their usage is estimated.
        let calls: usize = self.calls.values().map(|call| call.arguments.len()).sum();
        let output = ((self.text.len() + calls) as u64).div_ceil(4);
        let estimate = Usage { input: self.input, output, ..Usage::default() };
        self.usage.or(self.began.then_some(estimate))
    }

    fn finish(self: Box<Self>) -> Result<Reply, ReplyError> {
        let usage = self.usage().unwrap_or_default();
        let reason = self.reason.ok_or_else(|| ReplyError::Retry("the reply ended without a reason".into()))?;
        let mut message = json!({ "role": "assistant", "content": self.text });
        let mut calls = Vec::new();
        let mut echoed = Vec::new();
        for (at, Pieces { id, name, arguments }) in self.calls {
            // Some servers leave the id out, which the result must name.
            let id = if id.is_empty() { format!("call_{at}") } else { id };
            let parsed: Result<Value, _> = serde_json::from_str(if arguments.is_empty() { "{}" } else { &arguments });
            let valid = if parsed.is_ok() { arguments.as_str() } else { "{}" };
            let function = json!({ "name": name, "arguments": valid });
            echoed.push(json!({ "id": id, "type": "function", "function": function }));
            calls.push(Call { id, name, arguments: parsed.map_err(|_| crate::text::shorten(&arguments)) });
        }
        if !echoed.is_empty() {
            message["tool_calls"] = echoed.into();
        }
        let stop = match reason.as_str() {
            _ if !self.refusal.is_empty() => Stop::Refusal(crate::text::shorten(&self.refusal)),
            "content_filter" => Stop::Refusal(reason),
            "length" => Stop::MaxTokens,
            _ if calls.is_empty() => Stop::End,
            _ => Stop::Calls,
        };
        let empty = self.text.is_empty() && calls.is_empty();
        Ok(Reply { content: if empty { vec![] } else { vec![message] }, text: self.text, calls, stop, usage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(events: &[&str]) -> Result<Reply, ReplyError> {
        let mut completion = Box::new(Completion::new(100));
        for data in events {
            completion.read_event(&Event { name: String::new(), data: (*data).to_owned() })?;
        }
        completion.finish()
    }

    #[test]
    fn calls_are_put_together_from_their_pieces() {
        let reply = reply(&[
            r#"{"choices":[{"delta":{"role":"assistant","content":"I "}}]}"#,
            r#"{"choices":[{"delta":{"content":"see","tool_calls":[{"index":0,"id":"c","function":{"name":"edit","arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#,
            "[DONE]",
        ])
        .unwrap();
        assert_eq!((reply.text.as_str(), &reply.stop), ("I see", &Stop::Calls));
        assert_eq!(reply.calls[0].arguments, Ok(json!({ "a": 1 })));
        assert_eq!(reply.content[0]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
        assert_eq!(reply.usage, Usage { input: 9, output: 3, ..Usage::default() });
    }

    #[test]
    fn what_a_server_does_not_count_is_estimated() {
        let reply = reply(&[r#"{"choices":[{"delta":{"content":"12345678"},"finish_reason":"stop"}]}"#]).unwrap();
        assert_eq!(reply.usage, Usage { input: 100, output: 2, ..Usage::default() });
        assert_eq!(reply.stop, Stop::End);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::testing::fuzz_cases()))]
        #[test]
        fn no_events_make_it_panic(events in proptest::collection::vec(crate::testing::openai_event(), 0..8)) {
            let mut completion = Box::new(Completion::new(1));
            for data in events {
                let _ = completion.read_event(&Event { name: String::new(), data });
            }
            let _ = (completion.usage(), completion.finish());
        }
    }

    #[test]
    fn fuzz_of_chat() {
        crate::fuzz::fuzz("chat", |input| crate::fuzz::same_reply_however_cut(|| Box::new(Completion::new(7)), input));
    }
}
