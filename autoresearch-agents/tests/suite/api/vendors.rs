//! Replies in the form of each interface.

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Interface {
    Claude,
    Responses,
    Chat,
}

pub const INTERFACES: [Interface; 3] = [Interface::Claude, Interface::Responses, Interface::Chat];

/// Why a reply ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    Complete,
    MaxTokens,
    Refusal,
    Pause,
    WindowExceeded,
}

pub const INPUT: u64 = 1000;
pub const CACHED: u64 = 600;

fn frame(name: &str, data: &Value) -> String {
    if name.is_empty() { format!("data: {data}\n\n") } else { format!("event: {name}\ndata: {data}\n\n") }
}

fn claude(data: Value) -> String {
    frame(data["type"].as_str().unwrap_or_default(), &data)
}

impl Interface {
    /// The frames of a reply of this text, in pieces of `size` characters, which used `output` tokens.
    pub fn text(self, text: &str, end: End, output: u64, size: usize) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let pieces: Vec<String> = chars.chunks(size.max(1)).map(|piece| piece.iter().collect()).collect();
        let mut frames = self.start();
        match self {
            Interface::Claude => {
                let block = json!({ "type": "text", "text": "" });
                frames.push(claude(json!({ "type": "content_block_start", "index": 0, "content_block": block })));
                frames.push(claude(json!({ "type": "ping" })));
                frames.extend(pieces.iter().map(|piece| {
                    let delta = json!({ "type": "text_delta", "text": piece });
                    claude(json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
                }));
                frames.push(claude(json!({ "type": "content_block_stop", "index": 0 })));
            }
            Interface::Responses => {
                frames.extend(pieces.iter().map(|piece| {
                    let data = json!({ "type": "response.output_text.delta", "delta": piece });
                    frame("response.output_text.delta", &data)
                }));
                let part = match end {
                    End::Refusal => json!({ "type": "refusal", "refusal": "frontier_llm" }),
                    _ => json!({ "type": "output_text", "text": text }),
                };
                let item = json!({ "type": "message", "id": "m", "role": "assistant", "content": [part] });
                frames.push(frame("", &json!({ "type": "response.output_item.done", "item": item })));
            }
            Interface::Chat => {
                let name = if end == End::Refusal { "refusal" } else { "content" };
                let deltas =
                    pieces.iter().map(|piece| json!({ "choices": [{ "index": 0, "delta": { name: piece } }] }));
                frames.extend(deltas.map(|data| frame("", &data)));
            }
        }
        frames.extend(self.end(end, output, false));
        frames
    }

    /// The frames of a reply that calls tools.
    pub fn calls(self, calls: &[(&str, Value)], output: u64) -> Vec<String> {
        let mut frames = self.start();
        for (at, (name, arguments)) in calls.iter().enumerate() {
            let (id, arguments) = (format!("call_{at}"), arguments.to_string());
            let (first, second) = arguments.split_at(arguments.len() / 2);
            match self {
                Interface::Claude => {
                    let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                    frames.push(claude(json!({ "type": "content_block_start", "index": at, "content_block": block })));
                    for piece in [first, second] {
                        let delta = json!({ "type": "input_json_delta", "partial_json": piece });
                        frames.push(claude(json!({ "type": "content_block_delta", "index": at, "delta": delta })));
                    }
                }
                Interface::Responses => {
                    let item = json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments });
                    frames.push(frame("", &json!({ "type": "response.output_item.done", "item": item })));
                }
                Interface::Chat => {
                    let delta = |call: Value| json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] });
                    let call = json!({ "index": at, "id": id, "function": { "name": name, "arguments": first } });
                    frames.push(frame("", &delta(call)));
                    frames.push(frame("", &delta(json!({ "index": at, "function": { "arguments": second } }))));
                }
            }
        }
        frames.extend(self.end(End::Complete, output, true));
        frames
    }

    /// The same reply as one document, as a server writes it that does not stream; with calls if there are some.
    pub fn document(self, text: &str, calls: &[(&str, Value)], output: u64) -> String {
        let calls = calls.iter().enumerate().map(|(at, (name, arguments))| (format!("call_{at}"), name, arguments));
        let called = calls.len() > 0;
        let document = match self {
            Interface::Claude => {
                let mut content = vec![json!({ "type": "text", "text": text })];
                content
                    .extend(calls.map(
                        |(id, name, input)| json!({ "type": "tool_use", "id": id, "name": name, "input": input }),
                    ));
                json!({
                    "id": "m", "type": "message", "role": "assistant", "content": content,
                    "stop_reason": if called { "tool_use" } else { "end_turn" },
                    "usage": { "input_tokens": INPUT - CACHED, "cache_read_input_tokens": CACHED, "output_tokens": output },
                })
            }
            Interface::Responses => {
                let part = json!({ "type": "output_text", "text": text });
                let mut items = vec![json!({ "type": "message", "id": "m", "role": "assistant", "content": [part] })];
                items.extend(calls.map(|(id, name, arguments)| {
                    let arguments = arguments.to_string();
                    json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments })
                }));
                json!({
                    "id": "r", "object": "response", "status": "completed", "error": null, "output": items,
                    "usage": { "input_tokens": INPUT, "input_tokens_details": { "cached_tokens": CACHED },
                        "output_tokens": output },
                })
            }
            Interface::Chat => {
                let mut message = json!({ "role": "assistant", "content": text });
                if called {
                    // Without `index`, which only pieces have.
                    let calls = calls.map(|(id, name, arguments)| {
                        let function = json!({ "name": name, "arguments": arguments.to_string() });
                        json!({ "id": id, "type": "function", "function": function })
                    });
                    message["tool_calls"] = calls.collect();
                }
                let reason = if called { "tool_calls" } else { "stop" };
                json!({
                    "id": "c", "object": "chat.completion",
                    "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
                    "usage": { "prompt_tokens": INPUT, "completion_tokens": output,
                        "prompt_tokens_details": { "cached_tokens": CACHED } },
                })
            }
        };
        // Some servers write it over several lines.
        format!("\n{document:#}\n")
    }

    fn start(self) -> Vec<String> {
        match self {
            Interface::Claude => {
                let usage =
                    json!({ "input_tokens": INPUT - CACHED, "cache_read_input_tokens": CACHED, "output_tokens": 1 });
                let message =
                    json!({ "id": "m", "type": "message", "role": "assistant", "content": [], "usage": usage });
                vec![claude(json!({ "type": "message_start", "message": message }))]
            }
            Interface::Responses => vec![frame("", &json!({ "type": "response.created", "response": { "id": "r" } }))],
            Interface::Chat => vec![": hello\n\n".into()],
        }
    }

    fn end(self, end: End, output: u64, calls: bool) -> Vec<String> {
        match self {
            Interface::Claude => {
                let reason = match end {
                    End::Complete if calls => "tool_use",
                    End::Complete => "end_turn",
                    End::MaxTokens => "max_tokens",
                    End::Refusal => "refusal",
                    End::Pause => "pause_turn",
                    End::WindowExceeded => "model_context_window_exceeded",
                };
                let details = json!({ "category": "frontier_llm" });
                let delta = json!({ "stop_reason": reason, "stop_sequence": null, "stop_details": details });
                let usage = json!({ "output_tokens": output });
                vec![
                    claude(json!({ "type": "message_delta", "delta": delta, "usage": usage })),
                    claude(json!({ "type": "message_stop" })),
                ]
            }
            Interface::Responses => {
                let cut = matches!(end, End::MaxTokens | End::WindowExceeded);
                let (kind, status) = if cut { ("incomplete", "incomplete") } else { ("completed", "completed") };
                let usage = json!({
                    "input_tokens": INPUT, "input_tokens_details": { "cached_tokens": CACHED }, "output_tokens": output,
                });
                let details = json!({ "reason": "max_output_tokens" });
                let response = json!({ "status": status, "incomplete_details": details, "usage": usage });
                vec![frame("", &json!({ "type": format!("response.{kind}"), "response": response }))]
            }
            Interface::Chat => {
                let reason = match end {
                    End::Complete if calls => "tool_calls",
                    End::MaxTokens | End::WindowExceeded => "length",
                    _ => "stop",
                };
                let choice = json!({ "index": 0, "delta": {}, "finish_reason": reason });
                let usage = json!({
                    "prompt_tokens": INPUT, "completion_tokens": output,
                    "prompt_tokens_details": { "cached_tokens": CACHED },
                });
                vec![
                    frame("", &json!({ "choices": [choice] })),
                    frame("", &json!({ "choices": [], "usage": usage })),
                    "data: [DONE]\n\n".into(),
                ]
            }
        }
    }

    /// An error within a stream, which is worth another attempt.
    pub fn broken_off(self) -> String {
        match self {
            Interface::Claude => {
                claude(json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" } }))
            }
            Interface::Responses => {
                let error = json!({ "error": { "code": "server_error", "message": "m" } });
                frame("", &json!({ "type": "response.failed", "response": error }))
            }
            Interface::Chat => frame("", &json!({ "error": { "code": "server_error", "message": "m" } })),
        }
    }
}
