//! Reasons why a bundle cannot be written or read.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// A bundle cannot be written, or is not whole. Each message says what to do next.
#[derive(Debug, Error)]
pub enum BundleError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{} is no bundle: it does not begin as one; give the file that `autoresearch bundle` wrote, or a run's tag",
        .0.display()
    )]
    NotABundle(PathBuf),
    #[error("{} is a bundle of version {found}, and this program reads version {known}; use the program that wrote it", path.display())]
    Version { path: PathBuf, found: String, known: u32 },
    #[error("{} is truncated: it ends in {at}; get the file again", path.display())]
    Truncated { path: PathBuf, at: String },
    #[error("{} goes on after its end; get the file again", .0.display())]
    TooLong(PathBuf),
    #[error("{}: the list of its members is damaged: {why}; get the file again", path.display())]
    Manifest { path: PathBuf, why: String },
    #[error("{}: the member {name} is missing; get the file again, or have the run bundled again", path.display())]
    Missing { path: PathBuf, name: String },
    #[error("{}: {name} has {bytes} bytes, and {limit} is the most", path.display())]
    TooLarge { path: PathBuf, name: String, bytes: u64, limit: u64 },
    #[error("{}: the header of {name} is changed; get the file again", path.display())]
    Header { path: PathBuf, name: String },
    #[error("{}: the member {name} is changed: its checksum does not fit; get the file again", path.display())]
    Changed { path: PathBuf, name: String },
    #[error("{}: the checksum of the whole file does not fit; get the file again", .0.display())]
    Digest(PathBuf),
    #[error("{}: {REPOSITORY} holds {why}", path.display(), REPOSITORY = super::format::REPOSITORY)]
    Pack { path: PathBuf, why: String },
    #[error("{}: {name} is not UTF-8; have the run bundled again", path.display())]
    NotText { path: PathBuf, name: &'static str },
    #[error("{} changed while it was read; bundle the run again", .0.display())]
    Moved(PathBuf),
    #[error("{0}")]
    Signature(String),
}

impl BundleError {
    pub fn io(path: &Path, source: std::io::Error) -> BundleError {
        BundleError::Io { path: path.to_owned(), source }
    }
}
