//! A machine in memory: a sandbox and a disk for the journal, which outlive the lab, and which can fail.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::disk::Disk;
use self::inner::Inner;
use super::script::{Fate, Step};
use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::journal::{Journal, JournalError, JournalFault};
use crate::sandbox::{Candidate, Outcome, Rebase, Rebased, Revision, RunLog, Sandbox, SandboxError, StageError, Trial};

mod disk;
mod inner;

/// A machine in memory, with a sandbox for [`Step`]s and a disk for the journal. Clones are the same machine.
///
/// Every operation of the lab on it (an append, an fsync, a stage, a run, a promotion; before and after its effect)
/// counts, and may be the one at which the power is cut, the disk is full, or the search is cancelled.
#[derive(Debug, Clone)]
pub struct SimulatedMachine(Arc<Mutex<Inner>>);

impl SimulatedMachine {
    /// A machine whose search starts from `baseline`.
    pub fn new(baseline: Step) -> SimulatedMachine {
        SimulatedMachine(Arc::new(Mutex::new(Inner {
            baseline,
            candidates: Vec::new(),
            troubled: HashSet::new(),
            jitter: 0.0,
            incumbent: None,
            runs: 0,
            running: Vec::new(),
            adds_up: false,
            made_of: Vec::new(),
            pace: 0,
            operations: 0,
            dies_at: None,
            dead: false,
            cancel_at: None,
            durable: Vec::new(),
            buffered: Vec::new(),
            full_at: None,
            full: false,
            locked: false,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine's sandbox.
    pub fn sandbox(&self) -> Arc<dyn Sandbox<Step>> {
        Arc::new(self.clone())
    }

    /// The journal on the machine's disk.
    ///
    /// # Errors
    /// If the journal is open already, or is not sound.
    pub fn journal(&self) -> Result<Journal, JournalError> {
        let path = Path::new("journal in memory");
        if std::mem::replace(&mut self.inner().locked, true) {
            return Err(JournalFault::Locked(path.to_owned()).into());
        }
        Journal::over(Box::new(Disk(self.0.clone())), path)
    }

    /// Lets every second trial on a rung print a score that is greater by `by`: their noise. The run's seed must be 0.
    pub fn shake_short_runs(&self, by: f64) {
        self.inner().jitter = by;
    }

    /// Adds the score of each step to that of its parent, so that a change is worth the same wherever it is
    /// made, and lets every trial take up to `pace` milliseconds, differently for each.
    pub fn add_up(&self, pace: u64) {
        let mut inner = self.inner();
        (inner.adds_up, inner.pace) = (true, pace);
    }

    /// Returns the true score of a candidate, where effects add up; `None` if it does not run.
    pub fn truth(&self, revision: &Revision) -> Option<f64> {
        let inner = self.inner();
        inner.sum(nth(revision).ok()?)
    }

    /// Cuts the power at the `nth` operation from now.
    pub fn cut_power_in(&self, nth: usize) {
        let mut inner = self.inner();
        inner.dies_at = Some(inner.operations + nth.max(1));
    }

    /// Fills the disk from the `nth` operation on, until the machine is restarted.
    pub fn fill_disk_in(&self, nth: usize) {
        let mut inner = self.inner();
        inner.full_at = Some(inner.operations + nth.max(1));
    }

    /// Asks the search to stop at the `nth` operation from now.
    pub fn cancel_in(&self, nth: usize, cancel: &Cancel) {
        let mut inner = self.inner();
        inner.cancel_at = Some((inner.operations + nth.max(1), cancel.clone()));
    }

    /// Starts the machine again, without the faults that were planned. Of what was not yet durable a share (0 to 1) has
    /// reached the disk.
    pub fn restart(&self, share: f64) {
        let mut inner = self.inner();
        let kept = (inner.buffered.len() as f64 * share.clamp(0.0, 1.0)) as usize;
        let buffered = std::mem::take(&mut inner.buffered);
        inner.durable.extend_from_slice(&buffered[..kept]);
        (inner.dead, inner.full, inner.locked, inner.running) = (false, false, false, Vec::new());
        (inner.dies_at, inner.full_at, inner.cancel_at) = (None, None, None);
    }

    /// True if the power has been cut.
    pub fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// The incumbent's revision.
    pub fn incumbent(&self) -> Option<Revision> {
        self.inner().incumbent.clone()
    }

    /// Moves the incumbent as somebody else would, and returns where it was.
    pub fn meddle(&self, to: Option<Revision>) -> Option<Revision> {
        std::mem::replace(&mut self.inner().incumbent, to)
    }

    /// The journal's bytes that would survive now.
    pub fn durable(&self) -> Vec<u8> {
        self.inner().durable.clone()
    }

    /// Writes bytes behind the journal's last line, as a torn write leaves them.
    pub fn tear(&self, bytes: &[u8]) {
        self.inner().durable.extend_from_slice(bytes);
    }

    /// Returns the number of trials that were started.
    pub fn runs(&self) -> usize {
        self.inner().runs
    }
}

/// True if a trial is an odd-numbered repeat of its candidate, as its seed shows.
fn is_odd_repeat(trial: &Trial) -> bool {
    (1..64).step_by(2).any(|repeat| trial.purpose.seed(0, trial.experiment, repeat) == trial.seed)
}

fn nth(revision: &Revision) -> Result<usize, SandboxError> {
    let digits = revision.0.trim_start_matches("kept-");
    digits.parse().map_err(|_| SandboxError::Other(format!("there is no candidate {revision}")))
}

#[async_trait]
impl Sandbox<Step> for SimulatedMachine {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        let baseline = self.inner().baseline.clone();
        self.stage(ExperimentId::BASELINE, &Revision("nothing".into()), &baseline, "").await
    }

    async fn stage(&self, _: ExperimentId, parent: &Revision, step: &Step, _: &str) -> Result<Candidate, StageError> {
        let mut inner = self.inner();
        inner.works()?;
        if step.refused {
            return Err(StageError::Rejected("the step says so".into()));
        }
        inner.candidates.push(step.clone());
        let step = inner.candidates.len() - 1;
        inner.works()?;
        Ok(inner.make(nth(parent).ok(), step))
    }

    async fn rebase(&self, rebase: Rebase<'_, Step>) -> Result<Rebased, SandboxError> {
        let mut inner = self.inner();
        inner.works()?;
        let made_of = |inner: &Inner, revision| nth(revision).ok().and_then(|at| inner.made_of.get(at).cloned());
        let (Some(from), Some(onto), Some(own)) =
            (made_of(&inner, rebase.from), made_of(&inner, rebase.onto), made_of(&inner, &rebase.candidate.revision))
        else {
            return Err(SandboxError::Other("nothing is known of what is to be moved".into()));
        };
        let step = own.last().copied().unwrap_or(0);
        let region = |at: &usize| inner.candidates.get(*at).and_then(|step| step.region);
        let meanwhile = onto.iter().filter(|at| !from.contains(at));
        if region(&step).is_some() && meanwhile.clone().any(|at| region(at) == region(&step)) {
            return Ok(Rebased::Conflict("both change the same region".into()));
        }
        Ok(Rebased::Candidate(inner.make(nth(rebase.onto).ok(), step)))
    }

    async fn build(&self, _: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Option<Outcome>, SandboxError> {
        self.inner().begin((trial.slot, None))?;
        tokio::task::yield_now().await;
        self.inner().end((trial.slot, None))?;
        if cancel.is_cancelled() { Err(SandboxError::Cancelled) } else { Ok(None) }
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let number = nth(&candidate.revision)?;
        let place = (trial.slot, trial.worker);
        let (pace, takes, jitter, fate) = {
            let mut inner = self.inner();
            inner.begin(place)?;
            inner.runs += 1;
            let (short, fate) = inner.fate(number);
            let takes = inner.step(number).and_then(|step| step.takes);
            match trial.fidelity < 1.0 {
                true => {
                    let jitter = if is_odd_repeat(trial) { inner.jitter } else { 0.0 };
                    (inner.pace, takes, jitter, short.map_or(fate, Fate::Score))
                }
                false => (inner.pace, takes, 0.0, fate),
            }
        };
        // Others may get a turn here, as with real runs.
        let nth = number as u64 * 7 + u64::from(trial.number);
        let paced = || Duration::from_millis(1 + nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) % pace);
        match takes.or_else(|| (pace > 0).then(paced)) {
            None => tokio::task::yield_now().await,
            Some(takes) => tokio::select! {
                () = tokio::time::sleep(takes) => {}
                () = cancel.cancelled() => {}
            },
        }
        let mut inner = self.inner();
        inner.end(place)?;
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        // Once for each step, wherever it is made.
        let step = inner.made_of.get(number).and_then(|steps| steps.last()).copied().unwrap_or(number);
        let log = |tail: String| RunLog { tail, ..RunLog::default() };
        let splendid = || log("score: -1e300\n".into());
        Ok(match fate {
            Fate::Trouble(_) if inner.troubled.insert(step) => {
                return Err(SandboxError::Other("the machinery failed".into()));
            }
            Fate::Score(score) | Fate::Trouble(score) => {
                Outcome::Completed(log(format!("score: {}\n", score + jitter)))
            }
            Fate::Prints(text) => Outcome::Completed(log(format!("score: {text}\n"))),
            Fate::Crash => Outcome::Crashed { message: "crashed".into(), log: splendid() },
            Fate::Timeout => Outcome::TimedOut { log: splendid() },
            Fate::OutOfMemory => Outcome::OutOfMemory { log: splendid() },
        })
    }

    async fn recover(&self) -> Result<(), SandboxError> {
        let mut inner = self.inner();
        inner.running.clear();
        inner.works()
    }

    async fn commit(&self, candidate: &Candidate, _: Option<&Revision>, _: &str) -> Result<Revision, SandboxError> {
        self.inner().works()?;
        Ok(Revision(format!("kept-{}", candidate.revision)))
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        let mut inner = self.inner();
        inner.works()?;
        if inner.incumbent.as_ref() == Some(to) {
            return Ok(());
        }
        if inner.incumbent.as_ref() != from {
            return Err(SandboxError::Other(format!("the incumbent is {:?}, not {from:?}", inner.incumbent)));
        }
        inner.incumbent = Some(to.clone());
        inner.works()
    }
}
