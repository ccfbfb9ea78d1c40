//! Errors of sandboxes: failures of a sandbox itself, which say nothing about a candidate.

use thiserror::Error;

/// Reason why a change could not be staged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StageError {
    /// The proposal is at fault: it is rejected and costs no experiment.
    #[error("{0}")]
    Rejected(String),
    /// The sandbox is at fault.
    #[error(transparent)]
    Failed(#[from] SandboxError),
}

/// The sandbox failed; the candidate is not to blame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The trial was cancelled; it is made again when the run is resumed.
    #[error("cancelled")]
    Cancelled,
    /// The disk is full.
    #[error("no space is left on the disk while {doing}; free some and run the same command again, nothing is lost")]
    DiskFull {
        /// The operation that failed, as `writing the log`.
        doing: String,
    },
    /// A file that decides the number is not as it was when the run began.
    #[error(
        "{} decides the number and changed while the run went on; put it back and run the same command again, or begin a new run under \
         another tag: what was measured before and after does not compare",
        .path.display()
    )]
    LockedChanged {
        /// The file or folder.
        path: std::path::PathBuf,
    },
    /// Reading or writing failed.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed, as `writing the log`.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A command of the configuration cannot be started at all.
    #[error("cannot start `{command}`: {source}; is it installed and on PATH?")]
    CannotStart {
        /// The program.
        command: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The backend of the sandbox failed: git, a container engine, a cluster.
    #[error(transparent)]
    Backend(Box<dyn std::error::Error + Send + Sync>),
    /// Any other failure.
    #[error("{0}")]
    Other(String),
}

impl SandboxError {
    /// Wraps an input/output error, and recognises a full disk.
    ///
    /// ```
    /// use autoresearch_core::SandboxError;
    /// let read = std::fs::read("/no/such/file").map_err(|error| SandboxError::io("reading the scores", error));
    /// assert!(read.is_err_and(|error| error.to_string().contains("reading the scores")));
    /// ```
    pub fn io(doing: impl Into<String>, source: std::io::Error) -> SandboxError {
        let doing = doing.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => SandboxError::DiskFull { doing },
            _ => SandboxError::Io { doing, source },
        }
    }
}
