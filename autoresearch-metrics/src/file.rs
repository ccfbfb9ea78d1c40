//! A number in a file that the run wrote, by its place in it.

use autoresearch_core::{Direction, MetricError, RunLog, Which};
use serde_json::Value;

mod format;
mod pointer;

pub use format::Format;
pub(crate) use format::{json, not_finite};
use pointer::{number, numbers, places, resolve};

use crate::direction::suggested_direction;
use crate::files::{Written, only};
use crate::reading::{Reading, choose};

/// A place in a file: JSON, JSON Lines, YAML, TOML, a column of CSV or TSV, or the metadata of safetensors.
///
/// A file with rows gives a number for each row that has the place; they must agree unless it is said which one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    file: String,
    pointer: String,
    format: Option<Format>,
}

impl FilePlace {
    /// A place in the file at the path `file` below the candidate's folder, which may have wildcards: `/val/loss` is the entry
    /// `loss` of the entry `val`, `/3` the fourth entry of a list and `/-1` its last one, `/val_loss` a column.
    pub fn new(file: impl Into<String>, pointer: impl Into<String>) -> FilePlace {
        FilePlace { file: file.into(), pointer: pointer.into(), format: None }
    }

    /// Sets the format. By default the file's ending tells it.
    pub fn format(mut self, format: Format) -> FilePlace {
        self.format = Some(format);
        self
    }

    /// The path of the file, or its pattern.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Finds a mistake in the pointer. The error continues the key's name.
    pub fn check(pointer: &str) -> Result<(), String> {
        match pointer.is_empty() {
            true => Err("is empty; give the place of the number, as '/val/loss', or the name of a column".into()),
            false => Ok(()),
        }
    }

    /// Reads the number from a kept file.
    pub(crate) fn reading(&self, log: &RunLog, name: &str, which: Option<Which>) -> Result<Reading, MetricError> {
        let written = only(log, &self.file)?;
        let rows = self.rows(&written)?;
        let mut found = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let Some(value) = resolve(row, &self.pointer).filter(|value| !is_blank(value, rows.len())) else {
                continue;
            };
            let row = if rows.len() > 1 { format!(", row {}", at + 1) } else { String::new() };
            let source = format!("{} in {}{row}", self.pointer, written.path);
            match number(value) {
                Ok((value, unit)) => found.push(Reading::new(value, unit, source)),
                Err(_) if not_finite(value).is_some() && rows.len() > 1 => {
                    found.push(Reading::new(not_finite(value).unwrap_or(f64::NAN), "", source));
                }
                Err(why) => return Err(MetricError::NotFinite { name: format!("{name} ({source})"), value: why }),
            }
        }
        if found.is_empty() {
            let seen = numbers(rows.last(), &self.pointer);
            return Err(MetricError::Refused(match seen.is_empty() {
                true => format!("{} has no numbers", written.path),
                false => format!(
                    "{} has no place {}; it has: {seen}. Give `pointer` one of these",
                    written.path, self.pointer
                ),
            }));
        }
        choose(found, name, which)
    }

    fn rows(&self, written: &Written) -> Result<Vec<Value>, MetricError> {
        let format = self.format.unwrap_or_else(|| Format::of(&written.path));
        format
            .rows(&written.bytes)
            .map_err(|why| MetricError::Refused(format!("{} is not {}: {why}", written.path, format.name())))
    }
}

/// A number in a file that a run wrote, which a metric of this place would read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FoundPlace {
    /// The place: what `[metric] pointer` says.
    pub pointer: String,
    /// The number; that of the last row in a file with several.
    pub value: f64,
    /// Rows that have the place: with several, `[metric] which` must say the one that counts.
    pub rows: usize,
    /// The better direction that its name suggests. It is for a person to confirm.
    pub direction: Option<Direction>,
}

/// Lists the numbers in a file that a run wrote; none for a file that is not of its ending's format.
///
/// ```
/// let found = autoresearch_metrics::found_in_file("out/result.json", br#"{"val": {"loss": 0.5}, "epoch": 3}"#);
/// assert!(found.iter().any(|place| place.pointer == "/val/loss" && place.value == 0.5));
/// ```
pub fn found_in_file(path: &str, bytes: &[u8]) -> Vec<FoundPlace> {
    let rows = Format::of(path).rows(bytes).unwrap_or_default();
    let Some(last) = rows.last() else { return Vec::new() };
    let found = places(last).into_iter().map(|(pointer, value)| FoundPlace {
        rows: rows.iter().filter(|row| resolve(row, &pointer).is_some()).count(),
        direction: suggested_direction(pointer.trim_start_matches('/'), ""),
        pointer,
        value,
    });
    found.collect()
}

/// A cell without a value, in a table whose rows have different columns filled.
fn is_blank(value: &Value, rows: usize) -> bool {
    rows > 1 && (value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()))
}

#[cfg(test)]
mod tests;
