//! Jobs on this machine: in slots, as supervised processes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::executor::{Executor, Job, JobName, JobStatus};
use super::isolation::{Isolation, IsolationLevel};
use super::process::sweep;
use crate::cancel::Cancel;
use crate::sandbox::{Outcome, SandboxError};

mod evaluate;
mod keep;
mod phases;
mod place;
mod priming;
mod record;
mod remove;
mod replaced;
mod results;
mod slot;

use phases::Phases;
use place::{Place, SLOT, blocking};
use priming::{Priming, Turn};
pub use slot::Slot;

/// Runs jobs on this machine, one at a time in each of its slots.
///
/// Builds take turns, since they share caches and may use all processors; trials run at the same time. On Linux a supervisor
/// keeps each command's limit and ends its whole tree of processes, also when the lab dies: a job that was running then is
/// lost, and one that had ended is found by its name.
///
/// ```
/// use autoresearch_core::{LocalExecutor, Slot};
/// // One slot for each worker, and one for each build ahead.
/// let executor = LocalExecutor::new([Slot::new("/tmp/slots/0"), Slot::new("/tmp/slots/1")], "/tmp/logs");
/// assert_eq!(executor.slots(), 2);
/// ```
#[derive(Debug)]
pub struct LocalExecutor {
    places: Vec<Place>,
    /// Lock that the building job holds.
    builds: tokio::sync::Mutex<()>,
    logs: PathBuf,
    isolation: Isolation,
    /// Turns of jobs at the pristine folders.
    priming: Priming,
    running: Mutex<HashMap<JobName, Running>>,
}

/// A job of this process that has not ended.
#[derive(Debug)]
struct Running {
    cancel: Cancel,
    /// Closed at its end.
    ended: watch::Receiver<()>,
}

/// Removes a job from the list when it ends, or when nobody waits for it any more.
struct Registered<'a> {
    executor: &'a LocalExecutor,
    name: JobName,
    cancel: Cancel,
    /// Dropped at the end, which tells those that wait.
    _ended: watch::Sender<()>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.executor.running().remove(&self.name);
    }
}

impl LocalExecutor {
    /// An executor with these slots, at different places, one for each job at the same time. It writes the output of jobs into
    /// the folder `logs`.
    pub fn new<S: Into<Slot>>(slots: impl IntoIterator<Item = S>, logs: impl Into<PathBuf>) -> LocalExecutor {
        LocalExecutor {
            places: slots.into_iter().map(|slot| Place::new(slot.into())).collect(),
            builds: tokio::sync::Mutex::default(),
            logs: logs.into(),
            isolation: Isolation::default(),
            priming: Priming::default(),
            running: Mutex::default(),
        }
    }

    /// Keeps the commands of all jobs away from everything that is not theirs.
    #[doc(hidden)]
    pub fn isolated(mut self, isolation: Isolation) -> LocalExecutor {
        self.isolation = isolation;
        self
    }

    /// Returns the number of jobs that can run at the same time.
    #[doc(hidden)]
    pub fn slots(&self) -> usize {
        self.places.len()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<JobName, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, name: &JobName, cancel: &Cancel) -> Result<Registered<'_>, SandboxError> {
        let (sender, ended) = watch::channel(());
        let cancel = cancel.child();
        let mut running = self.running();
        if running.contains_key(name) {
            return Err(SandboxError::Other(format!(
                "the job {name} is running already; wait for it, or cancel it first"
            )));
        }
        running.insert(name.clone(), Running { cancel: cancel.clone(), ended });
        Ok(Registered { executor: self, name: name.clone(), cancel, _ended: sender })
    }

    fn place(&self, job: &Job) -> Result<&Place, SandboxError> {
        self.places.get(job.slot as usize).ok_or_else(|| {
            SandboxError::Other(format!(
                "there is no slot {}: this sandbox has {}; give it one for each worker and each build ahead",
                job.slot,
                self.places.len()
            ))
        })
    }

    /// The phases of a job, once it may use the pristine folders.
    async fn phases<'a>(&'a self, job: &'a Job, cancel: &'a Cancel) -> Result<(Phases<'a>, Turn<'a>), SandboxError> {
        let enforcement = self.isolation.enforcement();
        if self.isolation.level == IsolationLevel::Strict && !enforcement.is_full() {
            return Err(SandboxError::Other(format!(
                "strict isolation is asked for, and this machine does not have all of it: {enforcement}; allow best-effort \
                 isolation, or start the run elsewhere"
            )));
        }
        let place = self.place(job)?;
        let turn = self.priming.begin(&self.isolation.pristine, &self.logs, job.is_baseline, cancel).await?;
        let phases = Phases {
            place,
            builds: &self.builds,
            logs: &self.logs,
            isolation: &self.isolation,
            primes: turn.primes(),
            job,
            cancel,
        };
        Ok((phases, turn))
    }

    async fn remember(&self, name: &JobName, outcome: &Outcome) -> Result<(), SandboxError> {
        let (logs, name, outcome) = (self.logs.clone(), name.clone(), outcome.clone());
        blocking(move || record::write(&logs, &name, &outcome)).await
    }
}

#[async_trait]
impl Executor for LocalExecutor {
    async fn run(&self, job: &Job, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let registered = self.register(&job.name, cancel)?;
        let (phases, turn) = self.phases(job, &registered.cancel).await?;
        let outcome = phases.build_and_run().await?;
        if matches!(outcome, Outcome::Completed(_)) {
            turn.complete(&self.isolation.pristine, &self.logs)?;
        }
        self.remember(&job.name, &outcome).await?;
        Ok(outcome)
    }

    async fn build(&self, job: &Job, cancel: &Cancel) -> Result<Option<Outcome>, SandboxError> {
        let registered = self.register(&job.name, cancel)?;
        let (phases, _turn) = self.phases(job, &registered.cancel).await?;
        let failed = phases.build_ahead().await?;
        if let Some(outcome) = &failed {
            self.remember(&job.name, outcome).await?;
        }
        Ok(failed)
    }

    async fn find(&self, name: &JobName) -> Result<Option<JobStatus>, SandboxError> {
        if self.running().contains_key(name) {
            return Ok(Some(JobStatus::Running));
        }
        let (logs, name) = (self.logs.clone(), name.clone());
        Ok(blocking(move || record::read(&logs, &name)).await?.map(JobStatus::Ended))
    }

    async fn attach(&self, name: &JobName, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let running = self.running().get(name).map(|running| (running.cancel.clone(), running.ended.clone()));
        let was_running = running.is_some();
        if let Some((of_job, mut ended)) = running {
            tokio::select! {
                // It is closed, which is an error, when the job has ended.
                _ = ended.changed() => {}
                () = cancel.cancelled() => {
                    of_job.cancel();
                    let _ = ended.changed().await;
                    return Err(SandboxError::Cancelled);
                }
            }
        }
        match self.find(name).await? {
            Some(JobStatus::Ended(outcome)) => Ok(outcome),
            _ if was_running => Err(SandboxError::Cancelled),
            _ => Err(SandboxError::Other(format!("there is no job {name}; start it"))),
        }
    }

    async fn cancel(&self, name: &JobName) -> Result<(), SandboxError> {
        let running = self.running().get(name).map(|running| (running.cancel.clone(), running.ended.clone()));
        if let Some((cancel, mut ended)) = running {
            cancel.cancel();
            let _ = ended.changed().await;
        }
        Ok(())
    }

    /// Kills the processes that an earlier process left in the slots, whatever run they belong to: a slot is one run's at a time.
    async fn recover(&self, _run: &str, _keep: &[JobName]) -> Result<(), SandboxError> {
        let slots: Vec<Slot> =
            self.places.iter().flat_map(|place| [place.slot.clone(), place.evaluator.clone()]).collect();
        let container = self.isolation.container.clone();
        blocking(move || {
            for slot in &slots {
                sweep(SLOT, slot.path().as_os_str());
                container.iter().for_each(|container| container.sweep(slot.path()));
                slot.remove_abandoned();
            }
            Ok(())
        })
        .await
    }
}
