//! Failures of git work, each with the remedy.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::revision::Revision;
use crate::sandbox::{SandboxError, StageError};

/// Git failed, or the repository cannot be worked with as it is. The message names the remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no repository, or none that a run can work in.
    #[error("{} {why}", path.display())]
    Repository {
        /// The folder or repository.
        path: PathBuf,
        /// The obstacle, and the next step for the user.
        why: String,
    },
    /// A branch or ref of the run cannot be made or moved.
    #[error("{name} {why}")]
    Ref {
        /// The branch as a user types it, or the full name of the ref.
        name: String,
        /// The obstacle, and the next step for the user.
        why: String,
    },
    /// A file cannot be part of a candidate's folder.
    #[error("{path} {why}")]
    File {
        /// Path of the file.
        path: String,
        /// The obstacle, and the next step for the user.
        why: String,
    },
    /// Git converts files at checkout, and its command is not there to do it.
    #[error(
        "git converts files of this repository at checkout (line ends, encodings or `$Id$`, by .gitattributes or core.autocrlf), which needs the git command: {0}; install git"
    )]
    NeedsGit(String),
    /// The tag cannot be part of a branch's name.
    #[error("`{0}` cannot be the name of a branch; use letters, digits, `-`, `_` and `.`")]
    BadTag(String),
    /// The name cannot be that of a branch.
    #[error("`{0}` cannot be the name of a branch; give one as `research/NAME`, without spaces and without `..`")]
    BadBranch(String),
    /// Any other failure, in git's words.
    #[error("git: {0}")]
    Git(String),
}

/// The errors that this room makes, each in one place with its remedy.
impl GitError {
    fn repository(path: &Path, why: impl Into<String>) -> GitError {
        GitError::Repository { path: path.to_owned(), why: why.into() }
    }

    /// The folder is in no repository.
    pub(super) fn no_repository(path: &Path) -> GitError {
        GitError::repository(path, "is not in a git repository; run `git init` there and commit the files")
    }

    /// The repository has no working tree to read a configuration from.
    pub(super) fn bare(path: &Path) -> GitError {
        GitError::repository(
            path,
            "is a bare repository, which has no working tree; clone it and start the run in the clone",
        )
    }

    /// The repository belongs to another user, and git refuses to read it.
    pub(super) fn owner(path: &Path) -> GitError {
        let path = path.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(path);
        let remedy = format!("git config --global --add safe.directory {}", path.display());
        GitError::repository(
            path,
            format!("belongs to another user, so git does not trust it; if you do, run `{remedy}`"),
        )
    }

    /// The repository uses a feature of git that is not supported.
    pub(super) fn unsupported(path: &Path, feature: &str, remedy: &str) -> GitError {
        GitError::repository(path, format!("uses {feature}, which is not supported; {remedy}"))
    }

    /// The repository has no commit.
    pub(super) fn no_commit(path: &Path) -> GitError {
        GitError::repository(path, "has no commit yet; commit the files that the search starts from")
    }

    /// The branch of the run is not at the commit that the journal names.
    pub(super) fn moved(branch: String, found: Option<&Revision>, expected: Option<&Revision>) -> GitError {
        let other = "or start a run with another tag";
        let why = match (found, expected) {
            (None, Some(expected)) => format!(
                "is gone, but the journal says {expected}; make it again with `git branch {branch} {expected}`, {other}"
            ),
            (Some(found), Some(expected)) => format!(
                "is at {found}, but the journal says {expected}; it was moved by somebody else: move it back with `git branch \
                 -f {branch} {expected}`, {other}"
            ),
            (found, None) => format!(
                "is at {}, but the journal says that nothing is kept yet; it was made by somebody else: rename it with `git \
                 branch -m {branch} {branch}-old`, {other}",
                found.map_or_else(|| "nowhere".to_owned(), Revision::to_string)
            ),
        };
        GitError::Ref { name: branch, why }
    }

    /// The ref `taken` makes the name `wanted` impossible: git keeps refs as files and folders.
    pub(super) fn name_taken(taken: &str, wanted: String) -> GitError {
        let old = taken.strip_prefix("refs/heads/").unwrap_or(taken);
        let why = format!(
            "cannot be made, as the ref {taken} exists; rename that first, for instance with `git branch -m {old} {old}-old`, or \
             start the run with another tag"
        );
        GitError::Ref { name: wanted, why }
    }

    /// Somebody has the run's branch checked out: moving it would leave them with a staged revert.
    pub(super) fn checked_out(branch: String, worktree: &Path) -> GitError {
        let why = format!(
            "is checked out in {}, and a run never moves a branch under its user; switch to another branch there (`git switch \
             -`) and run the same command again, nothing is lost",
            worktree.display()
        );
        GitError::Ref { name: branch, why }
    }

    /// A file's name is not UTF-8.
    pub(super) fn name_not_utf8(path: String) -> GitError {
        GitError::File { path, why: "has a name that is not UTF-8; rename it with `git mv` and commit that".into() }
    }

    /// A file is changed by a filter when git checks it out.
    pub(super) fn filtered(path: &str, attribute: &str) -> GitError {
        let why = format!(
            "is changed by git at checkout ({attribute} in .gitattributes), which a candidate's folder would not have; keep that \
             file outside the repository and give its path to the command, or take the attribute away"
        );
        GitError::File { path: path.to_owned(), why }
    }
}

#[doc(hidden)]
impl From<GitError> for SandboxError {
    fn from(error: GitError) -> SandboxError {
        SandboxError::Backend(Box::new(error))
    }
}

#[doc(hidden)]
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
