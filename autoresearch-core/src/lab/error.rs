//! The error of a lab.

use thiserror::Error;

use crate::journal::JournalError;
use crate::policy::Difference;
use crate::sandbox::SandboxError;

/// Failure of our own machinery. The journal holds everything up to here; the same command goes on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The sandbox failed repeatedly, for the incumbent too.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The proposer cannot continue without a person.
    #[error("the proposer cannot go on: {0}")]
    Proposer(String),
    /// The unchanged state does not run, so there is nothing to improve on.
    #[error("the baseline gave no number: {why}\n{tail}\nmake the unchanged program run first; its log is {log}")]
    Baseline {
        /// The end of its trial.
        why: String,
        /// The last lines of its output.
        tail: String,
        /// File with its whole output.
        log: String,
    },
    /// The journal belongs to a run with other settings.
    #[error(
        "this run was started with other settings, so measurements would not compare:\n{}\nset them back, or start a run with another tag",
        listed(.0)
    )]
    Changed(Vec<Difference>),
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A change cannot be written as JSON.
    #[error("the change cannot be written into the journal: {0}")]
    Json(#[from] serde_json::Error),
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("  {difference}")).collect::<Vec<_>>().join("\n")
}
