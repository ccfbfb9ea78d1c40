//! Errors of the command. Each message says what happened, which value, and what to do next.

use std::path::PathBuf;

use autoresearch_agents::ConstantError;
use autoresearch_core::internal::git::GitError;
use autoresearch_core::{JournalError, LabError, ProgramError, ProposerError, SandboxError};
use thiserror::Error;

use crate::bundle::BundleError;
use crate::config::ConfigError;
use crate::plot::PlotError;

/// A subcommand failed.
#[derive(Debug, Error)]
pub enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("{error}{remedies}")]
    Baseline {
        error: LabError,
        /// Remedies for files and modules that its program did not find: lines of their own, or nothing.
        remedies: String,
    },
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("[constants]: {0}")]
    Constants(#[from] ConstantError),
    #[error(
        "the repository has uncommitted changes, and a run starts from the last commit:\n{files}\ncommit or stash them, or give --allow-dirty to run without them"
    )]
    Dirty { files: String },
    #[error(
        "the run {tag} is that of another working tree, {}; go on with it there, or give another --tag",
        other.display()
    )]
    RunElsewhere { tag: String, other: PathBuf },
    #[error(
        "the branch {0} exists already, but this working tree has no journal of that run; give another --tag, or, if no other working tree runs it (`git worktree list`), put the branch aside: git branch -m {0} {0}-old"
    )]
    BranchExists(String),
    #[error(
        "{0}, or give the branches of runs another name in autoresearch.toml:\n\n[git]\nbranch = \"research/{{tag}}\""
    )]
    BranchInTheWay(GitError),
    #[error("the run {0} is complete; give a larger --experiments to go on with it, or another --tag")]
    Complete(String),
    #[error("there is no run {tag}; the runs of this repository are: {known}")]
    NoRun { tag: String, known: String },
    #[error("this repository has no run yet; `autoresearch run` starts one")]
    NoRuns,
    #[error(
        "the run {0} was imported, it can only be reported: autoresearch report --tag {0}; give another --tag for a run of your own"
    )]
    Imported(String),
    #[error(
        "there is a run {0} already, and an import does not replace it; give another --tag, or remove the folder {folder}",
        folder = .1.display()
    )]
    RunExists(String, PathBuf),
    #[error("the run {0} has no measured experiment yet; go on with it: autoresearch run --tag {0}")]
    NothingMeasured(String),
    #[error("the run {tag} has no experiment {number}; it has those from 0 to {last}")]
    NoExperiment { tag: String, number: u32, last: u32 },
    #[error("the run {0} has kept nothing yet beside its baseline")]
    NothingKept(String),
    #[error("the run {0} is not in progress; nothing was stopped")]
    NotInProgress(String),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("the proposer: {0}")]
    Proposer(#[from] ProposerError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error("{0}")]
    Other(String),
}

impl CommandError {
    /// The exit code: 3 where there is nothing to work on, 130 where a person interrupted it, 1 for every other error.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::NoRun { .. }
            | CommandError::NoRuns
            | CommandError::NothingMeasured(_)
            | CommandError::NoExperiment { .. }
            | CommandError::NothingKept(_)
            | CommandError::NotInProgress(_) => 3,
            CommandError::Sandbox(SandboxError::Cancelled) => 130,
            _ => 1,
        }
    }
}
