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
use crate::metric::{Measurement, Metric};
use crate::observer::{Event, Observer};
use crate::program::Program;
use crate::proposer::{Context, Cost, Proposal, Proposer, ProposerError};
use crate::ratchet::{Arm, Evidence, Ratchet, Side, Verdict};
use crate::sandbox::{Budget, Candidate, Outcome, Progress, Revision, Sandbox, SandboxError, StageError, Trial};
use crate::state::{Experiment, Open, State, Status};
use crate::stop::{Stop, StopReason};

/// After so many runs that vanished with the machine or the harness, an experiment counts as crashed.
const MAX_LOST_RUNS: u32 = 3;
/// So often a failing sandbox is tried before the run ends with an error.
const MAX_SANDBOX_FAILURES: u32 = 4;
/// The pause before a failing part is tried again: doubled each time, up to the second value.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How much of a log's end the journal remembers, in characters.
const REMEMBERED_TAIL: usize = 2000;

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
        "this run was begun with other {what} (then: {then}, now: {now}); measurements would not compare: start another --tag"
    )]
    Changed {
        /// What differs.
        what: &'static str,
        /// In the journal.
        then: String,
        /// Now.
        now: String,
    },
    /// A change cannot be written as JSON.
    #[error("the change cannot be written into the journal: {0}")]
    Json(#[from] serde_json::Error),
}

/// The settings of a run beside its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The run's name.
    pub tag: String,
    /// What the search starts from, if that has a name before it is staged.
    pub base: Option<Revision>,
    /// A hash of everything that decides the number: a run is never continued under another policy.
    pub policy: String,
    /// Seeds the runs. Every candidate is first measured with the same seed.
    pub seed: u64,
    /// The limits of each run.
    pub budget: Budget,
    /// When to end.
    pub stop: Stop,
    /// Where `results.tsv` is kept, if anywhere.
    pub results: Option<std::path::PathBuf>,
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
        let state = State::replay(&entries)?;
        Ok(Lab { program, proposer, sandbox, metric, ratchet, settings, journal, state, observers: Arc::default() })
    }

    /// Adds a listener.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Lab<C> {
        let mut observers = self.observers.to_vec();
        observers.push(observer);
        self.observers = Arc::new(observers);
        self
    }

    /// Everything so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Runs experiments until a stop condition holds. A run that was interrupted goes on where it was.
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
            self.intend(
                0,
                None,
                candidate,
                "baseline".into(),
                String::new(),
                serde_json::Value::Null,
                Cost::default(),
            )?;
        }
        let direction = self.metric.direction();
        let mut failures = 0;
        loop {
            if let Some(open) = &self.state.open {
                self.tell(&Event::Staged { experiment: open.experiment.id, description: &open.experiment.description });
                self.experiment(cancel).await?;
                continue;
            }
            if let Some(reason) = self.settings.stop.reason(&self.state, direction, began) {
                return Ok(reason);
            }
            match self.propose(cancel).await {
                Ok(proposal) => {
                    failures = 0;
                    self.stage(proposal).await?;
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

    /// Checks that the journal belongs to this run, and finishes what the last keep left undone.
    async fn begin(&mut self) -> Result<(), LabError> {
        let Settings { tag, base, policy, seed, .. } = self.settings.clone();
        let direction = self.metric.direction();
        match &self.state.header {
            None => {
                let metric = self.metric.name().to_owned();
                self.record(Record::Started { tag, base, metric, direction, policy, seed })?;
            }
            Some(header) => {
                let changed =
                    |what, then: &str, now: &str| LabError::Changed { what, then: then.into(), now: now.into() };
                if header.metric != self.metric.name() || header.direction != direction {
                    return Err(changed("a metric", &header.metric, self.metric.name()));
                }
                if header.policy != policy {
                    return Err(changed("settings that decide the number", &header.policy, &policy));
                }
                if header.seed != seed {
                    return Err(changed("a seed", &header.seed.to_string(), &seed.to_string()));
                }
            }
        }
        if let Some((from, to)) = self.state.unapplied.clone() {
            self.sandbox.promote(from.as_ref(), &to).await?;
            let experiment = self.state.incumbent.as_ref().map_or(0, |incumbent| incumbent.experiment);
            self.record(Record::Applied { experiment })?;
        }
        self.write_results()?;
        for experiment in &self.state.experiments {
            self.proposer.observe(experiment);
        }
        Ok(())
    }

    async fn propose(&mut self, cancel: &Cancel) -> Result<Proposal<C>, ProposerError> {
        self.tell(&Event::Proposing { experiment: self.state.next_experiment() });
        let Some(incumbent) = &self.state.incumbent else {
            return Err(ProposerError::Fatal("there is no measured baseline".into()));
        };
        let Some(score) = incumbent.arm.mean() else {
            return Err(ProposerError::Fatal("the incumbent has no score".into()));
        };
        let files =
            self.sandbox.files(&incumbent.revision).await.map_err(|e| ProposerError::Transient(e.to_string()))?;
        let context = Context {
            program: &self.program,
            incumbent: incumbent.revision.clone(),
            score,
            direction: self.metric.direction(),
            files: Arc::new(files),
            experiments: &self.state.experiments,
            rejections: &self.state.rejections,
            change: std::marker::PhantomData,
        };
        tokio::select! {
            proposal = self.proposer.propose(&context) => proposal,
            () = cancel.cancelled() => Err(ProposerError::Transient("cancelled".into())),
        }
    }

    /// Makes a proposal the open experiment, unless it is refused.
    async fn stage(&mut self, proposal: Proposal<C>) -> Result<(), LabError> {
        let Some(parent) = self.state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone()) else {
            return Err(LabError::Proposer("there is no incumbent to change".into()));
        };
        let experiment = self.state.next_experiment();
        let Proposal { change, description, hypothesis, cost } = proposal;
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        let candidate = match self.sandbox.stage(experiment, &parent, &change, &description).await {
            Ok(candidate) => candidate,
            Err(StageError::Rejected(reason)) => return self.refuse(description, reason, cost),
            Err(StageError::Failed(error)) => return Err(error.into()),
        };
        let same = self.state.experiments.iter().find(|done| done.candidate.fingerprint == candidate.fingerprint);
        if let Some(done) = same {
            let reason = format!("it is the same as experiment {} ({}, {})", done.id, done.description, done.status);
            return self.refuse(description, reason, cost);
        }
        let change = serde_json::to_value(&change)?;
        self.intend(experiment, Some(parent), candidate, description, hypothesis, change, cost)
    }

    fn refuse(&mut self, description: String, reason: String, cost: Cost) -> Result<(), LabError> {
        self.tell(&Event::Refused { description: &description, reason: &reason });
        self.record(Record::Refused { description, reason, cost })
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one record")]
    fn intend(
        &mut self,
        experiment: u32,
        parent: Option<Revision>,
        candidate: Candidate,
        description: String,
        hypothesis: String,
        change: serde_json::Value,
        cost: Cost,
    ) -> Result<(), LabError> {
        self.record(Record::Intent { experiment, parent, candidate, description, hypothesis, change, cost })
    }

    /// Runs the open experiment until it is decided.
    async fn experiment(&mut self, cancel: &Cancel) -> Result<(), LabError> {
        let Some(mut open) = self.state.open.clone() else { return Ok(()) };
        let mut wanted = match open.experiment.arm.measurements.is_empty() {
            true => vec![Side::Candidate],
            false => Vec::new(),
        };
        let (status, reason) = loop {
            for side in wanted.drain(..) {
                if open.lost >= MAX_LOST_RUNS {
                    return self
                        .decide(
                            &open.experiment,
                            Status::Crash,
                            format!("{} of its runs vanished with the harness", open.lost),
                        )
                        .await;
                }
                let failure = self.trial(&open, side, cancel).await?;
                open = self.state.open.clone().unwrap_or(open);
                if let (Some(why), Side::Candidate) = (failure, side) {
                    return self.decide(&open.experiment, Status::Crash, why).await;
                }
            }
            match self.judge(&open) {
                Verdict::Keep(reason) => break (Status::Keep, reason),
                Verdict::Discard(reason) => break (Status::Discard, reason),
                Verdict::Measure(sides) if sides.is_empty() => {
                    break (Status::Discard, "the rule asked for nothing more and did not decide".into());
                }
                Verdict::Measure(sides) => wanted = sides,
            }
        };
        self.decide(&open.experiment, status, reason).await
    }

    fn judge(&self, open: &Open) -> Verdict {
        let Some(incumbent) = &self.state.incumbent else {
            return Verdict::Keep("baseline".into());
        };
        let mut arm: Arm = incumbent.arm.clone();
        arm.measurements.extend(open.incumbent.iter().cloned());
        let candidate = open.experiment.arm.clone();
        let added_lines = open.experiment.candidate.added_lines;
        self.ratchet.judge(&Evidence::new(arm, candidate, self.metric.direction(), added_lines))
    }

    /// One run of one side. Returns why it gave no number, if it did not.
    async fn trial(&mut self, open: &Open, side: Side, cancel: &Cancel) -> Result<Option<String>, LabError> {
        let experiment = open.experiment.id;
        let candidate = match (side, &self.state.incumbent) {
            (Side::Incumbent, Some(incumbent)) => incumbent.candidate.clone(),
            _ => open.experiment.candidate.clone(),
        };
        // The first run of every candidate has the run's own seed, further ones have fresh seeds, the same on both sides.
        let repeats = match side {
            Side::Candidate => open.experiment.arm.measurements.len(),
            Side::Incumbent => open.incumbent.len() + 1,
        };
        let seed = self.settings.seed.wrapping_add(repeats as u64);
        let mut failures = 0;
        loop {
            let attempt = self.state.open.as_ref().map_or(0, |open| open.attempts) + 1;
            self.record(Record::Attempt { experiment, attempt, side, seed })?;
            let mut trial = Trial::new(experiment, attempt, seed, self.settings.budget);
            let observers = self.observers.clone();
            trial.progress = Arc::new(move |progress| {
                let event = match &progress {
                    Progress::Phase(phase) => Event::Phase { experiment, phase: *phase },
                    Progress::Line(line) => Event::Line { experiment, line },
                };
                observers.iter().for_each(|observer| observer.on_event(&event));
            });
            match self.sandbox.run(&candidate, &trial, cancel).await {
                Ok(outcome) => {
                    let result = self.metric.read(&outcome);
                    let why = result.as_ref().err().map(|error| match &outcome {
                        Outcome::Completed(_) => error.to_string(),
                        other => other.describe(),
                    });
                    return self
                        .measured(experiment, attempt, side, outcome, result.map_err(|e| e.to_string()))
                        .map(|()| why);
                }
                Err(SandboxError::Cancelled) => return Err(SandboxError::Cancelled.into()),
                Err(error @ (SandboxError::DiskFull { .. } | SandboxError::CannotStart { .. })) => {
                    return Err(error.into());
                }
                Err(error) => {
                    failures += 1;
                    if failures >= MAX_SANDBOX_FAILURES {
                        return Err(error.into());
                    }
                    self.pause(failures - 1, &error.to_string(), cancel).await?;
                }
            }
        }
    }

    fn measured(
        &mut self,
        experiment: u32,
        attempt: u32,
        side: Side,
        mut outcome: Outcome,
        result: Result<Measurement, String>,
    ) -> Result<(), LabError> {
        let (Outcome::Completed(log)
        | Outcome::Crashed { log, .. }
        | Outcome::TimedOut { log }
        | Outcome::OutOfMemory { log }) = &mut outcome;
        if let Some((start, _)) = log.tail.char_indices().rev().nth(REMEMBERED_TAIL - 1) {
            log.tail.drain(..start);
        }
        self.record(Record::Measured { experiment, attempt, side, outcome, result })
    }

    /// The commit point, and after it what follows from it.
    async fn decide(&mut self, experiment: &Experiment, status: Status, reason: String) -> Result<(), LabError> {
        let id = experiment.id;
        if id == 0 && status != Status::Keep {
            let log = experiment.outcome.as_ref().map(Outcome::log);
            // The baseline stays open: the same command measures it again.
            return Err(LabError::Baseline {
                why: reason,
                tail: log.map_or(String::new(), |log| last_lines(&log.tail, 12)),
                log: log.and_then(|log| log.path.as_ref()).map_or("not kept".into(), |path| path.display().to_string()),
            });
        }
        let to = match status {
            Status::Keep => Some(self.sandbox.seal(&experiment.candidate, &self.message(experiment, &reason)).await?),
            Status::Discard | Status::Crash => None,
        };
        let from = self.state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone());
        self.record(Record::Decision { experiment: id, status, reason, to: to.clone() })?;
        if let Some(to) = to {
            self.sandbox.promote(from.as_ref(), &to).await?;
            self.record(Record::Applied { experiment: id })?;
        }
        self.write_results()?;
        if let Some(decided) = self.state.experiments.last() {
            self.proposer.observe(decided);
            self.observers.iter().for_each(|o| o.on_event(&Event::Decided { experiment: decided, state: &self.state }));
        }
        Ok(())
    }

    /// The commit message of a kept experiment.
    fn message(&self, experiment: &Experiment, reason: &str) -> String {
        let name = self.metric.name();
        let after = experiment.score().map_or("unmeasured".into(), |score| format!("{:.6}", score.get()));
        let before = self.state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let change = before
            .map_or(format!("{name}: {after}"), |before| format!("{name}: {:.6} -> {after} ({reason})", before.get()));
        let hypothesis = match experiment.hypothesis.trim() {
            "" => String::new(),
            text => format!("{text}\n\n"),
        };
        format!(
            "{}\n\n{hypothesis}{change}\nexperiment: {} of {}\n",
            experiment.description, experiment.id, self.settings.tag
        )
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
        Ok(self.state.apply(&entry)?)
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

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
