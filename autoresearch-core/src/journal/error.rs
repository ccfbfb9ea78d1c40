//! The reasons for which a journal cannot be used.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::record::VERSION;

/// The reason for which a journal cannot be used, in words that say what to do.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct JournalError(#[from] JournalFault);

impl JournalError {
    /// True if another process writes this journal: the run is going on there.
    pub fn is_locked(&self) -> bool {
        matches!(self.0, JournalFault::Locked(_))
    }

    /// True if no space is left on the disk. Nothing is lost: the same run goes on when there is some.
    pub fn is_disk_full(&self) -> bool {
        matches!(self.0, JournalFault::DiskFull(_))
    }

    /// Returns the fault, for the crates of this workspace.
    #[doc(hidden)]
    pub fn fault(&self) -> &JournalFault {
        &self.0
    }
}

/// The fault of a journal.
#[derive(Debug, Error)]
pub enum JournalFault {
    /// The journal is locked: another process writes it.
    #[error(
        "{0} is in use: this run is already going on in another process; stop that one, or start a run with another tag"
    )]
    Locked(PathBuf),
    /// A line in the middle is damaged.
    #[error(
        "line {line} of {path} is damaged ({why}), which is more than a crash in the middle of a write leaves; restore the file from a copy, or start a run with another tag"
    )]
    Damaged {
        /// Path of the journal.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The damage, in words.
        why: String,
    },
    /// Something else than the lab wrote into the journal.
    #[error(
        "{lines} of {path} {are} no record ({why}): something else than the lab wrote into the journal; `autoresearch verify --set-aside` takes {it} out and keeps a copy of the file; give [isolation] level = \"best-effort\" if a candidate did it",
        lines = if *count == 1 { format!("line {line}") } else { format!("{count} lines, from line {line} on,") },
        are = if *count == 1 { "is" } else { "are" },
        it = if *count == 1 { "it" } else { "them" },
        path = path.display()
    )]
    Foreign {
        /// Path of the journal.
        path: PathBuf,
        /// Number of the first such line, from 1.
        line: usize,
        /// Number of such lines.
        count: usize,
        /// The reason why the first is no record, in words.
        why: String,
    },
    /// The journal is written in another version of the format.
    #[error("{path} is written in format {found}, this program reads format {VERSION}; {}", other_version(*found))]
    Version {
        /// Path of the journal.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The records contradict each other.
    #[error("the journal contradicts itself at record {seq}: {why}")]
    Contradiction {
        /// The record's number.
        seq: u64,
        /// The contradiction, in words.
        why: String,
    },
    /// The disk is full.
    #[error(
        "no space is left on the disk for the journal {0}; free some and run the same command again, nothing is lost"
    )]
    DiskFull(PathBuf),
    /// A write failed before; the journal must be opened anew.
    #[error("the journal {0} failed before and must be opened anew: run the same command again")]
    Failed(PathBuf),
    /// Reading or writing failed.
    #[error("the journal {path}: {source}")]
    Io {
        /// Path of the journal.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A record would be written as a line that cannot be read back; nothing was written.
    #[error(
        "record {seq} cannot be written, as it could not be read back: {why}; leave out numbers that are not finite and values nested deeper than 100 levels"
    )]
    Unreadable {
        /// Number of the record.
        seq: u64,
        /// The reason.
        why: String,
    },
    /// A run would start over the measured records of another one; nothing was written.
    #[error("{0} holds a run with a measured baseline already; give the new run another tag")]
    AlreadyStarted(PathBuf),
}

impl JournalFault {
    /// True if the file can be read, and what it says can't.
    pub fn is_content(&self) -> bool {
        matches!(self, JournalFault::Damaged { .. } | JournalFault::Foreign { .. } | JournalFault::Version { .. })
    }
}

fn other_version(found: u32) -> &'static str {
    if found > VERSION {
        "use the newer program"
    } else {
        "its records have other names; report on it with the program that wrote it, and start a run with another tag"
    }
}

/// Turns a failure of reading or writing `path` into ours.
pub(super) fn io(path: &Path, source: std::io::Error) -> JournalError {
    let fault = match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => JournalFault::DiskFull(path.to_owned()),
        _ => JournalFault::Io { path: path.to_owned(), source },
    };
    fault.into()
}
