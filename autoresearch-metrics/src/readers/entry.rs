//! One result of a tool.

use serde_json::Value;

use crate::file::not_finite;
use crate::reading::Reading;

/// The number of a value in a tool's JSON, also one that is not finite.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| not_finite(value))
}

/// One result of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Its name; behind a slash that of a statistic other than the tool's own.
    pub name: String,
    /// True for a statistic other than the tool's own.
    pub is_other: bool,
    pub reading: Reading,
}

impl Entry {
    pub fn new(name: impl Into<String>, value: f64, unit: &str, source: impl Into<String>) -> Entry {
        Entry { name: name.into(), is_other: false, reading: Reading::new(value, unit, source) }
    }

    /// The same, of a file in a folder.
    pub fn in_folder(mut self, folder: &str) -> Entry {
        self.reading.folder = folder.to_owned();
        self
    }

    /// A further statistic of the entry `name`.
    pub fn other(name: &str, statistic: &str, value: f64, unit: &str, source: impl Into<String>) -> Entry {
        Entry { is_other: true, ..Entry::new(format!("{name}/{statistic}"), value, unit, source) }
    }
}
