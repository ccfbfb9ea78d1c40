//! The reasons for which a patch is rejected.

use thiserror::Error;

/// The reason for which a patch is rejected. Nothing is changed, and no experiment is spent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// No edit at all, or edits that change nothing.
    #[error("the patch changes nothing")]
    Empty,
    /// A path that names no file below the root.
    #[error("the path `{path}` cannot be edited: {why}")]
    BadPath {
        /// The path, escaped.
        path: String,
        /// The reason, in words.
        why: &'static str,
    },
    /// A path outside the allow-list.
    #[error("{path} may not be edited; editable: {editable}")]
    NotEditable {
        /// The path.
        path: String,
        /// The allow-list.
        editable: String,
    },
    /// The file to be edited does not exist.
    #[error("{0} does not exist; write a new file whole, or as a diff from /dev/null")]
    NoSuchFile(String),
    /// A diff creates a file that is there already.
    #[error("{0} exists already; write it whole, or as a diff from its present text")]
    AlreadyExists(String),
    /// The search text stands nowhere.
    #[error("the text to be replaced stands nowhere in {path}; the nearest line is {line}: {nearest}")]
    NoMatch {
        /// Path of the file.
        path: String,
        /// The number of the nearest line, from 1.
        line: usize,
        /// The nearest line.
        nearest: String,
    },
    /// The search text stands in several places.
    #[error("the text to be replaced stands {count} times in {path}; give more of its surroundings")]
    Ambiguous {
        /// Path of the file.
        path: String,
        /// The number of places.
        count: usize,
    },
    /// The text is no unified diff.
    #[error("line {line} of the diff: {why}")]
    MalformedDiff {
        /// The line of the diff, from 1.
        line: usize,
        /// The fault, and the remedy.
        why: &'static str,
    },
    /// A diff asks for something else than a change of text.
    #[error("{path}: {what} cannot be part of a patch; leave it out, and only change text or create text files")]
    Unsupported {
        /// Path of the file.
        path: String,
        /// The thing that it asks for.
        what: &'static str,
    },
    /// A file that exists is no text.
    #[error("{0} is not text (UTF-8), so it can be neither edited nor replaced")]
    NotText(String),
    /// A new file would stand where a folder is, or below a file.
    #[error("{path} cannot be a file beside {with}: one of them would be a folder")]
    Collides {
        /// Path of the new file.
        path: String,
        /// Path of the file or folder that exists.
        with: String,
    },
    /// The file would hold a NUL, so it would be no text.
    #[error("{0} would contain a NUL; write text only")]
    Binary(String),
}
