//! Where a candidate runs: staged, run under a budget, and promoted if it is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cancel::Cancel;
use crate::change::Patch;
use crate::machine::MachineId;

pub use crate::revision::Revision;

/// A staged change, ready to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub revision: Revision,
    /// What it does, apart from its history: two candidates with the same fingerprint would measure the same.
    pub fingerprint: String,
    /// Lines added minus lines removed against its parent.
    #[serde(default)]
    pub added_lines: i64,
}

impl Candidate {
    /// A candidate whose name says all about it.
    pub fn new(name: impl Into<String>) -> Candidate {
        let name = name.into();
        Candidate { fingerprint: name.clone(), revision: Revision(name), added_lines: 0 }
    }
}

/// What one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Wall clock from the start of the run to its end, after which it is killed.
    pub run: Duration,
    /// The same for the build before it.
    pub build: Duration,
}

impl Budget {
    /// The limits of a run on the share `fidelity` of the full budget.
    ///
    /// Half of the run's limit shrinks with it: starting and evaluating take as long however short the training between them
    /// is. A run that builds something itself has as much time for it as the build has.
    ///
    /// ```
    /// # use {autoresearch_core::Budget, std::time::Duration};
    /// let seconds = Duration::from_secs;
    /// let budget = Budget { run: seconds(600), build: seconds(60) };
    /// assert_eq!(budget.at(0.2), Budget { run: seconds(360), build: seconds(60) });
    /// assert_eq!(budget.at(1.0), budget);
    /// ```
    pub fn at(self, fidelity: f64) -> Budget {
        let share = (1.0 + fidelity.clamp(0.0, 1.0)) / 2.0;
        Budget { run: self.run.mul_f64(share).max(self.build.min(self.run)), ..self }
    }
}

impl From<Duration> for Budget {
    /// The same limit for the run and for the build.
    fn from(limit: Duration) -> Budget {
        Budget { run: limit, build: limit }
    }
}

/// One run of one candidate.
#[derive(Clone)]
#[non_exhaustive]
pub struct Trial {
    /// The experiment it belongs to.
    pub experiment: u32,
    /// Counts the runs of this experiment, from 1.
    pub attempt: u32,
    /// Given by the harness, outside the candidate's reach.
    pub seed: u64,
    /// The limits of a run on the full budget; a shorter run has those of [`Budget::at`] its fidelity.
    pub budget: Budget,
    /// The share of the full budget (of training, of input, of repetitions) that it is to take: 1 for all of it.
    pub fidelity: f64,
    /// The place that it is built and runs in, from 0: no two trials at the same time have the same. A sandbox keeps one
    /// directory, or whatever a candidate needs, for each.
    pub slot: u32,
    /// The worker whose devices it may use, from 0. `None` while it is built ahead: it has no devices yet.
    pub worker: Option<u32>,
    /// Told how the run goes on.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Trial {
    /// A trial on the full budget that nobody watches.
    pub fn new(experiment: u32, attempt: u32, seed: u64, budget: Budget) -> Trial {
        Trial { experiment, attempt, seed, budget, fidelity: 1.0, slot: 0, worker: Some(0), progress: Arc::new(|_| {}) }
    }
}

/// What a running trial reports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A phase begins.
    Phase(Phase),
    /// The newest line of the run's output.
    Line(String),
}

/// The phases of a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The candidate is being built.
    Build,
    /// It runs.
    #[default]
    Run,
}

/// What a run left behind, however it ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunLog {
    /// The phase in which it ended.
    pub phase: Phase,
    /// The end of its output, some tens of kilobytes at most.
    pub tail: String,
    /// Where the whole output is kept.
    pub path: Option<PathBuf>,
    /// Wall clock of the build.
    pub build: Duration,
    /// Wall clock of the run.
    pub elapsed: Duration,
    /// The peak resident memory seen, in bytes, of all its processes together.
    pub peak_memory: Option<u64>,
    /// Processor time of all its processes, the build's while it is built.
    #[serde(default)]
    pub cpu: Option<Duration>,
    /// Files worth keeping, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, PathBuf>,
    /// What each repeat of the run's command took by the harness's clock. Empty where it is run once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// Where it ran, if the sandbox knows. It is journaled with the measurement, where the metric asks for it.
    #[serde(skip)]
    pub machine: Option<MachineId>,
}

/// One of several repeats of a run's command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// Wall clock from its start to its end.
    pub wall: Duration,
    /// Processor time of all its processes, where the system tells.
    pub cpu: Option<Duration>,
}

impl RunLog {
    /// The log of a run that printed `text`, for sandboxes that run nothing outside.
    pub fn saying(text: impl Into<String>) -> RunLog {
        RunLog { tail: text.into(), ..RunLog::default() }
    }
}

/// How a run ended. All of these are results of research, not failures of the harness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It ended by itself with success.
    Completed(RunLog),
    /// It failed to build, or ended with an error or a signal.
    Crashed {
        /// One line: how it ended.
        message: String,
        /// What it left.
        log: RunLog,
    },
    /// It was killed at the end of its budget.
    TimedOut {
        /// What it left.
        log: RunLog,
    },
    /// It ran out of memory.
    OutOfMemory {
        /// What it left.
        log: RunLog,
    },
}

impl Outcome {
    /// What the run left.
    pub fn log(&self) -> &RunLog {
        match self {
            Outcome::Completed(log)
            | Outcome::Crashed { log, .. }
            | Outcome::TimedOut { log }
            | Outcome::OutOfMemory { log } => log,
        }
    }

    pub(crate) fn log_mut(&mut self) -> &mut RunLog {
        match self {
            Outcome::Completed(log)
            | Outcome::Crashed { log, .. }
            | Outcome::TimedOut { log }
            | Outcome::OutOfMemory { log } => log,
        }
    }

    /// How it ended, in one line.
    pub fn describe(&self) -> String {
        let in_phase = match self.log().phase {
            Phase::Build => "the build ",
            Phase::Run => "the run ",
        };
        match self {
            Outcome::Completed(_) => "completed".into(),
            Outcome::Crashed { message, .. } => message.clone(),
            Outcome::TimedOut { log } => {
                format!("{in_phase}was killed at its limit after {:.0} s", log.elapsed.max(log.build).as_secs_f64())
            }
            Outcome::OutOfMemory { .. } => format!("{in_phase}ran out of memory"),
        }
    }
}

/// A candidate whose change is to be made to another parent, since the incumbent moved while it was in flight.
#[derive(Debug)]
pub struct Rebase<'a, C = Patch> {
    /// The experiment it belongs to.
    pub experiment: u32,
    /// Counts the candidates of this experiment: 1 for its first rebase.
    pub times: u32,
    /// What is moved.
    pub candidate: &'a Candidate,
    /// What it was made from.
    pub from: &'a Revision,
    /// What it is to be made from.
    pub onto: &'a Revision,
    /// The change that was proposed.
    pub change: &'a C,
    /// One line.
    pub description: &'a str,
}

// Derived, they would ask the same of the change.
impl<C> Clone for Rebase<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Rebase<'_, C> {}

/// What came of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// The candidate with both its own change and all that came to be in between.
    Candidate(Candidate),
    /// Both sides changed the same: a text for the proposer that shows them. The candidate stays as it is.
    Conflict(String),
}

/// Why a change could not be staged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StageError {
    /// The proposal is at fault: it is refused and costs no experiment.
    #[error("{0}")]
    Rejected(String),
    /// The machinery is at fault.
    #[error(transparent)]
    Failed(#[from] SandboxError),
}

/// Our machinery failed; the experiment is not to blame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The run was cancelled; it will be run again when the work goes on.
    #[error("cancelled")]
    Cancelled,
    /// The disk is full.
    #[error("no space is left on the disk while {doing}; free some and run the same command again, nothing is lost")]
    DiskFull {
        /// What was being done.
        doing: String,
    },
    /// Reading or writing failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A command of the configuration cannot be started at all.
    #[error("cannot start `{command}`: {source}; check that it is installed, on PATH and executable")]
    CannotStart {
        /// The program.
        command: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The store that keeps revisions failed, such as git.
    #[error("{0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl SandboxError {
    /// Wraps an input/output error, and recognises a full disk.
    pub fn io(doing: impl Into<String>, source: std::io::Error) -> SandboxError {
        let doing = doing.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => SandboxError::DiskFull { doing },
            _ => SandboxError::Io { doing, source },
        }
    }
}

/// Runs candidates of the change kind `C`.
///
/// # Contract
/// - `stage` changes nothing that a user sees; a proposal that cannot be applied is [`StageError::Rejected`].
/// - `run` returns `Ok` however badly the candidate behaves; when it returns, nothing of the candidate runs any more.
/// - `promote` moves the incumbent from `from` to `to`, and only then: anything else in `from`'s place is an error.
///   It is idempotent: when the incumbent is `to` already, it succeeds.
#[async_trait]
pub trait Sandbox<C = Patch>: Send + Sync {
    /// The state that the search starts from, as the candidate of experiment 0.
    async fn baseline(&self) -> Result<Candidate, StageError>;

    /// Makes the candidate that `change` leads to from `parent`, for experiment `experiment`.
    async fn stage(
        &self,
        experiment: u32,
        parent: &Revision,
        change: &C,
        description: &str,
    ) -> Result<Candidate, StageError>;

    /// Makes a candidate's change to another parent, as a three-way merge does. A conflict is no failure.
    ///
    /// Where changes are no texts, staging the same change again is that: the default.
    async fn rebase(&self, rebase: Rebase<'_, C>) -> Result<Rebased, SandboxError>
    where
        C: Sync,
    {
        match self.stage(rebase.experiment, rebase.onto, rebase.change, rebase.description).await {
            Ok(candidate) => Ok(Rebased::Candidate(candidate)),
            Err(StageError::Rejected(why)) => Ok(Rebased::Conflict(why)),
            Err(StageError::Failed(error)) => Err(error),
        }
    }

    /// Builds a candidate in the trial's slot, ahead of its run in the same slot: without a worker's devices, while others
    /// run. Returns how that ended if it failed: then there is no run. What was built is lost when the slot is used otherwise.
    ///
    /// A sandbox that has nothing to build, or builds in [`Sandbox::run`], leaves this out.
    async fn build(
        &self,
        _candidate: &Candidate,
        _trial: &Trial,
        _cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        Ok(None)
    }

    /// Runs a candidate once, after building it if that was not done ahead.
    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError>;

    /// Ends whatever an earlier harness, which died, left running. Called before anything else when a run begins or goes on.
    async fn clean(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    /// Makes the revision that a kept candidate will be known by, with a message for its history. It is not the incumbent yet.
    async fn seal(&self, candidate: &Candidate, _message: &str) -> Result<Revision, SandboxError> {
        Ok(candidate.revision.clone())
    }

    /// The same for the end of a side line, as one change of `incumbent`, which is not the candidate's parent.
    ///
    /// Sandboxes whose revisions have parents must write it on `incumbent`; for others there is no difference.
    async fn seal_onto(
        &self,
        _incumbent: &Revision,
        candidate: &Candidate,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        self.seal(candidate, message).await
    }

    /// Makes `to` the incumbent. `from` is `None` for the baseline.
    async fn promote(&self, _from: Option<&Revision>, _to: &Revision) -> Result<(), SandboxError> {
        Ok(())
    }

    /// The editable files of a revision, by path, for proposers that read them.
    async fn files(&self, _revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        Ok(BTreeMap::new())
    }
}
