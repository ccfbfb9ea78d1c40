//! Trials of experiments: started where there are workers, built ahead of them, and recorded when they end.

use std::sync::Arc;
use std::time::Duration;

use super::completions::{Backoff, Completion, TrialId};
use super::in_flight::{InFlight, Phase, TrialInFlight, backoff_after};
use super::schedule::{Step, is_suspect};
use super::{Change, Lab, LabError};
use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::failpoint;
use crate::journal::{Record, TrialResult, TrialStart};
use crate::metric::Measurement;
use crate::observer::{Event, Observer};
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome, Progress, Purpose, RunLog, Sandbox, SandboxError, Trial};
use crate::state::{BaseStatus, OpenExperiment, SANDBOX_FAILURES};
use crate::text::{DESCRIPTION_LIMIT, PARAGRAPH_LIMIT, one_line, paragraph};

/// Length of the end of a log in the journal, in characters.
const REMEMBERED_TAIL: usize = 2000;
/// Time beyond both limits of its budget after which the lab ends a trial itself; also the time that the sandbox then has to
/// clean up.
const GRACE: Duration = Duration::from_secs(1);

impl<C: Change> Lab<C> {
    /// Cancels builds and trials whose result can no longer change a decision: builds ahead of a first trial, if the
    /// incumbent has moved since, as another build costs less than a trial; and trials on top of another candidate that was
    /// not kept.
    pub(super) fn cancel_obsolete_trials(&mut self, in_flight: &mut InFlight<C>) -> Result<(), LabError> {
        let is_stale = |open: &&OpenExperiment| {
            open.experiment.arm.measurements.is_empty() && self.state.base_status(open) == BaseStatus::Stale
        };
        let stale = self.state.open.iter().filter(is_stale);
        let stale: Vec<_> = stale.map(|open| (open.experiment.id, self.state.comparable(open))).collect();
        for (experiment, is_comparable) in stale {
            let Some(known) = in_flight.experiments.get_mut(&experiment) else { continue };
            let is_obsolete = |trial: &&TrialInFlight| {
                trial.phase == Phase::Building || (trial.phase == Phase::Running && !is_comparable)
            };
            known.trials.iter().filter(is_obsolete).for_each(|trial| trial.cancel.cancel());
            let built: Vec<_> = known.trials.extract_if(.., |trial| trial.phase == Phase::Built).collect();
            for trial in built {
                in_flight.release(trial.lease);
                self.record_cancelled(experiment, trial.trial.number)?;
                self.tell(&Event::TrialEnded { experiment, worker: None });
            }
        }
        Ok(())
    }

    fn record_cancelled(&mut self, experiment: ExperimentId, trial: u32) -> Result<(), LabError> {
        let reason = "its base is no longer the incumbent or about to become it".to_owned();
        self.record(Record::TrialCancelled { experiment, trial, reason })
    }

    /// True if an open experiment was tried or is in the merge queue. The others may wait for another call.
    pub(super) fn has_begun(&self, in_flight: &InFlight<C>, open: &OpenExperiment) -> bool {
        let was_tried = in_flight.experiments.get(&open.experiment.id).is_some_and(|known| known.was_tried);
        was_tried || open.trials_started > 0 || open.in_merge_queue || !self.settings.workers.ahead
    }

    /// Starts the trials for which there are workers: first of the merge queue, then of the baseline and of experiments that
    /// have begun, then, if the run is not `stopping`, of those that wait. Returns `true` after a rebase, whose result comes first.
    pub(super) async fn start_trials(&mut self, in_flight: &mut InFlight<C>, stopping: bool) -> Result<bool, LabError> {
        if is_suspect(&self.state, &self.settings) {
            return Ok(false);
        }
        let open = self.state.open.iter();
        let mut order: Vec<(bool, bool, ExperimentId)> =
            open.map(|open| (!open.in_merge_queue, !self.has_begun(in_flight, open), open.experiment.id)).collect();
        order.sort_unstable();
        for (_, is_new, id) in order {
            self.start_built_trials(in_flight, id);
            // Also a run of no experiments measures its baseline.
            if is_new && stopping && !id.is_baseline() {
                continue;
            }
            loop {
                match self.next_step(in_flight, id) {
                    Step::Trial { side, fidelity } if self.start_trial(in_flight, id, side, fidelity)? => {}
                    Step::Rebase { into_queue: false } if in_flight.has_room(self.class(1.0)) => {
                        self.rebase_experiment(in_flight, id, false).await?;
                        return Ok(true);
                    }
                    _ => break,
                }
            }
        }
        Ok(false)
    }

    /// Starts the built trials of an experiment, as far as workers are free.
    fn start_built_trials(&self, in_flight: &mut InFlight<C>, experiment: ExperimentId) {
        let Some(mut known) = in_flight.experiments.remove(&experiment) else { return };
        for trial in known.trials.iter_mut().filter(|trial| trial.phase == Phase::Built) {
            if in_flight.add_worker(&mut trial.lease, self.class(trial.trial.fidelity)) {
                self.start_on_worker(in_flight, trial);
            }
        }
        in_flight.experiments.insert(experiment, known);
    }

    /// Returns the class of hardware for trials on this share of the budget.
    pub(super) fn class(&self, fidelity: f64) -> &str {
        let screening = self.settings.screening.as_ref().filter(|_| fidelity < 1.0);
        let class_of_rungs = screening.and_then(|screening| screening.class.as_ref());
        class_of_rungs.or(self.settings.workers.classes.first()).map_or("", String::as_str)
    }

    /// Starts a trial of an open experiment, or its build ahead. Returns `false` if there was no room for it.
    fn start_trial(
        &mut self,
        in_flight: &mut InFlight<C>,
        experiment: ExperimentId,
        side: Side,
        fidelity: f64,
    ) -> Result<bool, LabError> {
        let Some(open) = self.state.open(experiment) else { return Ok(false) };
        let candidate = match (side, &self.state.incumbent) {
            (Side::Incumbent, Some(incumbent)) => incumbent.candidate.clone(),
            _ => open.experiment.candidate.clone(),
        };
        let class = self.class(fidelity).to_owned();
        let is_built_ahead = self.settings.workers.builders > 0;
        let lease = match is_built_ahead {
            true => in_flight.lease_ahead(&candidate.revision),
            false => in_flight.lease(&candidate.revision, &class),
        };
        let Some(lease) = lease else { return Ok(false) };
        let (number, seed) = (open.trials_started + 1, self.seed(open, side, fidelity));
        let mut trial = Trial::new(experiment, number, seed, self.settings.budget);
        (trial.fidelity, trial.slot) = (fidelity, lease.slot as u32);
        trial.worker = lease.worker.map(|worker| worker as u32);
        trial.progress = report_progress(experiment, trial.worker, self.observers.clone());
        if in_flight.experiments.get(&experiment).is_none_or(|known| !known.was_tried) {
            let description = &open.experiment.description;
            self.tell(&Event::ExperimentStarted { experiment, description });
        }
        let slot = trial.slot;
        self.record(Record::TrialStarted(TrialStart { experiment, trial: number, side, seed, fidelity, class, slot }))?;
        let cancel = in_flight.cancel.child();
        let mut started = TrialInFlight { phase: Phase::Building, side, candidate, trial, lease, cancel };
        match is_built_ahead {
            false => self.start_on_worker(in_flight, &mut started),
            true => self.start_build(in_flight, &started),
        }
        let known = in_flight.experiment(experiment);
        known.was_tried = true;
        if fidelity == 1.0 && known.requested.front() == Some(&side) {
            known.requested.pop_front();
        }
        known.trials.push(started);
        Ok(true)
    }

    /// Computes the seed of the next trial of this side: that of its first repeat which is neither measured nor in flight.
    ///
    /// It is the same on both sides of a pair: the second trial of the candidate and the first fresh one of the incumbent, or the first
    /// of each where the rule compares those. The first trial has the run's seed, so that single trials compare, unless the rule wants fresh ones.
    fn seed(&self, open: &OpenExperiment, side: Side, fidelity: f64) -> u64 {
        let is_beside = |running: &&crate::state::Running| (running.side, running.fidelity) == (side, fidelity);
        let beside: Vec<u64> = open.running.iter().filter(is_beside).map(|running| running.seed).collect();
        let of_repeat = |repeat: u64| {
            if repeat == 0 && !self.ratchet.fresh_seeds() {
                return self.settings.seed;
            }
            // Each rebase makes another candidate.
            let repeat = ((open.experiment.rebased.len() as u64) << 32) | repeat;
            Purpose::Search.seed(self.settings.seed, open.experiment.id, repeat)
        };
        let first = match side {
            Side::Candidate => 0,
            Side::Incumbent if fidelity < 1.0 => self.state.rungs.scores(fidelity).len() as u64,
            Side::Incumbent => u64::from(!self.ratchet.pairs_first_trials()),
        };
        let is_measured = |seed: u64| fidelity == 1.0 && open.measured_seeds.contains(&(side, seed));
        let last = first + (beside.len() + open.measured_seeds.len()) as u64;
        let seeds = (first..=last).map(of_repeat);
        seeds.into_iter().find(|seed| !beside.contains(seed) && !is_measured(*seed)).unwrap_or_else(|| of_repeat(last))
    }

    fn start_build(&self, in_flight: &mut InFlight<C>, started: &TrialInFlight) {
        let id = TrialId { experiment: started.trial.experiment, number: started.trial.number };
        self.tell(&Event::TrialStarted { experiment: id.experiment, worker: None });
        let (sandbox, cancel) = (self.sandbox.clone(), started.cancel.clone());
        let (candidate, trial) = (started.candidate.clone(), started.trial.clone());
        in_flight.await_completion(async move {
            let result = sandbox.build(&candidate, &trial, &cancel).await;
            Completion::Built { trial: id, result }
        });
    }

    fn start_on_worker(&self, in_flight: &mut InFlight<C>, started: &mut TrialInFlight) {
        let id = TrialId { experiment: started.trial.experiment, number: started.trial.number };
        let worker = started.lease.worker.map(|worker| worker as u32);
        started.phase = Phase::Running;
        started.trial.worker = worker;
        started.trial.progress = report_progress(id.experiment, worker, self.observers.clone());
        self.tell(&Event::TrialStarted { experiment: id.experiment, worker });
        let (sandbox, cancel) = (self.sandbox.clone(), started.cancel.clone());
        let (candidate, trial) = (started.candidate.clone(), started.trial.clone());
        in_flight.await_completion(async move {
            let result = run_within_budget(&*sandbox, &candidate, &trial, &cancel).await;
            Completion::TrialEnded { trial: id, result }
        });
    }

    /// Handles the end of a build ahead of a trial.
    pub(super) fn finish_build(
        &mut self,
        in_flight: &mut InFlight<C>,
        trial: TrialId,
        result: Result<Option<Outcome>, SandboxError>,
    ) -> Result<(), LabError> {
        let failed = match result {
            Ok(None) => {
                let known = in_flight.experiment(trial.experiment);
                let built = known.trials.iter_mut().find(|started| started.trial.number == trial.number);
                built.into_iter().for_each(|built| built.phase = Phase::Built);
                return Ok(());
            }
            Ok(Some(outcome)) => Ok(outcome),
            Err(error) => Err(error),
        };
        self.finish_trial(in_flight, trial, failed)
    }

    /// Handles the end of a trial: records its measurement or its failure.
    pub(super) fn finish_trial(
        &mut self,
        in_flight: &mut InFlight<C>,
        TrialId { experiment, number }: TrialId,
        result: Result<Outcome, SandboxError>,
    ) -> Result<(), LabError> {
        failpoint::point("lab: a run ended");
        let Some(ended) = in_flight.experiment(experiment).remove(number) else { return Ok(()) };
        in_flight.release(ended.lease);
        self.tell(&Event::TrialEnded { experiment, worker: ended.trial.worker });
        match result {
            Ok(outcome) => {
                in_flight.experiment(experiment).failures = 0;
                match self.is_of_former_incumbent(&ended) {
                    true => self.record_cancelled(experiment, number),
                    false => self.record_measured(&ended, outcome),
                }
            }
            // Either the run ends, or this trial alone was cancelled.
            Err(SandboxError::Cancelled) if in_flight.cancel.is_cancelled() => Ok(()),
            Err(SandboxError::Cancelled) if ended.cancel.is_cancelled() => self.record_cancelled(experiment, number),
            Err(error) => self.handle_sandbox_failure(in_flight, &ended, error),
        }
    }

    /// True if a trial on a rung began with an incumbent that is none any more: its score would count as the new one's.
    fn is_of_former_incumbent(&self, ended: &TrialInFlight) -> bool {
        let Trial { experiment, number, fidelity, .. } = ended.trial;
        let running = self.state.open(experiment).and_then(|open| open.running.iter().find(|run| run.trial == number));
        let incumbent = self.state.incumbent.as_ref().map(|incumbent| incumbent.experiment);
        ended.side == Side::Incumbent && fidelity < 1.0 && running.is_some_and(|run| run.incumbent != incumbent)
    }

    fn record_measured(&mut self, ended: &TrialInFlight, mut outcome: Outcome) -> Result<(), LabError> {
        let Trial { experiment, number, fidelity, .. } = ended.trial;
        let mut result = self.read(&outcome);
        // All other trials are read from the same place; the baseline's shows it.
        if let Some(measurement) = result.as_mut().ok().filter(|_| !experiment.is_baseline()) {
            measurement.source = None;
        }
        if let Outcome::Crashed { message, .. } = &mut outcome {
            *message = paragraph(message, PARAGRAPH_LIMIT);
        }
        let log = outcome.log_mut();
        if let Some((start, _)) = log.tail.char_indices().rev().nth(REMEMBERED_TAIL - 1) {
            log.tail.drain(..start);
        }
        log.machine = None;
        let measured = TrialResult { fidelity, ..TrialResult::new(experiment, number, ended.side, outcome, result) };
        self.record(Record::TrialMeasured(measured))
    }

    /// Records a failure of the sandbox and backs off. After too many in a row a health check of the incumbent shows whether the
    /// candidate is the cause.
    fn handle_sandbox_failure(
        &mut self,
        in_flight: &mut InFlight<C>,
        ended: &TrialInFlight,
        error: SandboxError,
    ) -> Result<(), LabError> {
        let Trial { experiment, number: trial, fidelity, .. } = ended.trial;
        self.record(Record::TrialFailed { experiment, trial, error: error.to_string() })?;
        let known = in_flight.experiment(experiment);
        // Request the trial again, unless it is the next step in any case.
        if known.measurements_at_request.is_some() && fidelity == 1.0 {
            known.requested.push_front(ended.side);
        }
        known.failures += 1;
        let failures = known.failures;
        // There is no incumbent yet to check the machine with.
        let is_hopeless = experiment.is_baseline()
            && (failures >= SANDBOX_FAILURES || matches!(error, SandboxError::CannotStart { .. }));
        if is_hopeless || matches!(error, SandboxError::DiskFull { .. } | SandboxError::LockedChanged { .. }) {
            return Err(error.into());
        }
        if !is_suspect(&self.state, &self.settings) {
            self.back_off(in_flight, Backoff::Experiment(experiment), failures, &error.to_string());
        }
        Ok(())
    }

    /// Backs off after a failure, longer with each one in a row.
    pub(super) fn back_off(&self, in_flight: &mut InFlight<C>, backoff: Backoff, failures: u32, error: &str) {
        let pause = backoff_after(failures);
        if !in_flight.cancel.is_cancelled() {
            self.tell(&Event::Retrying { error, pause });
        }
        in_flight.back_off(backoff, pause);
    }

    /// Reads the measurement of a trial. The error says why there is none, in words that are safe to store and print: a
    /// candidate's output is part of them. Secondary values that are not finite are dropped.
    pub(super) fn read(&self, outcome: &Outcome) -> Result<Measurement, String> {
        let mut measurement = self.metric.read(outcome).map_err(|error| match outcome {
            Outcome::Completed(_) => paragraph(&error.to_string(), PARAGRAPH_LIMIT),
            other => paragraph(&other.describe(), PARAGRAPH_LIMIT),
        })?;
        measurement.secondary.retain(|_, value| value.is_finite());
        measurement.source = measurement.source.map(|source| one_line(&source, DESCRIPTION_LIMIT));
        match measurement.items.iter().position(|item| !item.is_finite()) {
            Some(at) => {
                Err(format!("the score of item {at} is {}, which is not a finite number", measurement.items[at]))
            }
            None => Ok(measurement),
        }
    }
}

/// Executes a trial, and keeps its limits if the sandbox does not.
pub(super) async fn run_within_budget<C>(
    sandbox: &dyn Sandbox<C>,
    candidate: &Candidate,
    trial: &Trial,
    cancel: &Cancel,
) -> Result<Outcome, SandboxError> {
    if sandbox.keeps_budget() {
        return Ok(trial.overrun(sandbox.run(candidate, trial, cancel).await?));
    }
    let limit = trial.limit().saturating_add(trial.budget.build).saturating_add(GRACE);
    let (own, started) = (cancel.child(), tokio::time::Instant::now());
    let run = sandbox.run(candidate, trial, &own);
    tokio::pin!(run);
    let ended = tokio::select! {
        biased;
        ended = &mut run => ended?,
        // A timer cannot be set further into the future.
        () = tokio::time::sleep(limit.min(Duration::from_secs(86_400 * 365))) => {
            own.cancel();
            let _ = tokio::time::timeout(GRACE, run).await;
            Outcome::TimedOut { log: RunLog::default() }
        }
    };
    let elapsed = started.elapsed();
    Ok(match trial.overrun(ended) {
        Outcome::Completed(log) if elapsed > limit => Outcome::TimedOut { log: RunLog { elapsed, ..log } },
        Outcome::TimedOut { log } if log.elapsed.is_zero() => Outcome::TimedOut { log: RunLog { elapsed, ..log } },
        ended => ended,
    })
}

/// Makes the function that passes a trial's reports on to the observers, with its experiment and its worker.
pub(super) fn report_progress(
    experiment: ExperimentId,
    worker: Option<u32>,
    observers: Arc<Vec<Arc<dyn Observer>>>,
) -> Arc<dyn Fn(Progress) + Send + Sync> {
    Arc::new(move |progress| {
        let event = Event::Progress { experiment, worker, progress: &progress };
        observers.iter().for_each(|observer| observer.on_event(&event));
    })
}
