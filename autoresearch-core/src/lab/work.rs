//! The work of a night: proposals are asked for, candidates staged, built and run, and what ends is recorded and judged.
//!
//! One task owns the journal and the state; proposals, builds and runs are waited for all at once. With one worker and
//! nothing ahead that is karpathy's loop: one thing after the other.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bench::{Bench, Done, Rest};
use super::checks::Check;
use super::{Lab, LabError, MAX_BACKLOG};
use crate::cancel::Cancel;
use crate::journal::Record;
use crate::observer::{Event, Observer};
use crate::proposer::{Cost, ProposerError, RejectedDraft, Wave};
use crate::sandbox::{Progress, Revision, SandboxError, StageError};
use crate::stop::StopReason;

/// What is known of a call of [`Lab::run`] beside the journal.
pub(super) struct Work<C> {
    pub(super) bench: Bench<C>,
    pub(super) cancel: Cancel,
    began: Timestamp,
    /// Whether the proposer is at work, or pauses.
    proposing: bool,
    /// How often in a row it failed, and was refused.
    failures: u32,
    refusals: u32,
    /// Why it has no more proposals; asked again when there is a new result.
    exhausted: Option<String>,
    /// How many decided experiments it knew of when it was asked last.
    known: usize,
    /// How many seconds its last call took.
    pace: f64,
    /// What goes on with the incumbent outside of any experiment.
    pub(super) check: Option<Check>,
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
    pub(super) async fn work(&mut self, cancel: &Cancel, began: Timestamp) -> Result<StopReason, LabError> {
        self.begin_with_baseline().await?;
        let mut work = Work {
            bench: Bench::new(self.settings.workers.clone()),
            cancel: cancel.clone(),
            began,
            proposing: false,
            failures: 0,
            refusals: 0,
            exhausted: None,
            known: 0,
            pace: 0.0,
            check: None,
        };
        loop {
            let reason = match cancel.is_cancelled() {
                true => Some(StopReason::Cancelled),
                false => self.settle(&mut work).await?,
            };
            if work.bench.is_quiet()
                && let Some(reason) = reason
            {
                return Ok(reason);
            }
            match work.bench.next().await {
                Some(done) => self.take_note(&mut work, done).await?,
                None if reason.is_none() => {
                    let why = "nothing can go on; is there a worker for every class of hardware?";
                    return Err(LabError::Settings(why.into()));
                }
                None => {}
            }
        }
    }

    async fn begin_with_baseline(&mut self) -> Result<(), LabError> {
        if !self.state.open.is_empty() || self.state.incumbent.is_some() {
            return Ok(());
        }
        let candidate = self.sandbox.baseline().await.map_err(|error| match error {
            StageError::Failed(error) => LabError::Sandbox(error),
            StageError::Rejected(why) => {
                LabError::Sandbox(SandboxError::Other(format!("the baseline cannot be made: {why}")))
            }
        })?;
        self.record(Record::Intent {
            experiment: 0,
            parent: None,
            candidate,
            description: "baseline".into(),
            hypothesis: String::new(),
            change: serde_json::Value::Null,
            cost: Cost::default(),
            proposer: String::new(),
            design: None,
            remaining: None,
        })
    }

    /// Does all that need not be waited for, and begins all that can begin. Returns why the work ends, if it does: what was
    /// begun is finished first.
    async fn settle(&mut self, work: &mut Work<C>) -> Result<Option<StopReason>, LabError> {
        self.decide_what_can_be(work).await?;
        let direction = self.metric.direction();
        let reason = self.settings.stop.reason(&self.state, direction, work.began);
        self.begin_check(work, reason.is_some());
        self.begin_runs(work, reason.is_some()).await?;
        // What cannot begin since it is in conflict is decided there.
        let reason = reason.or_else(|| self.settings.stop.reason(&self.state, direction, work.began));
        if reason.is_none() {
            self.ask_for_proposals(work);
        }
        let exhausted = work.exhausted.clone().filter(|_| self.state.open.is_empty());
        Ok(reason.or(exhausted.map(StopReason::Exhausted)))
    }

    async fn take_note(&mut self, work: &mut Work<C>, done: Done<C>) -> Result<(), LabError> {
        match done {
            Done::Proposed { parent, result, took } => {
                work.proposing = false;
                work.pace = took.as_secs_f64();
                // What was paid for is staged, even if it will run another day.
                if work.cancel.is_cancelled() && matches!(result, Err(ProposerError::Transient(_))) {
                    return Ok(());
                }
                self.take_proposals(work, parent, result).await
            }
            Done::Built { experiment, attempt, result } => self.built(work, (experiment, attempt), result),
            Done::Ran { experiment, attempt, result } => self.ran(work, (experiment, attempt), result),
            Done::Checked { result } => self.checked(work, result),
            Done::Rested(Rest::Proposer) => {
                work.proposing = false;
                Ok(())
            }
            Done::Rested(Rest::Machine) => {
                work.check = Some(Check::Due);
                Ok(())
            }
            Done::Rested(Rest::Experiment(experiment)) => {
                work.bench.flights.entry(experiment).or_default().rests = false;
                Ok(())
            }
        }
    }

    /// Asks the proposer for as many proposals as there should be beside those that wait already.
    fn ask_for_proposals(&mut self, work: &mut Work<C>) {
        let wanted = match self.settings.workers.ahead {
            // One thing after the other.
            false => usize::from(self.state.open.is_empty() && work.bench.is_quiet()),
            true => self.backlog(work).saturating_sub(self.waiting(work)),
        };
        let room = self.settings.stop.experiments.map_or(usize::MAX, |most| {
            most.saturating_sub(self.state.finished() + self.state.pending().filter(|open| open.id > 0).count())
        });
        let measured = self.state.incumbent.is_some() && self.state.unapplied.is_none();
        let wanted = wanted.min(room);
        if work.proposing || work.exhausted.is_some() || !measured || self.is_suspect() || wanted == 0 {
            return;
        }
        let experiment = self.state.next_experiment();
        self.tell(&Event::Proposing { experiment });
        work.proposing = true;
        work.known = self.state.experiments.len();
        work.bench.wait_for(self.propose(wanted, work.cancel.clone()));
    }

    /// How many experiments were staged and not begun.
    fn waiting(&self, work: &Work<C>) -> usize {
        self.state.open.iter().filter(|open| !self.is_begun(work, open)).count()
    }

    /// How many experiments should wait: one for each worker that has nothing to do, and twice as many as are begun during a
    /// call of the proposer, so that those of one call last until the next one's are there. Each further one would be made from
    /// an older state than it need be.
    fn backlog(&self, work: &Work<C>) -> usize {
        let workers = self.settings.workers.classes.len();
        let runs = (self.state.time_of_runs + self.state.time_of_builds).as_secs_f64();
        let run = runs / self.state.experiments.len().max(1) as f64;
        let during_calls = if run > 0.0 { (2.0 * workers as f64 * work.pace / run).ceil() } else { 0.0 };
        let ahead = (during_calls as usize).max(1).min(MAX_BACKLOG * workers);
        ahead + work.bench.idle_workers()
    }

    async fn take_proposals(
        &mut self,
        work: &mut Work<C>,
        parent: Revision,
        result: Result<Wave<C>, ProposerError>,
    ) -> Result<(), LabError> {
        match result {
            Ok(proposals) => {
                work.failures = 0;
                for entry in proposals {
                    let staged = match entry {
                        Ok(proposal) => self.stage(proposal, &parent, work.began).await?,
                        Err(RejectedDraft { description, reason, cost, proposer, .. }) => {
                            self.refuse(description, reason, serde_json::Value::Null, cost, proposer)?;
                            false
                        }
                    };
                    work.refusals = if staged { 0 } else { work.refusals + 1 };
                }
                self.pause_after_refusals(work);
            }
            Err(ProposerError::Refused { description, reason, cost }) => {
                work.failures = 0;
                work.refusals += 1;
                self.refuse(description, reason, serde_json::Value::Null, cost, String::new())?;
                self.pause_after_refusals(work);
            }
            // What was decided while it thought may have given it new ideas.
            Err(ProposerError::Exhausted(why)) if self.state.experiments.len() == work.known => {
                work.exhausted = Some(why);
            }
            Err(ProposerError::Exhausted(_)) => {}
            Err(ProposerError::Fatal(why)) => return Err(LabError::Proposer(why)),
            // Whatever the proposer's trouble, the night goes on.
            Err(ProposerError::Transient(error)) => {
                work.proposing = true;
                self.pause(work, Rest::Proposer, work.failures, &error);
                work.failures += 1;
            }
        }
        Ok(())
    }

    fn pause_after_refusals(&self, work: &mut Work<C>) {
        if work.refusals <= super::REFUSALS {
            return;
        }
        let last = self.state.rejections.last().map_or("", |rejection| rejection.reason.as_str());
        let error = format!("{} proposals in a row were refused, the last one because {last}", work.refusals);
        work.proposing = true;
        self.pause(work, Rest::Proposer, work.refusals - super::REFUSALS, &error);
    }

    /// Lets somebody pause: longer with each failure in a row.
    pub(super) fn pause(&self, work: &mut Work<C>, who: Rest, failures: u32, error: &str) {
        let pause = super::PAUSES.0.saturating_mul(1 << failures.min(16)).min(super::PAUSES.1);
        if !work.cancel.is_cancelled() {
            self.tell(&Event::Retrying { error, pause });
        }
        work.rest(who, pause);
    }
}

impl<C: Send + 'static> Work<C> {
    pub(super) fn rest(&mut self, who: Rest, pause: Duration) {
        let cancel = self.cancel.clone();
        self.bench.wait_for(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => {}
            }
            Done::Rested(who)
        });
    }

    /// After a decision the proposer may think of something again.
    pub(super) fn decided(&mut self, experiment: u32) {
        self.bench.flights.remove(&experiment);
        self.exhausted = None;
    }
}

/// A run's reports, with the experiment and the worker that they are about.
pub(super) fn progress_of(
    experiment: u32,
    worker: Option<u32>,
    observers: Arc<Vec<Arc<dyn Observer>>>,
) -> Arc<dyn Fn(Progress) + Send + Sync> {
    Arc::new(move |progress| {
        let event = match &progress {
            Progress::Phase(phase) => Event::Phase { experiment, worker, phase: *phase },
            Progress::Line(line) => Event::Line { experiment, worker, line },
        };
        observers.iter().for_each(|observer| observer.on_event(&event));
    })
}
