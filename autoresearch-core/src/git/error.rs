//! Failures of git work, each with the remedy.

use std::path::PathBuf;

use thiserror::Error;

use crate::sandbox::{SandboxError, StageError};

/// Git failed, or the repository cannot be worked with as it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// The folder is in no repository.
    #[error("{0} is not in a git repository; run `git init` there and commit the files")]
    NoRepository(PathBuf),
    /// The repository is bare, so it has no working tree to read a configuration from.
    #[error("{0} is a bare repository, which has no working tree; clone it and start the run in the clone")]
    Bare(PathBuf),
    /// The repository belongs to another user, and git refuses to read it.
    #[error(
        "the repository {0} belongs to another user, so git does not trust it; if you do, run `git config --global --add safe.directory {0}`"
    )]
    Owner(PathBuf),
    /// The repository uses a feature of git that is not supported.
    #[error("the repository {path} uses {feature}, which is not supported; {remedy}")]
    Unsupported {
        /// The repository.
        path: PathBuf,
        /// The feature by its name.
        feature: String,
        /// The next step for the user.
        remedy: &'static str,
    },
    /// The repository has no commit.
    #[error("the repository has no commit yet; commit the files that the search starts from")]
    NoCommit,
    /// The branch of the run is not at the commit that the journal names.
    #[error(
        "the branch {branch} is at {found}, but the journal says {expected}; it was moved by somebody else: move it back, or start a run with another tag"
    )]
    Moved {
        /// The branch.
        branch: String,
        /// The commit that it is at, or `nowhere`.
        found: String,
        /// The commit that it should be at, or `nowhere`.
        expected: String,
    },
    /// An existing ref makes a name of the run impossible: git keeps refs as files and folders.
    #[error(
        "the ref {taken} exists, so git cannot make {wanted}; rename it first, for instance with `git branch -m {old} {old}-old`, or start the run with another tag"
    )]
    NameTaken {
        /// The full name of the ref that exists.
        taken: String,
        /// Its name without `refs/heads/`.
        old: String,
        /// The full name that the run needs.
        wanted: String,
    },
    /// Somebody has the run's branch checked out: moving it would leave them with a staged revert.
    #[error(
        "the branch {branch} is checked out in {worktree}, and a run never moves a branch under its user; switch to another branch there (`git switch -`) and run the same command again, nothing is lost"
    )]
    CheckedOut {
        /// The branch.
        branch: String,
        /// The working tree that has it.
        worktree: PathBuf,
    },
    /// A file's name is not UTF-8.
    #[error("the name of the file {0} is not UTF-8; rename it with `git mv` and commit that")]
    NameNotUtf8(String),
    /// A file is changed by a filter when git checks it out.
    #[error(
        "git changes {path} at checkout ({attribute} in .gitattributes), which a candidate's folder would not have; keep that file outside the repository and give its path to the command, or take the attribute away"
    )]
    Filtered {
        /// Path of the file.
        path: String,
        /// The attribute with its value.
        attribute: String,
    },
    /// The tag cannot be part of a branch's name.
    #[error("`{0}` cannot be the name of a branch; use letters, digits, `-`, `_` and `.`")]
    BadTag(String),
    /// Any other failure, in git's words.
    #[error("git: {0}")]
    Git(String),
}

impl From<GitError> for SandboxError {
    fn from(error: GitError) -> SandboxError {
        SandboxError::Backend(Box::new(error))
    }
}

impl From<GitError> for StageError {
    fn from(error: GitError) -> StageError {
        StageError::Failed(error.into())
    }
}

/// Turns errors of the git library into ours, without naming its type in the public interface.
pub(super) trait OrGit<T> {
    /// Keeps the value, or the library's message.
    fn or_git(self) -> Result<T, GitError>;
}

impl<T> OrGit<T> for Result<T, git2::Error> {
    fn or_git(self) -> Result<T, GitError> {
        self.map_err(|error| GitError::Git(error.message().to_owned()))
    }
}
