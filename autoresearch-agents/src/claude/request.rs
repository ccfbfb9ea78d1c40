//! The body of a request for the next message of a conversation.

use serde_json::{Map, Value, json};

use super::settings::{CacheTime, ClaudeSettings, Effort, Thinking};
use crate::model::{Conversation, Turn};

pub(super) fn body(settings: &ClaudeSettings, conversation: &Conversation) -> Value {
    let cache = match settings.cache {
        CacheTime::None => None,
        CacheTime::Minutes => Some(json!({ "type": "ephemeral" })),
        CacheTime::Hour => Some(json!({ "type": "ephemeral", "ttl": "1h" })),
    };
    let cached = |mut block: Value| {
        if let (Some(cache), Some(block)) = (&cache, block.as_object_mut()) {
            block.insert("cache_control".into(), cache.clone());
        }
        block
    };
    let text = |text: &str| json!({ "type": "text", "text": text });
    let mut messages: Vec<(&str, Vec<Value>)> = vec![("user", vec![cached(text(&conversation.files))])];
    for turn in &conversation.turns {
        let (role, blocks) = match turn {
            Turn::User(words) => ("user", vec![text(words)]),
            Turn::Model(content) => ("assistant", content.clone()),
            Turn::Results(results) => {
                let result = |result: &crate::model::CallResult| {
                    // The server rejects an empty text.
                    let text = if result.text.is_empty() { "(nothing)" } else { &result.text };
                    json!({ "type": "tool_result", "tool_use_id": result.id, "content": text, "is_error": result.failed })
                };
                ("user", results.iter().map(result).collect())
            }
        };
        match messages.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ => messages.push((role, blocks)),
        }
    }
    // The next turn will begin with all of this.
    if let (false, Some(("user", content))) = (conversation.tools.is_empty(), messages.last_mut())
        && let Some(last) = content.pop()
    {
        content.push(cached(last));
    }
    let messages: Vec<Value> =
        messages.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
    let mut body = json!({
        "model": settings.model,
        "max_tokens": conversation.max_tokens,
        "stream": true,
        "system": [cached(text(&conversation.rules))],
        "messages": messages,
    });
    if !conversation.tools.is_empty() {
        let tool = |tool: &crate::model::Tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters });
        body["tools"] = conversation.tools.iter().map(tool).collect();
    }
    if let Some(thinking) = settings.thinking {
        body["thinking"] = match thinking {
            Thinking::Adaptive {} => json!({ "type": "adaptive" }),
            Thinking::Enabled { budget_tokens } => json!({ "type": "enabled", "budget_tokens": budget_tokens }),
            Thinking::BetweenTools {} => json!({ "type": "between_tools" }),
            Thinking::Disabled {} => json!({ "type": "disabled" }),
        };
    }
    let mut output = Map::new();
    if let Some(effort) = settings.effort {
        let word = match effort {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Xhigh => "xhigh",
            Effort::Max => "max",
        };
        output.insert("effort".into(), word.into());
    }
    if let Some(schema) = &conversation.schema {
        output.insert("format".into(), json!({ "type": "json_schema", "schema": schema }));
    }
    if !output.is_empty() {
        body["output_config"] = output.into();
    }
    body
}
