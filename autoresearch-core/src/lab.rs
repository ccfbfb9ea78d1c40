//! The loop: propose, stage, run, measure, judge; keep or revert; remember; again.
//!
//! The order of the writes is what makes a run safe against a crash at any moment: an experiment's candidate is pinned
//! before its intent is journaled, every run is announced before it begins, the decision is the commit point, and the
//! incumbent moves only after it. Whatever was interrupted is done again from the last record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::cancel::Cancel;
use crate::journal::{Entry, Journal, JournalError, Record};
use crate::metric::Metric;
use crate::observer::{Event, Observer};
use crate::program::Program;
use crate::proposer::{Context, Cost, Proposal, Proposer, ProposerError};
use crate::ratchet::Ratchet;
use crate::sandbox::{Sandbox, SandboxError, StageError};
use crate::state::State;
use crate::stop::{Stop, StopReason};

mod disclosure;
mod excursion;
mod experiment;
mod screening;
mod settings;

use disclosure::{Disclosed, rounded_best};
pub use excursion::Excursion;
pub use screening::Screening;
pub use settings::Settings;

/// The pause before a failing part is tried again: doubled each time, up to the second value.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After so many refused proposals in a row, each further one is followed by a pause: a proposer that repeats itself must
/// not fill the disk.
const REFUSALS: u32 = 1000;

/// Our own machinery failed. The journal holds everything up to here; the same command goes on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The sandbox failed repeatedly.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The proposer cannot go on without a person.
    #[error("the proposer cannot go on: {0}")]
    Proposer(String),
    /// There is nothing to improve on: the unchanged state does not run.
    #[error("the baseline gave no number: {why}\n{tail}\nmake the unchanged program run first; its log is {log}")]
    Baseline {
        /// How it ended.
        why: String,
        /// The last lines of its output.
        tail: String,
        /// Where its whole output is.
        log: String,
    },
    /// The journal belongs to a run of something else.
    #[error(
        "this run was begun with other {what} (then: {then}, now: {now}); measurements would not compare: start a run with another tag"
    )]
    Changed {
        /// What differs.
        what: &'static str,
        /// In the journal.
        then: String,
        /// Now.
        now: String,
    },
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A change cannot be written as JSON.
    #[error("the change cannot be written into the journal: {0}")]
    Json(#[from] serde_json::Error),
}

/// The laboratory: one run of a ratchet search over changes of the kind `C`.
pub struct Lab<C> {
    program: Program,
    proposer: Box<dyn Proposer<C>>,
    sandbox: Arc<dyn Sandbox<C>>,
    metric: Arc<dyn Metric>,
    ratchet: Arc<dyn Ratchet>,
    settings: Settings,
    journal: Journal,
    state: State,
    /// What proposers see, if that is not everything.
    disclosed: Option<Disclosed>,
    observers: Arc<Vec<Arc<dyn Observer>>>,
}

impl<C: Serialize + Send + Sync + 'static> Lab<C> {
    /// Sets up a run over a journal and what it already holds.
    pub fn new(
        program: Program,
        proposer: Box<dyn Proposer<C>>,
        sandbox: Arc<dyn Sandbox<C>>,
        metric: Arc<dyn Metric>,
        ratchet: Arc<dyn Ratchet>,
        settings: Settings,
        (journal, entries): (Journal, Vec<Entry>),
    ) -> Result<Lab<C>, LabError> {
        let mut state = State::default();
        entries.into_iter().try_for_each(|entry| state.take(entry))?;
        let (disclosed, observers) = (Disclosed::under(ratchet.discloses()), Arc::default());
        Ok(Lab { program, proposer, sandbox, metric, ratchet, settings, journal, state, disclosed, observers })
    }

    /// Adds a listener.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Lab<C> {
        let mut observers = self.observers.to_vec();
        observers.push(observer);
        self.observers = Arc::new(observers);
        self
    }

    /// Replaces the conditions under which the next [`Lab::run`] ends.
    pub fn set_stop(&mut self, stop: Stop) {
        self.settings.stop = stop;
    }

    /// Everything so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Runs experiments until a stop condition holds. A run that was interrupted goes on where it was.
    ///
    /// It may be called again after an orderly end, for instance with another [`Lab::set_stop`].
    pub async fn run(&mut self, cancel: &Cancel) -> Result<StopReason, LabError> {
        let began = Timestamp::now();
        self.begin().await?;
        self.tell(&Event::Began { state: &self.state });
        let reason = match self.work(cancel, began).await {
            Ok(reason) => reason,
            Err(LabError::Sandbox(SandboxError::Cancelled)) => StopReason::Cancelled,
            Err(error) => return Err(error),
        };
        self.record(Record::Stopped { reason: reason.to_string() })?;
        self.tell(&Event::Stopped { reason: &reason, state: &self.state });
        Ok(reason)
    }

    async fn work(&mut self, cancel: &Cancel, began: Timestamp) -> Result<StopReason, LabError> {
        if self.state.open.is_none() && self.state.incumbent.is_none() {
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
                remaining: None,
            })?;
        }
        let direction = self.metric.direction();
        let (mut failures, mut refusals) = (0, 0);
        loop {
            if let Some(open) = &self.state.open {
                self.tell(&Event::Staged { experiment: open.experiment.id, description: &open.experiment.description });
                self.experiment(cancel).await?;
                continue;
            }
            if let Some(reason) = self.settings.stop.reason(&self.state, direction, began) {
                return Ok(reason);
            }
            if self.state.failing.is_some() || self.state.crashes_in_a_row >= self.settings.suspicious_crashes.max(1) {
                self.check_incumbent(cancel).await?;
                continue;
            }
            if self.settings.remeasure_every.is_some_and(|every| self.state.since_measured >= every.max(1)) {
                self.remeasure_incumbent(cancel).await?;
                continue;
            }
            match self.propose(cancel).await {
                Ok(proposal) => {
                    failures = 0;
                    self.stage(proposal, began).await?;
                    refusals = if self.state.open.is_some() { 0 } else { refusals + 1 };
                    self.pause_after_refusals(refusals, cancel).await?;
                }
                Err(ProposerError::Refused { description, reason, cost }) => {
                    failures = 0;
                    refusals += 1;
                    self.refuse(description, reason, serde_json::Value::Null, cost, String::new())?;
                    self.pause_after_refusals(refusals, cancel).await?;
                }
                Err(ProposerError::Exhausted(why)) => return Ok(StopReason::Exhausted(why)),
                Err(ProposerError::Fatal(why)) => return Err(LabError::Proposer(why)),
                // Whatever the proposer's trouble, the night goes on.
                Err(ProposerError::Transient(error)) => {
                    self.pause(failures, &error, cancel).await?;
                    failures += 1;
                }
            }
        }
    }

    /// Checks that the journal belongs to this run, and finishes what an earlier harness left undone.
    async fn begin(&mut self) -> Result<(), LabError> {
        self.sandbox.clean().await?;
        let Settings { policy, seed, .. } = &self.settings;
        if let Some(Err(why)) = self.settings.screening.as_ref().map(Screening::check) {
            return Err(LabError::Settings(format!("the screening: {why}")));
        }
        if let Some(Err(why)) = self.settings.excursion.as_ref().map(Excursion::check) {
            return Err(LabError::Settings(format!("the excursions: {why}")));
        }
        let direction = self.metric.direction();
        match &self.state.header {
            None => {
                let (tag, base) = (self.settings.tag.clone(), self.settings.base.clone());
                let (policy, seed, metric) = (policy.clone(), *seed, self.metric.name().to_owned());
                let rule = self.ratchet.name().to_owned();
                self.record(Record::Started { tag, base, metric, direction, policy, seed, rule })?;
            }
            Some(header) => {
                let changed =
                    |what, then: &str, now: &str| LabError::Changed { what, then: then.into(), now: now.into() };
                if header.metric != self.metric.name() || header.direction != direction {
                    return Err(changed("a metric", &header.metric, self.metric.name()));
                }
                if header.policy != *policy {
                    return Err(changed("settings that decide the number", &header.policy, policy));
                }
                if header.seed != *seed {
                    return Err(changed("a seed", &header.seed.to_string(), &seed.to_string()));
                }
            }
        }
        if let Some((from, to)) = self.state.unapplied.clone() {
            self.sandbox.promote(from.as_ref(), &to).await?;
            let experiment = self.state.incumbent.as_ref().map_or(0, |incumbent| incumbent.experiment);
            self.record(Record::Applied { experiment })?;
        } else if let Some(incumbent) = &self.state.incumbent {
            // Nothing to move: this finds out whether somebody else moved it.
            self.sandbox.promote(Some(&incumbent.revision), &incumbent.revision).await?;
        }
        self.write_results()?;
        let experiments = match &mut self.disclosed {
            Some(disclosed) => disclosed.of(&self.state),
            None => &self.state.experiments,
        };
        experiments.iter().for_each(|experiment| self.proposer.observe(experiment));
        Ok(())
    }

    async fn propose(&mut self, cancel: &Cancel) -> Result<Proposal<C>, ProposerError> {
        self.tell(&Event::Proposing { experiment: self.state.next_experiment() });
        let Some(tip) = self.state.tip() else {
            return Err(ProposerError::Fatal("there is no measured baseline".into()));
        };
        let files = self.sandbox.files(tip).await.map_err(|e| ProposerError::Transient(e.to_string()))?;
        let Some(mut context) = Context::new(&self.program, &self.state, Arc::new(files)) else {
            return Err(ProposerError::Fatal("the incumbent has no score".into()));
        };
        if let Some(disclosed) = &mut self.disclosed {
            let best = rounded_best(&self.state).unwrap_or(context.to_beat);
            (context.score, context.to_beat, context.experiments) = (best, best, disclosed.of(&self.state));
            context.noise = None;
        }
        tokio::select! {
            proposal = self.proposer.propose(&context) => proposal,
            () = cancel.cancelled() => Err(ProposerError::Transient("cancelled".into())),
        }
    }

    /// Makes a proposal the open experiment, unless it is refused.
    async fn stage(&mut self, proposal: Proposal<C>, began: Timestamp) -> Result<(), LabError> {
        let Some(parent) = self.state.tip().cloned() else {
            return Err(LabError::Proposer("there is no incumbent to change".into()));
        };
        let experiment = self.state.next_experiment();
        let Proposal { change, description, hypothesis, cost, proposer } = proposal;
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        let candidate = match self.sandbox.stage(experiment, &parent, &change, &description).await {
            Ok(candidate) => candidate,
            Err(StageError::Rejected(reason)) => {
                return self.refuse(description, reason, serde_json::to_value(&change)?, cost, proposer);
            }
            Err(StageError::Failed(error)) => return Err(error.into()),
        };
        let change = serde_json::to_value(&change)?;
        if let Some(done) = self.state.with_fingerprint(&candidate.fingerprint) {
            let reason = format!("it is the same as experiment {} ({}, {})", done.id, done.description, done.status);
            return self.refuse(description, reason, change, cost, proposer);
        }
        self.record(Record::Intent {
            experiment,
            parent: Some(parent),
            candidate,
            description,
            hypothesis,
            change,
            cost,
            proposer,
            remaining: self.settings.stop.remaining(&self.state, began),
        })
    }

    fn refuse(
        &mut self,
        description: String,
        reason: String,
        change: serde_json::Value,
        cost: Cost,
        proposer: String,
    ) -> Result<(), LabError> {
        self.tell(&Event::Refused { description: &description, reason: &reason });
        self.record(Record::Refused { description, reason, change, cost, proposer })
    }

    async fn pause_after_refusals(&self, refusals: u32, cancel: &Cancel) -> Result<(), LabError> {
        if refusals <= REFUSALS {
            return Ok(());
        }
        let last = self.state.rejections.last().map_or("", |rejection| rejection.reason.as_str());
        let error = format!("{refusals} proposals in a row were refused, the last one because {last}");
        self.pause(refusals - REFUSALS, &error, cancel).await
    }

    async fn pause(&self, failures: u32, error: &str, cancel: &Cancel) -> Result<(), LabError> {
        let pause = PAUSES.0.saturating_mul(1 << failures.min(16)).min(PAUSES.1);
        if !cancel.is_cancelled() {
            self.tell(&Event::Retrying { error, pause });
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = cancel.cancelled() => Err(SandboxError::Cancelled.into()),
        }
    }

    fn record(&mut self, record: Record) -> Result<(), LabError> {
        let entry = self.journal.append(record)?;
        Ok(self.state.take(entry)?)
    }

    fn write_results(&self) -> Result<(), LabError> {
        match &self.settings.results {
            Some(path) => Ok(crate::results::write(path, &self.state)?),
            None => Ok(()),
        }
    }

    fn tell(&self, event: &Event<'_>) {
        self.observers.iter().for_each(|observer| observer.on_event(event));
    }
}
