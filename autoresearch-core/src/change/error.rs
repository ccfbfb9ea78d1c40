//! The reasons for which a patch is rejected.

use thiserror::Error;

/// The reason for which a patch is rejected, in words that say what to do. Nothing is changed, and no experiment is spent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(transparent)]
pub struct PatchError(PatchFault);

impl PatchError {
    pub(super) fn from_fault(fault: PatchFault) -> PatchError {
        PatchError(fault)
    }

    /// True if the edits fit, and leave every file as it is.
    #[doc(hidden)]
    pub fn changes_nothing(&self) -> bool {
        self.0 == PatchFault::Empty
    }
}

/// The fault of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchFault {
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
    /// A file cannot be what the patch makes of it: it is missing, exists already, is no text, or stands where a folder is.
    #[error("{path} {why}")]
    File {
        /// Path of the file.
        path: String,
        /// The fault, and the remedy.
        why: String,
    },
}

/// The faults of a file, each in one place with its remedy.
impl PatchFault {
    fn file(path: &str, why: impl Into<String>) -> PatchFault {
        PatchFault::File { path: path.to_owned(), why: why.into() }
    }

    /// The file to be edited does not exist.
    pub(super) fn no_such_file(path: &str) -> PatchFault {
        PatchFault::file(path, "does not exist; write a new file whole, or as a diff from /dev/null")
    }

    /// A diff creates a file that is there already.
    pub(super) fn already_exists(path: &str) -> PatchFault {
        PatchFault::file(path, "exists already; write it whole, or as a diff from its present text")
    }

    /// A diff asks for something else than a change of text.
    pub(super) fn unsupported(path: &str, what: &str) -> PatchFault {
        let remedy = "leave it out, and only change text or create text files";
        PatchFault::file(path, format!("comes with {what}, which cannot be part of a patch; {remedy}"))
    }

    /// The file would hold a NUL, so it would be no text.
    pub(super) fn binary(path: &str) -> PatchFault {
        PatchFault::file(path, "would contain a NUL; write text only")
    }

    /// A file that exists is no text.
    #[cfg(feature = "command")]
    pub(crate) fn not_text(path: &str) -> PatchFault {
        PatchFault::file(path, "is not text (UTF-8), so it can be neither edited nor replaced")
    }

    /// A new file would stand where a folder is, or below a file.
    #[cfg(feature = "command")]
    pub(crate) fn collides(path: &str, with: &str) -> PatchFault {
        PatchFault::file(path, format!("cannot be a file beside {with}: one of them would be a folder"))
    }
}
