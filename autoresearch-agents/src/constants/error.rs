//! Faults of constants and of their ranges.

use thiserror::Error;

pub use super::range::RangeError;

/// Fault of a constant or of a range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConstantError {
    /// No constant has this name.
    #[error("no editable file has a value named {name}; {} are: {known}", meant(nearest.as_ref()))]
    Unknown {
        /// Name that was looked for.
        name: String,
        /// The name that is most like it, if one is.
        nearest: Option<String>,
        /// Names of the constants that exist.
        known: String,
    },
    /// The name stands in several places.
    #[error("{name} stands in {count} places; say which: {places}")]
    Ambiguous {
        /// Name that was looked for.
        name: String,
        /// Number of the places.
        count: usize,
        /// Keys that name one place each, with line and value.
        places: String,
    },
    /// The key names a file that is not editable.
    #[error("{key} names the file {file}, which is none of the editable ones; there are: {known}")]
    NoFile {
        /// Key with the file.
        key: String,
        /// Path before the `:`.
        file: String,
        /// Paths of the files that exist.
        known: String,
    },
    /// No value has this pointer.
    #[error("{key} leads to no value: {why}")]
    Pointer {
        /// Key with the pointer.
        key: String,
        /// Reason, with pointers that exist.
        why: String,
    },
    /// The value is computed or no number.
    #[error(
        "{file}:{line}: the value of {name} is `{value}`, which is no number that a range of numbers could replace; write it as \
         a number, or give a list of texts: `{{{value}, …}}`"
    )]
    NoNumber {
        /// Path of the file.
        file: String,
        /// Number of the line.
        line: usize,
        /// Name of the constant.
        name: String,
        /// Its value.
        value: String,
    },
    /// The value is an integer, and the range has fractions.
    #[error(
        "{file}:{line}: the value of {name} is the integer `{value}`, and its range `{range}` has fractions; write the value as \
         `{value}.0`, or whole numbers in the range"
    )]
    Fraction {
        /// Path of the file.
        file: String,
        /// Number of the line.
        line: usize,
        /// Name of the constant.
        name: String,
        /// Its value.
        value: String,
        /// Its range.
        range: String,
    },
    /// The annotation could mean several values of its line.
    #[error("{file}:{line}: the range could mean {names}; say which: `knob: {name} {range}`")]
    Rivals {
        /// Path of the file.
        file: String,
        /// Number of the line.
        line: usize,
        /// Names on the line.
        names: String,
        /// The first of them.
        name: String,
        /// The range.
        range: String,
    },
    /// The annotation belongs to no value.
    #[error(
        "{file}:{line}: the comment has a range, and the line has no `NAME = VALUE` that it could belong to; write both on \
         one line"
    )]
    Lost {
        /// Path of the file.
        file: String,
        /// Number of the line.
        line: usize,
    },
    /// Two keys name the same value.
    #[error("{first} and {second} name the same value; leave one out")]
    Twice {
        /// One key.
        first: String,
        /// The other one.
        second: String,
    },
    /// The range cannot be read.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// The question after the name that is meant, before the list of those that exist.
fn meant(nearest: Option<&String>) -> String {
    nearest.map_or("there".to_owned(), |nearest| format!("do you mean {nearest}? There"))
}
