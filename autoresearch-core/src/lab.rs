//! The loop: propose, stage, run, measure, judge; keep or revert; remember; again.
//!
//! The order of the writes is what makes a run safe against a crash at any moment: an experiment's candidate is pinned
//! before its intent is journaled, every run is announced before it begins, the decision is the commit point, and the
//! incumbent moves only after it. Whatever was interrupted is done again from the last record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::cancel::Cancel;
use crate::journal::{Entry, Journal, JournalError, Record};
use crate::metric::Metric;
use crate::observer::{Event, Observer};
use crate::program::Program;
use crate::proposer::{Context, Cost, Proposal, Proposer, ProposerError, Wave};
use crate::ratchet::Ratchet;
use crate::sandbox::{Revision, Sandbox, SandboxError, StageError};
use crate::state::State;
use crate::stop::{Stop, StopReason};

mod bench;
mod checks;
mod disclosure;
mod excursion;
mod experiment;
mod next;
mod runs;
mod screening;
mod settings;
mod work;

use bench::Done;
use disclosure::{Disclosed, View};
pub use excursion::Excursion;
pub use screening::Screening;
pub use settings::{Settings, Workers};

/// The pause before a failing part is tried again: doubled each time, up to the second value.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After so many refused proposals in a row, each further one is followed by a pause: a proposer that repeats itself must
/// not fill the disk.
const REFUSALS: u32 = 1000;

/// At most so many experiments wait for each worker.
const MAX_BACKLOG: usize = 2;

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
    program: Arc<Program>,
    proposer: Arc<Mutex<Box<dyn Proposer<C>>>>,
    sandbox: Arc<dyn Sandbox<C>>,
    metric: Arc<dyn Metric>,
    ratchet: Arc<dyn Ratchet>,
    settings: Settings,
    journal: Journal,
    /// Shared with the proposer while it is at work: what is recorded meanwhile goes into a copy.
    state: Arc<State>,
    /// How many decided experiments the proposer was told of.
    observed: usize,
    /// What proposers see, if that is not everything.
    disclosed: Option<Disclosed>,
    observers: Arc<Vec<Arc<dyn Observer>>>,
}

impl<C> Lab<C> {
    /// Replaces the conditions under which the next [`Lab::run`] ends.
    pub fn set_stop(&mut self, stop: Stop) {
        self.settings.stop = stop;
    }

    /// Everything so far.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
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
        let (program, proposer, state) = (Arc::new(program), Arc::new(Mutex::new(proposer)), Arc::new(state));
        let observed = 0;
        Ok(Lab {
            program,
            proposer,
            sandbox,
            metric,
            ratchet,
            settings,
            journal,
            state,
            observed,
            disclosed,
            observers,
        })
    }

    /// Adds a listener.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Lab<C> {
        let mut observers = self.observers.to_vec();
        observers.push(observer);
        self.observers = Arc::new(observers);
        self
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

    /// Checks that the journal belongs to this run, and finishes what an earlier harness left undone.
    async fn begin(&mut self) -> Result<(), LabError> {
        self.sandbox.clean().await?;
        let Settings { policy, seed, .. } = &self.settings;
        self.settings.check().map_err(LabError::Settings)?;
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
        if self.state.open.iter().any(|open| !open.running.is_empty()) {
            self.record(Record::Resumed)?;
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
        self.observed = 0;
        self.let_proposer_observe();
        Ok(())
    }

    /// Asks for at most so many proposals. The answer may come long after this state: the proposer works on a view of its own.
    fn propose(&mut self, most: usize, cancel: Cancel) -> impl Future<Output = Done<C>> + Send + 'static {
        let view = match &mut self.disclosed {
            Some(disclosed) => Some(disclosed.view(&self.state)),
            None => None,
        };
        let (proposer, sandbox, program) = (self.proposer.clone(), self.sandbox.clone(), self.program.clone());
        let state = self.state.clone();
        async move {
            let began = tokio::time::Instant::now();
            let parent = state.tip().cloned().unwrap_or(Revision(String::new()));
            let result = tokio::select! {
                proposals = proposals(&proposer, &*sandbox, &program, &state, view.as_ref(), most) => proposals,
                () = cancel.cancelled() => Err(ProposerError::Transient("cancelled".into())),
            };
            Done::Proposed { parent, result, took: began.elapsed() }
        }
    }

    /// Makes a proposal for the files of `parent` an open experiment. Returns whether it is one; if not, it was refused.
    async fn stage(&mut self, proposal: Proposal<C>, parent: &Revision, began: Timestamp) -> Result<bool, LabError> {
        let experiment = self.state.next_experiment();
        let Proposal { change, description, hypothesis, cost, proposer, design } = proposal;
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        let candidate = match self.sandbox.stage(experiment, parent, &change, &description).await {
            Ok(candidate) => candidate,
            Err(StageError::Rejected(reason)) => {
                self.refuse(description, reason, serde_json::to_value(&change)?, cost, proposer)?;
                return Ok(false);
            }
            Err(StageError::Failed(error)) => return Err(error.into()),
        };
        let change = serde_json::to_value(&change)?;
        if let Some(done) = self.state.with_fingerprint(&candidate.fingerprint) {
            let open = self.state.open(done.id).is_some();
            let became = if open { "not decided yet".to_owned() } else { done.status.to_string() };
            let reason = format!("it is the same as experiment {} ({}, {became})", done.id, done.description);
            self.refuse(description, reason, change, cost, proposer)?;
            return Ok(false);
        }
        self.record(Record::Intent {
            experiment,
            parent: Some(parent.clone()),
            candidate,
            description,
            hypothesis,
            change,
            cost,
            proposer,
            design,
            remaining: self.settings.stop.remaining(&self.state, began, self.settings.workers.classes.len()),
        })?;
        self.tell(&Event::Proposed { experiment });
        Ok(true)
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

    fn record(&mut self, record: Record) -> Result<(), LabError> {
        let entry = self.journal.append(record)?;
        Ok(Arc::make_mut(&mut self.state).take(entry)?)
    }

    /// Tells the proposer of what was decided since it was told last; later, if it is at work.
    fn let_proposer_observe(&mut self) {
        let Ok(mut proposer) = self.proposer.try_lock() else { return };
        let experiments = match &mut self.disclosed {
            Some(disclosed) => disclosed.of(&self.state),
            None => &self.state.experiments,
        };
        experiments.iter().skip(self.observed).for_each(|experiment| proposer.observe(experiment));
        self.observed = experiments.len();
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

/// What the proposer makes of a state.
async fn proposals<C: Send + 'static>(
    proposer: &Mutex<Box<dyn Proposer<C>>>,
    sandbox: &dyn Sandbox<C>,
    program: &Program,
    state: &State,
    view: Option<&View>,
    most: usize,
) -> Result<Wave<C>, ProposerError> {
    let Some(tip) = state.tip() else {
        return Err(ProposerError::Fatal("there is no measured baseline".into()));
    };
    let files = sandbox.files(tip).await.map_err(|e| ProposerError::Transient(e.to_string()))?;
    let Some(mut context) = Context::new(program, state, Arc::new(files)) else {
        return Err(ProposerError::Fatal("the incumbent has no score".into()));
    };
    if let Some(view) = view {
        view.narrow(&mut context);
    }
    proposer.lock().await.propose_wave(&context, most).await
}
