//! The trait of sandboxes, in which candidates are staged and executed under a budget, and from which kept ones are adopted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::change::Patch;
use crate::experiment_id::ExperimentId;

mod error;
mod outcome;
mod results;
mod trial;

pub use error::{SandboxError, StageError};
pub use outcome::{Outcome, Phase, Repeat, RunLog};
pub use results::{ResultFiles, SIZES, Sizes};
pub use trial::{Budget, Progress, Purpose, Trial, for_purpose, purpose};

pub use crate::revision::Revision;

/// A staged change, ready to be executed.
///
/// ```
/// use autoresearch_core::{Candidate, Revision};
/// let candidate = Candidate::new("threads=4");
/// assert_eq!(candidate.revision, Revision("threads=4".into()));
/// assert_eq!(candidate.added_lines, 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name, by which the sandbox finds it.
    pub revision: Revision,
    /// The same for all candidates with the same content, regardless of their history.
    pub fingerprint: String,
    /// Lines added minus lines removed against its parent.
    #[serde(default)]
    pub added_lines: i64,
}

impl Candidate {
    /// Makes a candidate whose revision also serves as its fingerprint.
    pub fn new(name: impl Into<String>) -> Candidate {
        let name = name.into();
        Candidate { fingerprint: name.clone(), revision: Revision(name), added_lines: 0 }
    }
}

/// A request to apply a candidate's change to another base, since the incumbent moved while it was in flight.
#[derive(Debug)]
pub struct Rebase<'a, C = Patch> {
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Number of this rebase of the experiment, from 1.
    pub times: u32,
    /// The candidate that is rebased.
    pub candidate: &'a Candidate,
    /// Its base so far.
    pub from: &'a Revision,
    /// Its new base.
    pub onto: &'a Revision,
    /// The change that was proposed.
    pub change: &'a C,
    /// The proposal in one line.
    pub description: &'a str,
}

/// Result of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// The candidate on its new base, with its own change.
    Candidate(Candidate),
    /// Both sides changed the same lines, which the text shows to the proposer. The candidate stays as it is.
    Conflict(String),
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
/// use autoresearch_core::{AdoptedRevision, Candidate, ExperimentId, Revision, Sandbox, SandboxError, StageError, Trial};
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
///     async fn stage(&self, _: ExperimentId, _: &Revision, change: &f64, _: &str) -> Result<Candidate, StageError> {
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
/// let (sandbox, trial) = (Numbers::default(), Trial::new(ExperimentId(0), 1, 0, Default::default()));
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
        experiment: ExperimentId,
        parent: &Revision,
        change: &C,
        description: &str,
    ) -> Result<Candidate, StageError>;

    /// Applies a candidate's change to another base, as a three-way merge does. A conflict is no failure.
    ///
    /// By default the change is staged again on the new base, which is right where changes are not texts.
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
    /// run. Returns the outcome if it failed: then there is no run. A build is lost when the slot is used otherwise.
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

    /// True if [`Sandbox::run`] ends by itself at the limits of the trial's budget. If it does not, which is the default,
    /// the lab cancels a run that takes longer than both limits together and a second, and counts it as timed out.
    fn keeps_budget(&self) -> bool {
        false
    }

    /// Ends everything that a dead lab has left running. Called before anything else when a run starts or is resumed.
    ///
    /// By default nothing outlives the process of the lab.
    async fn recover(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    /// Recovers as [`Sandbox::recover`] does, and leaves those of the trials `interrupted` alone that an earlier process of the lab
    /// started and that are not lost: they run still, as in the queue of a cluster, or they have ended meanwhile and their outcome
    /// is known. Returns their places in the list; [`Sandbox::attach`] is called for each of them.
    ///
    /// By default all are lost, and made again.
    async fn resume(&self, _interrupted: &[(Candidate, Trial)]) -> Result<Vec<usize>, SandboxError>
    where
        C: Sync,
    {
        self.recover().await.map(|()| Vec::new())
    }

    /// Waits for the end of a trial that [`Sandbox::resume`] has found, and returns its outcome. When `cancel` is cancelled, so is
    /// the trial.
    async fn attach(&self, _candidate: &Candidate, trial: &Trial, _cancel: &Cancel) -> Result<Outcome, SandboxError> {
        Err(SandboxError::Other(format!("the trial {} is lost", trial.name())))
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
    /// as when a run is resumed in a new process.
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
