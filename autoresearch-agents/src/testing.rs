//! Inputs that several tests share.

use proptest::prelude::*;

/// Number of inputs of each fuzzing test: few by default, `AUTORESEARCH_FUZZ_CASES` for more.
pub fn fuzz_cases() -> u32 {
    std::env::var("AUTORESEARCH_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

/// JSON with the words of a vendor's events in all kinds of places, and texts that are no JSON.
fn event(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = proptest::sample::select(words);
    let leaf = prop_oneof![
        word.clone().prop_map(|word| format!("{word:?}")),
        any::<u64>().prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        Just("\"{\\\"a\\\":\"".to_owned()),
        Just("-1.5".to_owned()),
    ];
    let json = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            3 => proptest::collection::vec((word.clone(), inner.clone()), 0..5).prop_map(|fields| {
                let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
            1 => proptest::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    // Half of them with a type that is known, so that they are looked into.
    let typed = (proptest::sample::select(words), json.clone()).prop_map(|(word, json)| match json.strip_prefix('{') {
        Some("}") | None => format!("{{\"type\":{word:?}}}"),
        Some(rest) => format!("{{\"type\":{word:?},{rest}"),
    });
    prop_oneof![4 => typed, 2 => json, 1 => "\\PC{0,20}"]
}

/// An event of Anthropic's, or nearly.
pub fn claude_event() -> impl Strategy<Value = String> {
    event(&[
        "type",
        "index",
        "message",
        "usage",
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "delta",
        "content_block",
        "text",
        "text_delta",
        "input_json_delta",
        "partial_json",
        "tool_use",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "message_stop",
        "stop_reason",
        "refusal",
        "stop_details",
        "error",
        "id",
        "name",
        "input",
        "thinking_delta",
        "thinking",
    ])
}

/// An event of OpenAI's, or nearly.
pub fn openai_event() -> impl Strategy<Value = String> {
    event(&[
        "type",
        "item",
        "response",
        "response.output_item.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.output_text.delta",
        "usage",
        "input_tokens",
        "input_tokens_details",
        "cached_tokens",
        "cache_write_tokens",
        "output_tokens",
        "output",
        "message",
        "content",
        "text",
        "refusal",
        "function_call",
        "arguments",
        "call_id",
        "name",
        "choices",
        "delta",
        "tool_calls",
        "index",
        "function",
        "finish_reason",
        "prompt_tokens",
        "prompt_tokens_details",
        "completion_tokens",
        "error",
        "code",
        "status",
    ])
}
