//! Errors of the data, each with its remedy.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Data could not be found, read, understood or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing was prepared.
    #[error(
        "there is no prepared data in {0}; run `prepare` first (`cargo xtask nanochat` does), or set AUTORESEARCH_DATA to its folder"
    )]
    NotPrepared(PathBuf),
    /// A file of the prepared data is damaged.
    #[error("{path} is damaged: {why}; run `prepare` again, it makes it anew")]
    Corrupt {
        /// Path of the file.
        path: PathBuf,
        /// Description of the mistake.
        why: String,
    },
    /// The corpus holds nothing.
    #[error("{0} holds no documents; give text files, JSON Lines with a `text` field, or parquet with a `text` column")]
    Empty(String),
    /// A document cannot be understood.
    #[error("{path}{}: {why}", line.map_or(String::new(), |line| format!(", line {line}")))]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// The line, from 1, where that makes sense.
        line: Option<usize>,
        /// Description of the mistake and its remedy.
        why: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("no space is left on the disk for {0}; free some and run the same command again, it goes on where it was")]
    DiskFull(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Unwritable {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A download failed for good.
    #[error("cannot download {url}: {why}; run the same command again, it goes on where it was")]
    Download {
        /// From where.
        url: String,
        /// Description of the last failure.
        why: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
}

impl DataError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> DataError {
        DataError::Unreadable { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> DataError {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => DataError::DiskFull(path.to_owned()),
            _ => DataError::Unwritable { path: path.to_owned(), source },
        }
    }

    pub(crate) fn corrupt(path: &Path, why: impl Into<String>) -> DataError {
        DataError::Corrupt { path: path.to_owned(), why: why.into() }
    }
}
