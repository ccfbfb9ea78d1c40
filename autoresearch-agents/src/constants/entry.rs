//! A name with a value on one line.

use std::ops::Range;

/// A name and the place of its value, in bytes of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub value: Range<usize>,
}

impl Entry {
    pub fn new(name: &str, value: Range<usize>) -> Entry {
        Entry { name: name.to_owned(), value }
    }

    /// Returns true if its value contains that of another entry.
    fn contains(&self, other: &Entry) -> bool {
        self.value.start <= other.value.start && self.value.end >= other.value.end && self.value != other.value
    }
}

/// Leaves out entries whose values contain others, since those are the values themselves.
pub(super) fn innermost(entries: Vec<Entry>) -> Vec<Entry> {
    let is_outer = |entry: &Entry| entries.iter().any(|other| entry.contains(other));
    let mut inner: Vec<Entry> = entries.iter().filter(|entry| !is_outer(entry)).cloned().collect();
    inner.sort_by_key(|entry| entry.value.start);
    inner.dedup_by(|a, b| a.value == b.value);
    inner
}

/// Returns the range without the white space at its ends.
pub(super) fn trimmed(line: &str, range: Range<usize>) -> Range<usize> {
    let text = line.get(range.clone()).unwrap_or_default();
    let start = range.start + text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// Returns a string without its quotes and prefix; other texts stay as they are.
pub(super) fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let open = text.find(['"', '\'', '`']).filter(|at| *at <= 2);
    let inner = open.and_then(|at| {
        let quote = text.get(at..)?.chars().next()?;
        text.get(at..)?.strip_prefix(quote)?.strip_suffix(quote)
    });
    inner.unwrap_or(text)
}
