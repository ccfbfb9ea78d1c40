//! A reader of server-sent events, in pieces of any size and of any content.

use thiserror::Error;

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name of the event; empty without one.
    pub name: String,
    /// Data lines, joined by line feeds.
    pub data: String,
}

/// An event that is larger than this many bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an event of the response is larger than {0} bytes")]
pub struct TooLarge(pub usize);

/// Assembles events from the pieces of a response.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    /// The last byte was a carriage return: a line feed after it belongs to it.
    after_cr: bool,
    began: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new(16 << 20)
    }
}

impl Reader {
    /// A reader of events of at most `limit` bytes. Default: 16 MiB.
    pub fn new(limit: usize) -> Reader {
        Reader { limit, line: Vec::new(), name: String::new(), data: None, after_cr: false, began: false }
    }

    /// Reads the next piece, and returns the events that it completes.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(bytes.len());
            let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
            if held + taken > self.limit {
                return Err(TooLarge(self.limit));
            }
            self.line.extend_from_slice(&bytes[..taken]);
            let Some(end) = end else { break };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.take(&line));
        }
        Ok(events)
    }

    /// Reads one line without its end; an empty one ends an event.
    fn take(&mut self, line: &[u8]) -> Option<Event> {
        let line = String::from_utf8_lossy(line);
        let line = if std::mem::replace(&mut self.began, true) { &line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return self.data.take().map(|data| Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments, ids, times to reconnect, and whatever else.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8], piece: usize) -> Vec<Event> {
        let mut reader = Reader::default();
        text.chunks(piece.max(1)).flat_map(|chunk| reader.push(chunk).unwrap()).collect()
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn events_are_read_whatever_the_pieces_and_the_line_ends() {
        let text = "\u{feff}event: ping\ndata: {}\n\n: comment\ndata:a\rdata: b\r\revent: x\r\ndata: ü\r\nid: 4\r\n\r\ndata: cut";
        for piece in 1..=text.len() {
            let events = all(text.as_bytes(), piece);
            assert_eq!(events, [event("ping", "{}"), event("", "a\nb"), event("x", "ü")], "{piece}");
        }
    }

    #[test]
    fn an_event_without_end_is_an_error() {
        let mut reader = Reader::new(100);
        let result = (0..200).try_for_each(|_| reader.push(b"data: xxxxxxxxxx\n").map(drop));
        assert_eq!(result, Err(TooLarge(100)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::testing::fuzz_cases()))]
        #[test]
        fn any_bytes_give_the_same_events_however_they_are_cut(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "((event|data|id|: c)?(: ?[a-z{}\"]{0,5})?(\n|\r\n|\r|\n\n)?){0,12}".prop_map(String::into_bytes),
            ],
            piece in 1usize..9,
        ) {
            prop_assert_eq!(all(&bytes, piece), all(&bytes, usize::MAX));
        }
    }
}
