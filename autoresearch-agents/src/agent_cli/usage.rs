//! Token counts of an answer while it streams past, in either vendor's words.

use serde_json::Value;

use crate::model::Usage;

/// Longest line or document that is read, in bytes; a longer one passes uncounted.
const LONGEST: usize = 4 << 20;
/// Greatest size of a token in a stream, in bytes.
const BYTES_PER_TOKEN: u64 = 16;

/// Reads a `usage` object. Anthropic counts cached tokens beside `input_tokens`, OpenAI within them.
pub(super) fn read(usage: &Value) -> Usage {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let first = |names: [&str; 2]| names.iter().map(|name| number(&usage[*name])).find(|n| *n > 0).unwrap_or(0);
    let (input, output) = (first(["input_tokens", "prompt_tokens"]), first(["output_tokens", "completion_tokens"]));
    let beside = number(&usage["cache_read_input_tokens"]);
    let details = |what: &str| {
        ["input_tokens_details", "prompt_tokens_details"]
            .iter()
            .map(|name| number(&usage[*name][what]))
            .max()
            .unwrap_or(0)
    };
    let read = details("cached_tokens").max(number(&usage["cached_input_tokens"])).min(input);
    let written = details("cache_write_tokens").min(input - read);
    let long = number(&usage["cache_creation"]["ephemeral_1h_input_tokens"]);
    Usage {
        input: input - read - written,
        cache_read: beside.saturating_add(read),
        cache_write: number(&usage["cache_creation_input_tokens"]).saturating_sub(long).saturating_add(written),
        cache_write_long: long,
        output,
    }
}

/// Returns the usage in one event or one whole answer.
fn of_answer(answer: &Value) -> Option<Usage> {
    let places = [answer, &answer["message"], &answer["response"]];
    places.into_iter().map(|place| &place["usage"]).find(|usage| usage.is_object()).map(read)
}

/// Returns the larger number of each kind: later events of an answer repeat and complete the earlier ones.
fn at_least(a: Usage, b: Usage) -> Usage {
    Usage {
        input: a.input.max(b.input),
        cache_read: a.cache_read.max(b.cache_read),
        cache_write: a.cache_write.max(b.cache_write),
        cache_write_long: a.cache_write_long.max(b.cache_write_long),
        output: a.output.max(b.output),
    }
}

/// Counts the tokens of one answer.
#[derive(Debug, Default)]
pub(super) struct Counter {
    line: Vec<u8>,
    too_long: bool,
    bytes: u64,
    usage: Usage,
}

impl Counter {
    /// Reads the next bytes of the answer and returns the usage so far.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Usage {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
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

    /// Reads the end of the answer: one that does not stream is a single line without an end.
    pub(super) fn finish(&mut self) -> Usage {
        self.end_line();
        self.usage
    }

    /// Estimates the usage of an answer that broke off, whose request has about `input` tokens.
    pub(super) fn estimate(&self, input: u64) -> Usage {
        let said = self.usage;
        let input = if said == Usage::default() { input } else { said.input };
        Usage { input, output: said.output.max(self.bytes.div_ceil(BYTES_PER_TOKEN)), ..said }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim().strip_prefix("data:").unwrap_or(text.trim()).trim();
        // Most events carry no usage and are not worth parsing.
        if text.starts_with('{')
            && text.contains("\"usage\"")
            && let Ok(answer) = serde_json::from_str::<Value>(text)
            && let Some(usage) = of_answer(&answer)
        {
            self.usage = at_least(self.usage, usage);
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
        assert_eq!(
            counted(anthropic),
            Usage { input: 10, cache_write: 5, cache_read: 100, output: 20, ..Usage::default() }
        );
        let openai = "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":110,\
            \"input_tokens_details\":{\"cached_tokens\":100},\"output_tokens\":7}}}\n\ndata: [DONE]\n";
        assert_eq!(counted(openai), Usage { input: 10, cache_read: 100, output: 7, ..Usage::default() });
        assert_eq!(counted("{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}").total(), 7);
        assert_eq!(counted("data: {\"usage\": broken\n"), Usage::default());
    }

    #[test]
    fn what_is_written_to_a_cache_has_its_length() {
        let usage = serde_json::json!({ "input_tokens": 1, "cache_creation_input_tokens": 30,
            "cache_creation": { "ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20 } });
        assert_eq!(read(&usage), Usage { input: 1, cache_write: 10, cache_write_long: 20, ..Usage::default() });
    }

    #[test]
    fn an_answer_that_broke_off_is_estimated() {
        let mut counter = Counter::default();
        assert_eq!(counter.estimate(50), Usage { input: 50, ..Usage::default() });
        counter.feed(&[b'x'; 160]);
        assert_eq!(counter.estimate(50), Usage { input: 50, output: 10, ..Usage::default() });
        counter.feed(b"\ndata: {\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n");
        let said = counter.estimate(50);
        assert!(said.input == 7 && said.output > 10, "{said:?}");
    }

    #[test]
    fn fuzz_of_usage() {
        crate::fuzz::fuzz("usage", |input| {
            let count = |piece: usize| {
                let mut counter = Counter::default();
                for piece in input.chunks(piece) {
                    counter.feed(piece);
                }
                (counter.estimate(100).total(), counter.finish())
            };
            let (whole, cut) = (count(input.len().max(1)), count(1 + input.len() % 7));
            if whole == cut { Ok(()) } else { Err(format!("cut into pieces it is {cut:?}, else {whole:?}")) }
        });
    }
}
