//! The lab: the loop that proposes, stages, measures and judges; keeps or reverts; remembers; and starts again.
//!
//! The order of the writes is what makes a run safe against a crash at any moment: an experiment's candidate is pinned
//! before it is journaled as staged, every trial is announced before it starts, the decision is the commit point, and the
//! incumbent moves only after it. An interrupted step is done again from the last record.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::journal::{Journal, Record, StagedExperiment};
use crate::metric::Metric;
use crate::observer::{Event, Observer};
use crate::program::Program;
use crate::proposer::Proposer;
use crate::ratchet::Ratchet;
use crate::sandbox::{Sandbox, SandboxError, StageError};
use crate::state::State;
use crate::stop::{Stop, StopReason};

mod builder;
mod change;
mod completions;
mod decide;
mod disclosure;
mod error;
mod excursion;
mod health;
mod hints;
mod in_flight;
mod propose;
mod rebase;
mod recover;
mod schedule;
mod screening;
mod settings;
mod trials;

pub use builder::LabBuilder;
pub use change::Change;
use completions::Completion;
use disclosure::Disclosed;
pub use error::LabError;
pub use excursion::ExcursionRule;
use in_flight::InFlight;
use schedule::Step;
pub use screening::Screening;
pub use settings::{Settings, Workers};

/// The engine of one run: a ratchet search over changes of the kind `C`.
///
/// ```
/// use std::sync::Arc;
/// use autoresearch_core::testkit::{Script, SimulatedMachine, Step};
/// use autoresearch_core::{Cancel, Direction, Lab, LogMetric, Stop, Strict};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let sandbox = SimulatedMachine::new(Step::score(5.0)).sandbox();
/// let proposer = Script::new([Step::score(6.0), Step::score(4.0)]);
/// let metric = LogMetric::new("score", Direction::Minimise);
/// let mut lab = Lab::builder(sandbox, Box::new(proposer), Arc::new(metric))
///     .ratchet(Arc::new(Strict))
///     .tag("may1")
///     .stop(Stop::after(2))
///     .build()?;
/// let reason = lab.run(&Cancel::new()).await?;
/// assert_eq!(reason.to_string(), "all 2 experiments are done");
/// let best = lab.state().incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
/// assert_eq!(best.map(|score| score.get()), Some(4.0));
/// # Ok::<(), autoresearch_core::LabError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lab<C> {
    program: Arc<Program>,
    proposer: Arc<Mutex<Box<dyn Proposer<C>>>>,
    sandbox: Arc<dyn Sandbox<C>>,
    metric: Arc<dyn Metric>,
    ratchet: Arc<dyn Ratchet>,
    settings: Settings,
    journal: Journal,
    /// Shared with the proposer while it is asked; later records then go into a copy.
    state: Arc<State>,
    /// Number of decided experiments that the proposer has observed.
    observed: usize,
    /// The experiments as the proposer sees them, under a rule that does not disclose everything.
    disclosed: Option<Disclosed>,
    observers: Arc<Vec<Arc<dyn Observer>>>,
    /// Once cancelled, the run ends after the experiments in flight.
    finish: Cancel,
}

impl<C> Lab<C> {
    /// Replaces the conditions under which the next [`Lab::run`] ends.
    pub fn set_stop(&mut self, stop: Stop) {
        self.settings.stop = stop;
    }

    /// The state of the run so far.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl<C: Change> Lab<C> {
    /// Adds a listener.
    #[doc(hidden)]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Lab<C> {
        let mut observers = self.observers.to_vec();
        observers.push(observer);
        self.observers = Arc::new(observers);
        self
    }

    /// Ends the run after the experiments in flight as soon as this token is cancelled.
    #[doc(hidden)]
    pub fn finishing_on(self, finish: Cancel) -> Lab<C> {
        Lab { finish, ..self }
    }

    /// Runs experiments until a stop condition holds. An interrupted run continues where it was.
    ///
    /// It may be called again after an orderly end, for instance with another [`Lab::set_stop`]. It needs a tokio runtime
    /// with time.
    pub async fn run(&mut self, cancel: &Cancel) -> Result<StopReason, LabError> {
        self.settings.stop.check().map_err(LabError::Settings)?;
        let attached = self.recover().await?;
        self.tell(&Event::RunStarted { state: &self.state });
        let mut in_flight = InFlight::new(self.settings.workers.clone(), cancel.child());
        self.attach_trials(&mut in_flight, attached);
        let reason = match self.search(&mut in_flight).await {
            Ok(reason) => reason,
            Err(LabError::Sandbox(SandboxError::Cancelled)) => {
                let answers = in_flight.cancel_all().await;
                self.journal_unstaged(answers);
                StopReason::Cancelled
            }
            Err(error) => {
                self.abandon(&mut in_flight).await;
                return Err(error);
            }
        };
        self.record(Record::Stopped { reason: reason.to_string() })?;
        self.tell(&Event::Stopped { reason: &reason, state: &self.state });
        Ok(reason)
    }

    /// The loop: advance experiments, start trials, request proposals, await the next completion, handle it.
    ///
    /// One task owns the journal and the state; proposals, builds and trials are awaited all at once. With one worker and
    /// nothing ahead this is karpathy's loop, one step at a time.
    async fn search(&mut self, in_flight: &mut InFlight<C>) -> Result<StopReason, LabError> {
        self.stage_baseline().await?;
        loop {
            let mut stop = Some(StopReason::Cancelled);
            if !in_flight.cancel.is_cancelled() {
                self.advance_experiments(in_flight).await?;
                stop = self.settings.stop.reason(&self.state, self.metric.direction(), in_flight.elapsed());
                stop = stop.or(self.finish.is_cancelled().then_some(StopReason::Requested));
                self.start_health_check(in_flight, stop.is_some());
                // A rebase may end in a conflict, which is decided first.
                if self.start_trials(in_flight, stop.is_some()).await? {
                    continue;
                }
                if stop.is_none() {
                    self.request_proposals(in_flight)?;
                }
                let exhausted = in_flight.proposer.exhausted.clone().filter(|_| self.state.open.is_empty());
                stop = stop.or(exhausted);
            }
            let completion = match stop {
                // A pause may last for minutes: nobody who wants the run to end waits for that.
                Some(stop) if in_flight.only_pauses() => return Ok(stop),
                None if in_flight.only_pauses() => {
                    let left = self.settings.stop.wall.map(|limit| limit.saturating_sub(in_flight.elapsed()));
                    let asked = asked_to_stop(self.finish.clone(), left);
                    tokio::select! {
                        biased;
                        completion = in_flight.next_completion() => completion,
                        () = asked => continue,
                    }
                }
                _ => in_flight.next_completion().await,
            };
            match (completion, stop) {
                (Some(Completion::Proposed(answer)), _) => self.accept_proposals(in_flight, answer).await?,
                (Some(Completion::Built { trial, result }), _) => self.finish_build(in_flight, trial, result)?,
                (Some(Completion::TrialEnded { trial, result }), _) => self.finish_trial(in_flight, trial, result)?,
                (Some(Completion::HealthCheckEnded(result)), _) => self.finish_health_check(in_flight, result)?,
                (Some(Completion::BackedOff(backoff)), _) => in_flight.end_backoff(backoff),
                (None, Some(stop)) => return Ok(stop),
                (None, None) => {
                    let why = "nothing can go on; is there a worker for every class of hardware?";
                    return Err(LabError::Settings(why.into()));
                }
            }
        }
    }

    /// Takes every step that needs no worker: decisions, promotions, and rebases into the merge queue. Each may lead to others.
    async fn advance_experiments(&mut self, in_flight: &mut InFlight<C>) -> Result<(), LabError> {
        loop {
            self.cancel_obsolete_trials(in_flight)?;
            let ids = self.state.open.iter().map(|open| open.experiment.id);
            let steps = ids.map(|id| (id, self.next_step(in_flight, id)));
            let Some((id, step)) = steps.into_iter().find(|(_, step)| !step.needs_worker()) else { return Ok(()) };
            match step {
                Step::Decide(status, reason) => self.decide_experiment(in_flight, id, status, reason).await?,
                Step::Promote(promotion, reason) => {
                    self.record(Record::Promoted { experiment: id, promotion, reason })?;
                }
                Step::Request(sides) => {
                    let measurements = self.state.open(id).map_or(0, |open| open.measurements());
                    in_flight.experiment(id).request(sides, measurements);
                }
                Step::Rebase { into_queue } => self.rebase_experiment(in_flight, id, into_queue).await?,
                Step::Trial { .. } | Step::Wait => return Ok(()),
            }
        }
    }

    /// Determines the next step of an open experiment.
    fn next_step(&self, in_flight: &InFlight<C>, experiment: ExperimentId) -> Step {
        match self.state.open(experiment) {
            Some(open) => {
                let known = in_flight.experiments.get(&experiment);
                schedule::next_step(&self.state, open, known, &self.settings, &*self.ratchet)
            }
            None => Step::Wait,
        }
    }

    /// Stages the baseline as experiment 0, unless it is staged already.
    async fn stage_baseline(&mut self) -> Result<(), LabError> {
        if !self.state.open.is_empty() || self.state.incumbent.is_some() {
            return Ok(());
        }
        let candidate = self.sandbox.baseline().await.map_err(|error| match error {
            StageError::Failed(error) => LabError::Sandbox(error),
            StageError::Rejected(why) => {
                LabError::Sandbox(SandboxError::Other(format!("the baseline cannot be made: {why}")))
            }
        })?;
        let mut staged = StagedExperiment::new(ExperimentId::BASELINE, None, candidate);
        staged.description = "baseline".into();
        self.record(Record::Staged(staged))
    }

    /// Cancels everything in flight after a failure of the lab, and records its trials as cancelled, so that they do not count as
    /// lost.
    async fn abandon(&mut self, in_flight: &mut InFlight<C>) {
        let answers = in_flight.cancel_all().await;
        self.journal_unstaged(answers);
        let running =
            self.state.open.iter().flat_map(|open| open.running.iter().map(|run| (open.experiment.id, run.trial)));
        for (experiment, trial) in running.collect::<Vec<_>>() {
            let reason = "the run ended with an error".to_owned();
            // Writing may be what has failed.
            if self.record(Record::TrialCancelled { experiment, trial, reason }).is_err() {
                return;
            }
        }
    }

    fn record(&mut self, record: Record) -> Result<(), LabError> {
        let entry = self.journal.append(record)?;
        Ok(Arc::make_mut(&mut self.state).apply_owned(entry)?)
    }

    /// Lets the proposer observe the experiments decided since the last time. If it is being asked, a later call does so.
    fn let_proposer_observe(&mut self) {
        let Ok(mut proposer) = self.proposer.try_lock() else { return };
        let experiments = match &mut self.disclosed {
            Some(disclosed) => disclosed.experiments(&self.state),
            None => &self.state.experiments,
        };
        experiments.iter().skip(self.observed).for_each(|experiment| proposer.observe(experiment));
        self.observed = experiments.len();
    }

    /// Writes the table on a thread of its own: a slow disk delays the search, and no trial in flight.
    // `&mut`, because a future with `&self` in it would not be `Send`: the medium of a journal need not be `Sync`.
    async fn write_results(&mut self) -> Result<(), LabError> {
        let Some(path) = self.settings.results.clone() else { return Ok(()) };
        let table = crate::results::table(&self.state);
        let written = tokio::task::spawn_blocking(move || crate::results::write_atomically(&path, table.as_bytes()));
        let written = written.await.map_err(|error| SandboxError::Other(format!("the table: {error}")))?;
        Ok(written?)
    }

    fn tell(&self, event: &Event<'_>) {
        self.observers.iter().for_each(|observer| observer.on_event(event));
    }
}

/// Waits until a person asks for the end, or for the time that is `left`.
async fn asked_to_stop(finish: Cancel, left: Option<Duration>) {
    let over = async {
        match left {
            // A timer cannot be set further into the future.
            Some(left) => tokio::time::sleep(left.min(Duration::from_secs(86_400 * 365))).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = finish.cancelled() => {}
        () = over => {}
    }
}
