//! Counting the tokens of an answer while it streams past, in the words of either vendor.

use serde_json::Value;

/// The longest line or document that is looked at; a longer one streams past uncounted.
const LONGEST: usize = 4 << 20;

/// Tokens, as they are charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read at the full price, what was written to a cache included.
    pub input: u64,
    /// Read from a cache.
    pub cached: u64,
    /// Written.
    pub output: u64,
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Of [`Usage::input`].
    pub input: f64,
    /// Of [`Usage::cached`].
    pub cached: f64,
    /// Of [`Usage::output`].
    pub output: f64,
}

impl Usage {
    /// All tokens together.
    pub fn tokens(&self) -> u64 {
        self.input.saturating_add(self.cached).saturating_add(self.output)
    }

    /// What they cost.
    pub fn dollars(&self, price: &Price) -> f64 {
        let Usage { input, cached, output } = *self;
        (input as f64 * price.input + cached as f64 * price.cached + output as f64 * price.output) / 1e6
    }

    /// Both together.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            output: self.output.saturating_add(other.output),
        }
    }

    /// The larger of each: later events of an answer repeat and complete what earlier ones said.
    fn at_least(self, other: Usage) -> Usage {
        Usage {
            input: self.input.max(other.input),
            cached: self.cached.max(other.cached),
            output: self.output.max(other.output),
        }
    }

    /// Reads a `usage` object. Anthropic counts cached tokens beside `input_tokens`, OpenAI within them.
    pub fn read(usage: &Value) -> Usage {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let first = |names: [&str; 2]| names.iter().map(|name| number(&usage[*name])).find(|n| *n > 0).unwrap_or(0);
        let (input, output) = (first(["input_tokens", "prompt_tokens"]), first(["output_tokens", "completion_tokens"]));
        let beside = number(&usage["cache_read_input_tokens"]);
        let within =
            ["input_tokens_details", "prompt_tokens_details"].map(|name| number(&usage[name]["cached_tokens"]));
        let within = within[0].max(within[1]).max(number(&usage["cached_input_tokens"]));
        let written = number(&usage["cache_creation_input_tokens"]);
        Usage { input: input.saturating_sub(within).saturating_add(written), cached: beside + within, output }
    }

    /// Finds the usage in one event or one whole answer.
    fn of_answer(answer: &Value) -> Option<Usage> {
        let places = [answer, &answer["message"], &answer["response"]];
        places.into_iter().map(|place| &place["usage"]).find(|usage| usage.is_object()).map(Usage::read)
    }
}

/// Reads along with one answer.
#[derive(Debug, Default)]
pub(super) struct Counter {
    line: Vec<u8>,
    too_long: bool,
    usage: Usage,
}

impl Counter {
    /// Takes the next bytes of the answer and returns the usage so far.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Usage {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.too_long |= self.line.len() + part.len() > LONGEST;
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
        self.usage
    }

    /// Takes the end of the answer: one that does not stream is a single line without an end.
    pub(super) fn finish(&mut self) -> Usage {
        self.end_line();
        self.usage
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim().strip_prefix("data:").unwrap_or(text.trim()).trim();
        // Most events carry no usage; those are not worth parsing.
        if text.starts_with('{')
            && text.contains("\"usage\"")
            && let Ok(answer) = serde_json::from_str::<Value>(text)
            && let Some(usage) = Usage::of_answer(&answer)
        {
            self.usage = self.usage.at_least(usage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(stream: &str) -> Usage {
        // In small pieces, since the network cuts where it likes.
        let mut counter = Counter::default();
        stream.as_bytes().chunks(7).for_each(|piece| {
            counter.feed(piece);
        });
        counter.finish()
    }

    #[test]
    fn the_usage_of_both_vendors_is_counted_while_it_streams() {
        let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\
            \"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n\
            event: message_delta\r\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":20}}\r\n\r\n";
        assert_eq!(counted(anthropic), Usage { input: 15, cached: 100, output: 20 });
        let openai = "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":110,\
            \"input_tokens_details\":{\"cached_tokens\":100},\"output_tokens\":7}}}\n\ndata: [DONE]\n";
        assert_eq!(counted(openai), Usage { input: 10, cached: 100, output: 7 });
        assert_eq!(counted("{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}").tokens(), 7);
        assert_eq!(counted("data: {\"usage\": broken\n"), Usage::default());
    }

    #[test]
    fn dollars_follow_the_price() {
        let usage = Usage { input: 1_000_000, cached: 2_000_000, output: 500_000 };
        assert_eq!(usage.dollars(&Price { input: 2.0, cached: 0.5, output: 10.0 }), 8.0);
    }
}
