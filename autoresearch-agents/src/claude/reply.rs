//! Assembles a streamed message from its events.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http::Headers;
use crate::http::sse::Event;
use crate::model::{Call, Reply, ReplyBuilder, ReplyError, Stop, Usage, read_server_error};

/// A message that is being assembled.
pub(super) struct Message {
    /// True if the cache is for an hour.
    long: bool,
    blocks: BTreeMap<u64, Block>,
    usage: Option<Usage>,
    /// True once the server has counted the output; until then it is estimated from the received bytes.
    counted: bool,
    bytes: u64,
    stop: Option<Stop>,
    done: bool,
}

struct Block {
    value: Value,
    /// Pieces of a call's arguments.
    json: String,
}

impl Message {
    pub fn new(long: bool) -> Message {
        Message { long, blocks: BTreeMap::new(), usage: None, counted: false, bytes: 0, stop: None, done: false }
    }

    /// Reads the server's token counts; each number replaces the one before.
    fn count(&mut self, said: &Value) {
        let usage = self.usage.get_or_insert_default();
        let set = |place: &mut u64, name: &str| {
            if let Some(number) = said[name].as_u64() {
                *place = number;
            }
        };
        set(&mut usage.input, "input_tokens");
        set(&mut usage.cache_read, "cache_read_input_tokens");
        set(&mut usage.output, "output_tokens");
        let parts = &said["cache_creation"];
        if let (Some(short), Some(long)) =
            (parts["ephemeral_5m_input_tokens"].as_u64(), parts["ephemeral_1h_input_tokens"].as_u64())
        {
            (usage.cache_write, usage.cache_write_long) = (short, long);
        } else {
            set(
                if self.long { &mut usage.cache_write_long } else { &mut usage.cache_write },
                "cache_creation_input_tokens",
            );
        }
    }

    fn delta(&mut self, index: u64, delta: &Value) -> Result<(), ReplyError> {
        let block = self.blocks.get_mut(&index);
        let block = block.ok_or_else(|| ReplyError::Retry(format!("there is no block {index} to be continued")))?;
        let mut append = |name: &str, piece: &Value| {
            let piece = piece.as_str().unwrap_or_default();
            self.bytes = self.bytes.saturating_add(piece.len() as u64);
            if name.is_empty() {
                block.json.push_str(piece);
            } else if let Some(block) = block.value.as_object_mut() {
                match block.get_mut(name) {
                    Some(Value::String(text)) => text.push_str(piece),
                    _ => drop(block.insert(name.to_owned(), piece.into())),
                }
            }
        };
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => append("text", &delta["text"]),
            "thinking_delta" => append("thinking", &delta["thinking"]),
            "signature_delta" => append("signature", &delta["signature"]),
            "input_json_delta" => append("", &delta["partial_json"]),
            _ => {}
        }
        Ok(())
    }
}

impl ReplyBuilder for Message {
    fn read_event(&mut self, event: &Event) -> Result<(), ReplyError> {
        if event.name == "ping" || event.data.is_empty() {
            return Ok(());
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|error| ReplyError::Retry(format!("an event of the response is not valid JSON: {error}")))?;
        match data["type"].as_str().unwrap_or(&event.name) {
            "message_start" => self.count(&data["message"]["usage"]),
            "content_block_start" => {
                let index = data["index"].as_u64().unwrap_or_default();
                self.blocks.insert(index, Block { value: data["content_block"].clone(), json: String::new() });
            }
            "content_block_delta" => self.delta(data["index"].as_u64().unwrap_or_default(), &data["delta"])?,
            "message_delta" => {
                if data["usage"].is_object() {
                    self.count(&data["usage"]);
                    self.counted = true;
                }
                let delta = &data["delta"];
                let details =
                    if delta["stop_details"].is_object() { &delta["stop_details"] } else { &data["stop_details"] };
                self.stop = delta["stop_reason"].as_str().map(|reason| stop(reason, details));
            }
            "message_stop" => self.done = true,
            "error" => return Err(read_server_error(&data, None, &Headers::new())),
            _ => {}
        }
        Ok(())
    }

    fn read_document(&mut self, reply: Value) -> Result<(), ReplyError> {
        if reply["error"].is_object() {
            return Err(read_server_error(&reply, None, &Headers::new()));
        }
        if reply["usage"].is_object() {
            self.count(&reply["usage"]);
            self.counted = true;
        }
        let blocks = reply["content"].as_array().into_iter().flatten().cloned();
        self.blocks = (0..).zip(blocks.map(|value| Block { value, json: String::new() })).collect();
        self.stop = reply["stop_reason"].as_str().map(|reason| stop(reason, &reply["stop_details"]));
        self.done = true;
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        let mut usage = self.usage?;
        if !self.counted {
            usage.output = usage.output.max(self.bytes.div_ceil(4));
        }
        Some(usage)
    }

    fn finish(self: Box<Self>) -> Result<Reply, ReplyError> {
        let usage = self.usage().unwrap_or_default();
        let stop = self.stop.ok_or_else(|| ReplyError::Retry("the reply ended without a reason".into()))?;
        let (mut content, mut calls, mut text) = (Vec::new(), Vec::new(), String::new());
        for mut block in self.blocks.into_values() {
            match block.value["type"].as_str().unwrap_or_default() {
                // An empty text cannot be sent back.
                "text" if block.value["text"].as_str().is_none_or(str::is_empty) => continue,
                "text" => text.push_str(block.value["text"].as_str().unwrap_or_default()),
                "tool_use" => {
                    let word = |name: &str| block.value[name].as_str().unwrap_or_default().to_owned();
                    let arguments = match (block.json.is_empty(), serde_json::from_str::<Value>(&block.json)) {
                        (true, _) => Ok(block.value["input"].clone()),
                        (false, Ok(arguments @ Value::Object(_))) => Ok(arguments),
                        (false, _) => Err(crate::text::shorten(&block.json)),
                    };
                    let input =
                        arguments.clone().ok().filter(Value::is_object).unwrap_or_else(|| serde_json::json!({}));
                    calls.push(Call { id: word("id"), name: word("name"), arguments });
                    block.value["input"] = input;
                }
                "" => continue,
                _ => {}
            }
            content.push(block.value);
        }
        Ok(Reply { content, text, calls, stop, usage })
    }
}

fn stop(reason: &str, details: &Value) -> Stop {
    match reason {
        "max_tokens" => Stop::MaxTokens,
        "tool_use" => Stop::Calls,
        "pause_turn" => Stop::Pause,
        "refusal" => Stop::Refusal(details["category"].as_str().unwrap_or("no category is given").to_owned()),
        "model_context_window_exceeded" => Stop::WindowExceeded,
        _ => Stop::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(events: &[&str]) -> Result<Reply, ReplyError> {
        let mut message = Box::new(Message::new(false));
        for data in events {
            message.read_event(&Event { name: String::new(), data: (*data).to_owned() })?;
        }
        message.finish()
    }

    const START: &str = r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":1}}}"#;

    #[test]
    fn blocks_come_back_as_they_were_sent() {
        let reply = reply(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s="}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"edit","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":1}"}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"new_kind","x":[1]}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":40}}"#,
        ])
        .unwrap();
        assert_eq!(
            Value::from(reply.content),
            serde_json::json!([
                { "type": "thinking", "thinking": "hm", "signature": "s=" },
                { "type": "tool_use", "id": "t", "name": "edit", "input": { "a": 1 } },
                { "type": "new_kind", "x": [1] },
            ])
        );
        assert_eq!(reply.calls.len(), 1);
        assert_eq!(reply.usage, Usage { input: 7, cache_read: 5, cache_write: 3, output: 40, ..Usage::default() });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::testing::fuzz_cases()))]
        #[test]
        fn no_events_make_it_panic(events in proptest::collection::vec(crate::testing::claude_event(), 0..8)) {
            let mut message = Box::new(Message::new(true));
            for data in events {
                let _ = message.read_event(&Event { name: "message_delta".into(), data });
            }
            let _ = (message.usage(), message.finish());
        }
    }

    #[test]
    fn fuzz_of_claude() {
        crate::fuzz::fuzz("claude", |input| {
            crate::fuzz::same_reply_however_cut(|| Box::new(Message::new(true)), input)
        });
    }
}
