//! A machine in memory: a sandbox and a disk for the journal, which survive the harness, and which can fail.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::script::{Fate, Step};
use crate::cancel::Cancel;
use crate::journal::{Entry, Journal, JournalError, Medium};
use crate::sandbox::{Candidate, Outcome, Revision, RunLog, Sandbox, SandboxError, StageError, Trial};

/// Clones are the same machine.
///
/// Every operation of the harness on it (an append, an fsync, a stage, a run, a promotion; before and after its effect)
/// counts, and may be the one at which the power is cut, the disk is full, or the search is cancelled.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    baseline: Step,
    candidates: Vec<Step>,
    troubled: HashSet<usize>,
    jitter: f64,
    incumbent: Option<Revision>,
    runs: usize,
    running: usize,
    operations: usize,
    dies_at: Option<usize>,
    dead: bool,
    cancel_at: Option<(usize, Cancel)>,
    durable: Vec<u8>,
    buffered: Vec<u8>,
    full_at: Option<usize>,
    full: bool,
    locked: bool,
}

impl Inner {
    /// One operation. `false` if the machine is dead, or dies with it.
    fn lives(&mut self) -> bool {
        self.operations += 1;
        if let Some((_, cancel)) = self.cancel_at.take_if(|(at, _)| *at == self.operations) {
            cancel.cancel();
        }
        self.dead |= self.dies_at == Some(self.operations);
        self.full |= self.full_at == Some(self.operations);
        !self.dead
    }

    fn works(&mut self) -> Result<(), SandboxError> {
        if self.lives() { Ok(()) } else { Err(SandboxError::Other("the power is cut".into())) }
    }

    fn disk_works(&mut self) -> io::Result<()> {
        if self.lives() { Ok(()) } else { Err(io::Error::other("the power is cut")) }
    }
}

impl Machine {
    /// A machine whose search starts from `baseline`.
    pub fn new(baseline: Step) -> Machine {
        Machine(Arc::new(Mutex::new(Inner {
            baseline,
            candidates: Vec::new(),
            troubled: HashSet::new(),
            jitter: 0.0,
            incumbent: None,
            runs: 0,
            running: 0,
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

    /// Its sandbox.
    pub fn sandbox(&self) -> Arc<dyn Sandbox<Step>> {
        Arc::new(self.clone())
    }

    /// The journal on its disk. A second one at the same time is refused.
    pub fn journal(&self) -> Result<(Journal, Vec<Entry>), JournalError> {
        let path = Path::new("journal in memory");
        if std::mem::replace(&mut self.inner().locked, true) {
            return Err(JournalError::Locked(path.to_owned()));
        }
        Journal::over(Box::new(Disk(self.clone())), path)
    }

    /// Lets short runs with an odd seed print a score that is greater by `by`: their noise.
    pub fn shake_short_runs(&self, by: f64) {
        self.inner().jitter = by;
    }

    /// Cuts the power at the `nth` operation from now.
    pub fn cut_power_in(&self, nth: usize) {
        let mut inner = self.inner();
        inner.dies_at = Some(inner.operations + nth.max(1));
    }

    /// The disk is full from the `nth` operation on, until it is restarted.
    pub fn fill_disk_in(&self, nth: usize) {
        let mut inner = self.inner();
        inner.full_at = Some(inner.operations + nth.max(1));
    }

    /// Asks the search to stop at the `nth` operation from now.
    pub fn cancel_in(&self, nth: usize, cancel: &Cancel) {
        let mut inner = self.inner();
        inner.cancel_at = Some((inner.operations + nth.max(1), cancel.clone()));
    }

    /// Starts it again, without the faults that were planned. Of what was not yet durable a share (0 to 1) has reached the
    /// disk.
    pub fn restart(&self, share: f64) {
        let mut inner = self.inner();
        let kept = (inner.buffered.len() as f64 * share.clamp(0.0, 1.0)) as usize;
        let buffered = std::mem::take(&mut inner.buffered);
        inner.durable.extend_from_slice(&buffered[..kept]);
        (inner.dead, inner.full, inner.locked, inner.running) = (false, false, false, 0);
        (inner.dies_at, inner.full_at, inner.cancel_at) = (None, None, None);
    }

    /// Whether the power was cut.
    pub fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// Where the incumbent is.
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

    /// How many runs were begun.
    pub fn runs(&self) -> usize {
        self.inner().runs
    }
}

/// The journal's file.
struct Disk(Machine);

impl Medium for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut inner = self.0.inner();
        inner.disk_works()?;
        Ok([&inner.durable[..], &inner.buffered].concat())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.0.inner();
        inner.disk_works()?;
        let mut all = [&inner.durable[..], &inner.buffered].concat();
        all.truncate(length as usize);
        (inner.durable, inner.buffered) = (all, Vec::new());
        inner.disk_works()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.inner();
        inner.disk_works()?;
        if inner.full {
            // As far as there was room.
            let part = &bytes[..bytes.len() / 3];
            inner.buffered.extend_from_slice(part);
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.buffered.extend_from_slice(bytes);
        inner.disk_works()
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.0.inner();
        inner.disk_works()?;
        let buffered = std::mem::take(&mut inner.buffered);
        inner.durable.extend_from_slice(&buffered);
        inner.disk_works()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.0.inner().locked = false;
    }
}

fn nth(revision: &Revision) -> Result<usize, SandboxError> {
    let digits = revision.0.trim_start_matches("kept-");
    digits.parse().map_err(|_| SandboxError::Other(format!("there is no candidate {revision}")))
}

#[async_trait]
impl Sandbox<Step> for Machine {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        let baseline = self.inner().baseline.clone();
        self.stage(0, &Revision("nothing".into()), &baseline, "").await
    }

    async fn stage(&self, _: u32, _: &Revision, step: &Step, _: &str) -> Result<Candidate, StageError> {
        let mut inner = self.inner();
        inner.works()?;
        if step.refused {
            return Err(StageError::Rejected("the step says so".into()));
        }
        inner.candidates.push(step.clone());
        let number = inner.candidates.len() - 1;
        inner.works()?;
        let fingerprint = step.twin.map_or_else(|| format!("only {number}"), |name| format!("twin {name}"));
        Ok(Candidate { revision: Revision(number.to_string()), fingerprint, added_lines: step.added_lines })
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let number = nth(&candidate.revision)?;
        let (jitter, fate) = {
            let mut inner = self.inner();
            inner.works()?;
            inner.runs += 1;
            assert_eq!(inner.running, 0, "nothing may run when a run begins");
            inner.running += 1;
            let Step { short, fate, .. } = inner.candidates[number].clone();
            match trial.fidelity < 1.0 {
                true => (if trial.seed % 2 == 1 { inner.jitter } else { 0.0 }, short.map_or(fate, Fate::Score)),
                false => (0.0, fate),
            }
        };
        // Others may get a turn here, as with real runs.
        tokio::task::yield_now().await;
        let mut inner = self.inner();
        inner.works()?;
        inner.running -= 1;
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        let log = |tail: String| RunLog { tail, ..RunLog::default() };
        let splendid = || log("score: -1e300\n".into());
        Ok(match fate {
            Fate::Trouble(_) if inner.troubled.insert(number) => {
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

    async fn clean(&self) -> Result<(), SandboxError> {
        let mut inner = self.inner();
        inner.running = 0;
        inner.works()
    }

    async fn seal(&self, candidate: &Candidate, _: &str) -> Result<Revision, SandboxError> {
        self.inner().works()?;
        Ok(Revision(format!("kept-{}", candidate.revision)))
    }

    async fn promote(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
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
