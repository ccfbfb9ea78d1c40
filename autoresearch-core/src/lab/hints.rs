//! Hints of a person: read from a file that grows while the run goes on, and journaled before the proposer is asked.

use std::path::Path;

use serde::Deserialize;

use super::{Change, Lab, LabError};
use crate::journal::Record;
use crate::text::{PARAGRAPH_LIMIT, paragraph};

/// A line of the file.
#[derive(Deserialize)]
struct Hint {
    text: String,
}

impl<C: Change> Lab<C> {
    /// Journals the hints that are new since the last call. Those in the file and those in the journal have the same order, so
    /// that a hint is journaled once, whenever the process dies.
    pub(super) fn record_hints(&mut self) -> Result<(), LabError> {
        let Some(path) = &self.settings.hints else { return Ok(()) };
        for text in read(path).into_iter().skip(self.state.hints.len()) {
            self.record(Record::Hinted { text })?;
        }
        Ok(())
    }
}

/// Reads the hints of a file. A line without an end is still being written; another one that is no hint is passed over, and so
/// is a file that cannot be read: the search needs no hint.
fn read(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| Some(paragraph(&serde_json::from_str::<Hint>(line).ok()?.text, PARAGRAPH_LIMIT))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_hints_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hints.jsonl");
        assert!(read(&path).is_empty());
        std::fs::write(
            &path,
            "{\"text\":\"try \\u001b[31mSIMD\"}\nnonsense\n{\"text\":\"b\",\"at\":1}\n{\"text\":\"half",
        )
        .unwrap();
        assert_eq!(read(&path), ["try SIMD", "b"]);
    }
}
