//! The rows of another tool's file as a reader found them, before it is decided which metric counts and what was kept.

use std::collections::BTreeMap;

use autoresearch_core::Direction;

use super::words::Word;

/// The content of a file, or of several that belong together.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The format, in words.
    pub format: String,
    /// The rows, oldest first.
    pub rows: Vec<FoundRow>,
    /// The columns that may be the metric, the likeliest first.
    pub metrics: Vec<FoundMetric>,
    /// Rows that were not understood, and facts that a reader should know.
    pub problems: Vec<Problem>,
    /// True if the file says what was kept.
    pub has_status: bool,
}

/// A column that may be the metric.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundMetric {
    /// Its name.
    pub name: String,
    /// The better direction, if the file says so.
    pub direction: Option<Direction>,
}

/// A row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundRow {
    /// Its place in the file: a line, or a number of the tool's own.
    pub line: usize,
    /// The commit or another name; `-` without one.
    pub commit: String,
    /// The decision, if it was understood.
    pub word: Option<Word>,
    /// The decision as it is written.
    pub recorded: String,
    /// The cells of the columns that may be the metric, by name.
    pub values: BTreeMap<String, String>,
    /// Peak memory in gigabytes, if it was noted.
    pub memory_gb: Option<f64>,
    /// The description, in one line.
    pub description: String,
}

/// A row that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its place in the file.
    pub line: usize,
    /// The fault, and the fate of the row.
    pub why: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl Found {
    /// An empty table of this format.
    pub fn of(format: &str) -> Found {
        Found { format: format.to_owned(), ..Found::default() }
    }

    /// Adds a metric that is not there yet.
    pub fn add_metric(&mut self, name: &str, direction: Option<Direction>) {
        if !self.metrics.iter().any(|metric| metric.name == name) {
            self.metrics.push(FoundMetric { name: name.to_owned(), direction });
        }
    }

    /// Adds a problem.
    pub fn problem(&mut self, line: usize, why: impl Into<String>) {
        self.problems.push(Problem { line, why: why.into() });
    }
}

impl FoundRow {
    /// A row at this place, without anything in it.
    pub fn at(line: usize) -> FoundRow {
        FoundRow { line, commit: "-".into(), ..FoundRow::default() }
    }
}
