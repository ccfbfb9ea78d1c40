//! The trait of sandboxes, in which candidates are staged and executed under a budget, and from which kept ones are adopted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cancel::Cancel;
use crate::change::Patch;
use crate::machine::MachineId;

pub use crate::revision::Revision;

/// A staged change, ready to be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub revision: Revision,
    /// The same for all candidates that would measure the same, whatever their history.
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

/// The limits of one trial. The default is five minutes each for the run and for the build before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Wall clock from the start of the run to its end, after which it is killed.
    pub run: Duration,
    /// Wall clock of the build before it, after which that is killed.
    pub build: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::from(Duration::from_secs(300))
    }
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
        // What is too long for a Duration is as long as the full budget.
        let run = Duration::try_from_secs_f64(self.run.as_secs_f64() * share).unwrap_or(self.run).min(self.run);
        Budget { run: run.max(self.build.min(self.run)), ..self }
    }
}

impl From<Duration> for Budget {
    /// The same limit for the run and for the build.
    fn from(limit: Duration) -> Budget {
        Budget { run: limit, build: limit }
    }
}

/// The purpose of a trial. Each purpose has trial numbers, seeds and logs of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Purpose {
    /// To decide on an experiment.
    #[default]
    Search,
    /// To see whether the gains of kept experiments are real.
    Audit,
    /// To measure the best state again on request.
    Rerun,
    /// To measure on the sealed holdout.
    Holdout,
    /// To see whether the machine is at fault or has shifted: a health check.
    Health,
}

impl Purpose {
    /// Its name, as in log names and seeds.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Search => "search",
            Purpose::Audit => "audit",
            Purpose::Rerun => "rerun",
            Purpose::Holdout => "holdout",
            Purpose::Health => "health",
        }
    }

    /// The seed of the `repeat`-th trial of an experiment for this purpose, in a run with the seed `run`.
    ///
    /// It is a hash of the four with 31 bits, so that every generator of random numbers takes it; two purposes, experiments
    /// or repeats share one only by chance.
    ///
    /// ```
    /// use autoresearch_core::sandbox::Purpose;
    /// assert_eq!(Purpose::Audit.seed(7, 0, 1), Purpose::Audit.seed(7, 0, 1));
    /// assert_ne!(Purpose::Audit.seed(7, 0, 1), Purpose::Rerun.seed(7, 0, 1));
    /// ```
    pub fn seed(self, run: u64, experiment: u32, repeat: u64) -> u64 {
        let mut hash = blake3::Hasher::new();
        hash.update(&run.to_le_bytes());
        hash.update(self.name().as_bytes());
        hash.update(&experiment.to_le_bytes());
        hash.update(&repeat.to_le_bytes());
        let [a, b, c, d, ..] = *hash.finalize().as_bytes();
        u64::from(u32::from_le_bytes([a, b, c, d]) >> 1)
    }
}

/// One execution of one candidate under a seed, a budget and a fidelity.
#[derive(Clone)]
#[non_exhaustive]
pub struct Trial {
    /// The experiment that it belongs to; of a health check, an audit and the like the one that made the revision.
    pub experiment: u32,
    /// Its number among the experiment's trials of the same purpose, from 1.
    pub number: u32,
    /// Its purpose.
    pub purpose: Purpose,
    /// The seed, which a candidate is given and cannot choose.
    pub seed: u64,
    /// The limits of a run on the full budget; a shorter run has those of [`Budget::at`] its fidelity.
    pub budget: Budget,
    /// The share of the full budget (of training, of input, of repetitions) that it is to take: 1 for all of it.
    pub fidelity: f64,
    /// The slot that it is built and executed in, from 0: no two trials at the same time have the same. A sandbox keeps one
    /// directory, or whatever a candidate needs, for each.
    pub slot: u32,
    /// The worker whose devices it may use, from 0. `None` while it is built ahead: it has no devices yet.
    pub worker: Option<u32>,
    /// Receives the trial's reports.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// Time beyond its limit that a run which ended by itself may have taken: clocks are read a little late.
const OVERRUN: Duration = Duration::from_millis(100);

impl Trial {
    /// A trial for the search on the full budget that nobody watches, in slot 0 and on worker 0.
    pub fn new(experiment: u32, number: u32, seed: u64, budget: Budget) -> Trial {
        Trial {
            experiment,
            number,
            purpose: Purpose::Search,
            seed,
            budget,
            fidelity: 1.0,
            slot: 0,
            worker: Some(0),
            progress: Arc::new(|_| {}),
        }
    }

    /// The same trial for another purpose.
    pub fn for_purpose(mut self, purpose: Purpose) -> Trial {
        self.purpose = purpose;
        self
    }

    /// Its name, which no other trial of its run has: `0007` for the first trial of experiment 7, `0007-2` for the second,
    /// `0007-audit-1` for the first of an audit.
    pub fn name(&self) -> String {
        match (self.purpose, self.number) {
            (Purpose::Search, 1) => format!("{:04}", self.experiment),
            (Purpose::Search, number) => format!("{:04}-{number}", self.experiment),
            (purpose, number) => format!("{:04}-{}-{number}", self.experiment, purpose.name()),
        }
    }

    /// The limit of its run: that of the budget at its fidelity.
    pub fn limit(&self) -> Duration {
        self.budget.at(self.fidelity).run
    }

    /// Awaits `run` under the limit of the trial: a run that takes longer is [`Outcome::TimedOut`], also if it completes all
    /// the same, and one that is cancelled meanwhile ends with [`SandboxError::Cancelled`].
    ///
    /// A future is dropped at the limit, so it should end what it has started when it is dropped. One that blocks its thread
    /// cannot be ended before it returns.
    ///
    /// ```
    /// use std::time::Duration;
    /// use autoresearch_core::{Cancel, Outcome, RunLog, Trial};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let trial = Trial::new(1, 1, 0, Duration::from_millis(20).into());
    /// let run = async {
    ///     tokio::time::sleep(Duration::from_secs(4)).await;
    ///     Ok(Outcome::Completed(RunLog::saying("score: 1")))
    /// };
    /// let outcome = trial.within(run, &Cancel::new()).await.unwrap();
    /// assert!(matches!(outcome, Outcome::TimedOut { .. }));
    /// # });
    /// ```
    pub async fn within(
        &self,
        run: impl Future<Output = Result<Outcome, SandboxError>>,
        cancel: &Cancel,
    ) -> Result<Outcome, SandboxError> {
        self.within_time(self.limit(), run, cancel).await
    }

    /// The same with a limit of its own for how long it is awaited.
    pub(crate) async fn within_time(
        &self,
        time: Duration,
        run: impl Future<Output = Result<Outcome, SandboxError>>,
        cancel: &Cancel,
    ) -> Result<Outcome, SandboxError> {
        let started = tokio::time::Instant::now();
        let ended = tokio::select! {
            biased;
            ended = run => Some(ended?),
            () = cancel.cancelled() => return Err(SandboxError::Cancelled),
            // A timer cannot be set further away than this.
            () = tokio::time::sleep(time.min(Duration::from_secs(86_400 * 365))) => None,
        };
        let elapsed = started.elapsed();
        Ok(match ended {
            Some(Outcome::Completed(log)) if elapsed > time.saturating_add(OVERRUN) => {
                Outcome::TimedOut { log: RunLog { elapsed: elapsed.max(log.elapsed), ..log } }
            }
            Some(outcome) => outcome,
            None => Outcome::TimedOut { log: RunLog { elapsed, ..RunLog::default() } },
        })
    }

    /// The outcome, unless it says that the run completed beyond its limit: an overrun counts more than a good exit.
    pub(crate) fn overrun(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Completed(log) if log.elapsed > self.limit().saturating_add(OVERRUN) => Outcome::TimedOut { log },
            outcome => outcome,
        }
    }
}

/// Report of a running trial.
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

/// The traces of a run, however it ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunLog {
    /// The phase in which it ended.
    pub phase: Phase,
    /// The end of its output, some tens of kilobytes at most.
    pub tail: String,
    /// File with the whole output.
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
    /// Time of each repeat of the run's command, by the lab's clock. Empty where it is run once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// The machine that it ran on, if the sandbox knows. It is journaled with the measurement, where the metric asks for it.
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

/// The end of a run. All of these are results of research, not failures of our machinery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It ended by itself with success.
    Completed(RunLog),
    /// It failed to build, or ended with an error or a signal.
    Crashed {
        /// One line: how it ended.
        message: String,
        /// Its traces.
        log: RunLog,
    },
    /// It was killed at the end of its budget.
    TimedOut {
        /// Its traces.
        log: RunLog,
    },
    /// It ran out of memory.
    OutOfMemory {
        /// Its traces.
        log: RunLog,
    },
}

impl Outcome {
    /// The traces of the run.
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

    /// The end of the run, in one line.
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

/// A request to make a candidate's change to another base, since the incumbent moved while it was in flight.
#[derive(Debug)]
pub struct Rebase<'a, C = Patch> {
    /// The experiment it belongs to.
    pub experiment: u32,
    /// Counts the candidates of this experiment: 1 for its first rebase.
    pub times: u32,
    /// The candidate that is rebased.
    pub candidate: &'a Candidate,
    /// Its base so far.
    pub from: &'a Revision,
    /// Its new base.
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

/// Result of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// The candidate with both its own change and all that came to be in between.
    Candidate(Candidate),
    /// Both sides changed the same: a text for the proposer that shows them. The candidate stays as it is.
    Conflict(String),
}

/// Reason why a change could not be staged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StageError {
    /// The proposal is at fault: it is rejected and costs no experiment.
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
    /// The trial was cancelled; it will be made again when the run goes on.
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
    /// The backend of the sandbox failed: git, a container engine, a cluster.
    #[error(transparent)]
    Backend(Box<dyn std::error::Error + Send + Sync>),
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

/// Stages and executes candidates of the change kind `C`.
///
/// # Contract
/// - `stage` changes nothing that a user sees; a proposal that cannot be applied is [`StageError::Rejected`].
/// - `run` returns `Ok` however badly the candidate behaves; when it returns, nothing of the candidate runs any more.
/// - `adopt` moves the incumbent from `from` to `to`, and only then: anything else in `from`'s place is an error.
///   It is idempotent: when the incumbent is `to` already, it succeeds.
///
/// ```
/// use async_trait::async_trait;
/// use autoresearch_core::sandbox::{AdoptedRevision, Candidate, Revision, Sandbox, SandboxError, StageError, Trial};
/// use autoresearch_core::{Cancel, Outcome, RunLog};
///
/// /// A candidate is a number; its score is the number's distance from 3.
/// #[derive(Default)]
/// struct Numbers(AdoptedRevision);
///
/// #[async_trait]
/// impl Sandbox<f64> for Numbers {
///     async fn baseline(&self) -> Result<Candidate, StageError> {
///         Ok(Candidate::new("10"))
///     }
///
///     async fn stage(&self, _: u32, _: &Revision, change: &f64, _: &str) -> Result<Candidate, StageError> {
///         Ok(Candidate::new(change.to_string()))
///     }
///
///     async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
///         let number: f64 = candidate.revision.0.parse().map_err(|_| SandboxError::Other("no number".into()))?;
///         Ok(Outcome::Completed(RunLog::saying(format!("score: {}", (number - 3.0).abs()))))
///     }
///
///     async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
///         self.0.adopt(from, to)
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (sandbox, trial) = (Numbers::default(), Trial::new(0, 1, 0, Default::default()));
/// let outcome = sandbox.run(&sandbox.baseline().await.unwrap(), &trial, &Cancel::new()).await.unwrap();
/// assert_eq!(outcome.log().tail, "score: 7");
/// # });
/// ```
#[async_trait]
pub trait Sandbox<C = Patch>: Send + Sync {
    /// Makes the candidate of experiment 0: the state that the search starts from.
    async fn baseline(&self) -> Result<Candidate, StageError>;

    /// Makes the candidate that `change` leads to from `parent`, for experiment `experiment`.
    async fn stage(
        &self,
        experiment: u32,
        parent: &Revision,
        change: &C,
        description: &str,
    ) -> Result<Candidate, StageError>;

    /// Makes a candidate's change to another base, as a three-way merge does. A conflict is no failure.
    ///
    /// By default the same change is staged again, which is the same where changes are no texts.
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
    /// run. Returns how that ended if it failed: then there is no run. A build is lost when the slot is used otherwise.
    ///
    /// By default nothing is built ahead: a sandbox may build in [`Sandbox::run`], or have nothing to build.
    async fn build(
        &self,
        _candidate: &Candidate,
        _trial: &Trial,
        _cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        Ok(None)
    }

    /// Executes a candidate once, after building it if that was not done ahead.
    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError>;

    /// Whether [`Sandbox::run`] ends by itself at the limits of the trial's budget. Where it does not, which is the default,
    /// the lab cancels a run that takes longer than both limits together and a second, and counts it as timed out.
    fn keeps_budget(&self) -> bool {
        false
    }

    /// Ends everything that a lab which died has left running. Called before anything else when a run starts or goes on.
    ///
    /// By default nothing outlives the process of the lab.
    async fn recover(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    /// Makes the revision that a kept candidate will be known by, with a message for its history. It is not the incumbent
    /// yet. `incumbent` is the revision that it follows in the lineage, `None` for the baseline; it differs from the
    /// candidate's parent at the end of a side line.
    ///
    /// By default the candidate's own revision, which is right where revisions have no parents.
    async fn commit(
        &self,
        candidate: &Candidate,
        _incumbent: Option<&Revision>,
        _message: &str,
    ) -> Result<Revision, SandboxError> {
        Ok(candidate.revision.clone())
    }

    /// Makes `to` the incumbent in place of `from`, which is `None` for the baseline. [`AdoptedRevision`] does this for a
    /// sandbox that publishes its incumbent nowhere.
    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError>;

    /// Reads the editable files of a revision, by path, for proposers that look at them.
    ///
    /// By default there are none.
    async fn files(&self, _revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        Ok(BTreeMap::new())
    }
}

/// The incumbent of a sandbox that publishes it nowhere: it is remembered as long as the process lives.
#[derive(Debug, Default)]
pub struct AdoptedRevision(Mutex<Option<Revision>>);

impl AdoptedRevision {
    /// Makes `to` the incumbent in place of `from`, as [`Sandbox::adopt`] asks. The first call may come from any revision,
    /// as when a run goes on in a new process.
    pub fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        let mut adopted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match adopted.as_ref() {
            Some(found) if found != to && Some(found) != from => {
                let from = from.map_or("nothing".to_owned(), Revision::to_string);
                Err(SandboxError::Other(format!("the incumbent is {found}, not {from}, so it cannot become {to}")))
            }
            _ => {
                *adopted = Some(to.clone());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
