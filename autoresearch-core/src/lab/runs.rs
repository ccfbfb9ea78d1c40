//! The runs of experiments: begun where there are workers, built ahead of them, and taken note of.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bench::{Done, Flight, Phase, Rest, Run};
use super::next::Next;
use super::work::{Work, progress_of};
use super::{Lab, LabError};
use crate::failpoint;
use crate::journal::Record;
use crate::metric::Measurement;
use crate::observer::Event;
use crate::ratchet::Side;
use crate::sandbox::{Outcome, SandboxError, Trial};
use crate::state::{Open, Standing};

/// Seeds of one experiment's runs; half of them for the incumbent's beside it.
pub(super) const SEEDS: u64 = 1000;
/// Seeds of one candidate's runs: an experiment that is moved to another parent has several candidates.
const SEEDS_OF_CANDIDATE: u64 = 50;
/// So often a failing sandbox is tried before the run ends with an error.
const MAX_SANDBOX_FAILURES: u32 = 4;
/// How much of a log's end the journal remembers, in characters.
const REMEMBERED_TAIL: usize = 2000;

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
    /// Takes back what was begun for nothing: what is built ahead of its first run, if the incumbent has moved since, as to build
    /// it again costs less than to run it; and what runs on another candidate, if that was not kept.
    pub(super) fn withdraw(&mut self, work: &mut Work<C>) -> Result<(), LabError> {
        let behind =
            |open: &&Open| open.experiment.arm.measurements.is_empty() && self.state.standing(open) == Standing::Behind;
        let ids = self.state.open.iter().filter(behind).map(|open| (open.experiment.id, self.state.comparable(open)));
        for (experiment, comparable) in ids.collect::<Vec<_>>() {
            let Some(flight) = work.bench.flights.get_mut(&experiment) else { continue };
            let stops = |run: &&Run| run.phase == Phase::Building || (run.phase == Phase::Running && !comparable);
            flight.runs.iter().filter(stops).for_each(|run| run.cancel.cancel());
            let built: Vec<Run> = flight.runs.extract_if(.., |run| run.phase == Phase::Built).collect();
            for run in built {
                work.bench.release(run.place);
                self.withdrawn(experiment, run.trial.attempt)?;
                self.tell(&Event::Rested { experiment, worker: None });
            }
        }
        Ok(())
    }

    /// Not lost: it is known what became of this attempt.
    fn withdrawn(&mut self, experiment: u32, attempt: u32) -> Result<(), LabError> {
        let error = "what the search goes on from is another state by now".to_owned();
        self.record(Record::Failed { experiment, attempt, error })
    }

    /// Begins the runs for which there are workers: first of what was found better, then of what was begun, then of what waits.
    pub(super) async fn begin_runs(&mut self, work: &mut Work<C>, ends: bool) -> Result<(), LabError> {
        if self.is_suspect() {
            return Ok(());
        }
        let mut order: Vec<(bool, bool, u32)> =
            self.state.open.iter().map(|open| (!open.better, !self.is_begun(work, open), open.experiment.id)).collect();
        order.sort_unstable();
        for (_, new, id) in order {
            self.employ(work, id);
            if new && ends {
                continue;
            }
            if work.bench.flights.get(&id).is_none_or(Flight::is_idle) {
                self.begin_next(work, id).await?;
            }
            while self.begin_another(work, id)? {}
        }
        Ok(())
    }

    /// Lets the runs of an experiment begin that are built, as far as there are workers.
    fn employ(&self, work: &mut Work<C>, experiment: u32) {
        let Some(mut flight) = work.bench.flights.remove(&experiment) else { return };
        for run in flight.runs.iter_mut().filter(|run| run.phase == Phase::Built) {
            if work.bench.employ(&mut run.place, self.class(run.trial.fidelity)) {
                run.trial.worker = run.place.worker.map(|worker| worker as u32);
                self.begin_on_worker(work, run);
            }
        }
        work.bench.flights.insert(experiment, flight);
    }

    /// Begins what comes next for an experiment that does nothing, if there is a place for it.
    async fn begin_next(&mut self, work: &mut Work<C>, id: u32) -> Result<(), LabError> {
        let next = |lab: &Self, work: &Work<C>| lab.state.open(id).map(|open| lab.next(work, open));
        if let Some(Next::Move(false)) = next(self, work)
            && work.bench.has_room(self.class(1.0))
        {
            self.rebase(id, false).await?;
            // A conflict ends it: what follows from that comes first.
            if let Some(Next::Decide(status, reason)) = next(self, work) {
                self.decide(id, status, reason).await?;
                work.decided(id);
            }
        }
        if let Some(Next::Run(side, fidelity)) = next(self, work) {
            self.begin_run(work, id, side, fidelity)?;
        }
        Ok(())
    }

    /// Begins a further run of an experiment beside those that go on, if the rule asked for several of the same side at once and
    /// there is a place for it.
    fn begin_another(&mut self, work: &mut Work<C>, id: u32) -> Result<bool, LabError> {
        let Some(flight) = work.bench.flights.get(&id).filter(|flight| !flight.runs.is_empty()) else {
            return Ok(false);
        };
        let Some(side) = flight.wanted.front().copied().filter(|side| flight.may_begin(*side)) else {
            return Ok(false);
        };
        match self.state.open(id) {
            Some(open) if open.failed.is_none() && self.state.standing(open) == Standing::Current => {
                self.begin_run(work, id, side, 1.0)
            }
            _ => Ok(false),
        }
    }

    /// The class of hardware for runs on this share of the budget.
    fn class(&self, fidelity: f64) -> &str {
        let short = self.settings.screening.as_ref().filter(|_| fidelity < 1.0);
        let of_short = short.and_then(|screening| screening.class.as_ref());
        of_short.unwrap_or(&self.settings.workers.classes[0])
    }

    /// Begins a run of an open experiment, if there is a place for it.
    /// Returns whether there was.
    fn begin_run(&mut self, work: &mut Work<C>, experiment: u32, side: Side, fidelity: f64) -> Result<bool, LabError> {
        let Some(open) = self.state.open(experiment) else { return Ok(false) };
        let candidate = match (side, &self.state.incumbent) {
            (Side::Incumbent, Some(incumbent)) => incumbent.candidate.clone(),
            _ => open.experiment.candidate.clone(),
        };
        let class = self.class(fidelity);
        let ahead = self.settings.workers.builders > 0;
        let place = match ahead {
            true => work.bench.place_ahead(&candidate.revision),
            false => work.bench.place(&candidate.revision, class),
        };
        let Some(place) = place else { return Ok(false) };
        // The same on both sides: the second run of the candidate and the first fresh one of the incumbent are a pair.
        let beside = open.running.iter().filter(|running| (running.side, running.fidelity) == (side, fidelity)).count();
        let repeat = beside
            + match side {
                Side::Candidate => open.experiment.arm.measurements.len(),
                Side::Incumbent if fidelity < 1.0 => self.state.rungs.scores(fidelity).len(),
                Side::Incumbent => open.incumbent.len() + 1,
            };
        let of_candidate = open.experiment.rebased.len() as u64 * SEEDS_OF_CANDIDATE;
        let seed = match repeat == 0 && !self.ratchet.fresh_seeds() {
            true => self.settings.seed,
            false => self.seed(experiment, of_candidate + repeat as u64),
        };
        let attempt = open.attempts + 1;
        let mut trial = Trial::new(experiment, attempt, seed, self.settings.budget);
        (trial.fidelity, trial.slot) = (fidelity, place.slot as u32);
        trial.worker = place.worker.map(|worker| worker as u32);
        trial.progress = progress_of(experiment, trial.worker, self.observers.clone());
        let class = class.to_owned();
        let first = work.bench.flights.get(&experiment).is_none_or(|flight| !flight.ran);
        if first {
            let description = &open.experiment.description;
            self.tell(&Event::Staged { experiment, description });
        }
        self.record(Record::Attempt { experiment, attempt, side, seed, fidelity, class })?;
        let cancel = work.cancel.child();
        let mut run = Run { phase: Phase::Building, side, candidate, trial, place, cancel };
        match ahead {
            false => self.begin_on_worker(work, &mut run),
            true => {
                self.tell(&Event::Running { experiment, worker: None });
                let (sandbox, cancel) = (self.sandbox.clone(), run.cancel.clone());
                let (candidate, trial) = (run.candidate.clone(), run.trial.clone());
                work.bench.wait_for(async move {
                    let result = sandbox.build(&candidate, &trial, &cancel).await;
                    Done::Built { experiment, attempt, result }
                });
            }
        }
        let flight = work.bench.flights.entry(experiment).or_default();
        flight.ran = true;
        if fidelity == 1.0 && flight.wanted.front() == Some(&side) {
            flight.wanted.pop_front();
        }
        flight.runs.push(run);
        Ok(true)
    }

    fn begin_on_worker(&self, work: &mut Work<C>, run: &mut Run) {
        run.phase = Phase::Running;
        let (experiment, attempt) = (run.trial.experiment, run.trial.attempt);
        let worker = run.trial.worker;
        run.trial.progress = progress_of(experiment, worker, self.observers.clone());
        self.tell(&Event::Running { experiment, worker });
        let (sandbox, cancel) = (self.sandbox.clone(), run.cancel.clone());
        let (candidate, trial) = (run.candidate.clone(), run.trial.clone());
        work.bench.wait_for(async move {
            let result = sandbox.run(&candidate, &trial, &cancel).await;
            Done::Ran { experiment, attempt, result }
        });
    }

    /// Takes note of a build ahead of its run.
    pub(super) fn built(
        &mut self,
        work: &mut Work<C>,
        (experiment, attempt): (u32, u32),
        result: Result<Option<Outcome>, SandboxError>,
    ) -> Result<(), LabError> {
        let ended = match result {
            Ok(None) => {
                let flight = work.bench.flights.entry(experiment).or_default();
                let run = flight.runs.iter_mut().find(|run| run.trial.attempt == attempt);
                run.map(|run| run.phase = Phase::Built).unwrap_or_default();
                return Ok(());
            }
            Ok(Some(outcome)) => Ok(outcome),
            Err(error) => Err(error),
        };
        self.ran(work, (experiment, attempt), ended)
    }

    /// Takes note of the end of a run.
    pub(super) fn ran(
        &mut self,
        work: &mut Work<C>,
        (experiment, attempt): (u32, u32),
        result: Result<Outcome, SandboxError>,
    ) -> Result<(), LabError> {
        failpoint::point("lab: a run ended");
        let flight = work.bench.flights.entry(experiment).or_default();
        let Some(at) = flight.runs.iter().position(|run| run.trial.attempt == attempt) else { return Ok(()) };
        let run = flight.runs.remove(at);
        work.bench.release(run.place);
        self.tell(&Event::Rested { experiment, worker: run.trial.worker });
        match result {
            Ok(outcome) => {
                work.bench.flights.entry(experiment).or_default().failures = 0;
                let result = self.read(&outcome);
                self.measured(experiment, attempt, run.side, run.trial.fidelity, outcome, result)
            }
            // The night ends; else only this run does.
            Err(SandboxError::Cancelled) if work.cancel.is_cancelled() => Ok(()),
            Err(SandboxError::Cancelled) if run.cancel.is_cancelled() => self.withdrawn(experiment, attempt),
            Err(error @ (SandboxError::DiskFull { .. } | SandboxError::CannotStart { .. })) => Err(error.into()),
            Err(error) => {
                // Not lost: it is known what became of this attempt.
                self.record(Record::Failed { experiment, attempt, error: error.to_string() })?;
                let flight = work.bench.flights.entry(experiment).or_default();
                // It is still wanted, unless it is what comes next in any case.
                if flight.asked.is_some() && run.trial.fidelity == 1.0 {
                    flight.wanted.push_front(run.side);
                }
                flight.failures += 1;
                let failures = flight.failures;
                if failures >= MAX_SANDBOX_FAILURES {
                    return Err(error.into());
                }
                flight.rests = true;
                self.pause(work, Rest::Experiment(experiment), failures - 1, &error.to_string());
                Ok(())
            }
        }
    }

    /// The seed of a further run: no two runs of a night share one, but for the pairs of candidate and incumbent.
    pub(super) fn seed(&self, experiment: u32, repeat: u64) -> u64 {
        self.settings.seed.wrapping_add(u64::from(experiment) * SEEDS + repeat)
    }

    fn measured(
        &mut self,
        experiment: u32,
        attempt: u32,
        side: Side,
        fidelity: f64,
        mut outcome: Outcome,
        result: Result<Measurement, String>,
    ) -> Result<(), LabError> {
        let log = outcome.log_mut();
        if let Some((start, _)) = log.tail.char_indices().rev().nth(REMEMBERED_TAIL - 1) {
            log.tail.drain(..start);
        }
        log.machine = None;
        self.record(Record::Measured { experiment, attempt, side, fidelity, outcome, result })
    }

    /// The number of a run, or why there is none.
    pub(super) fn read(&self, outcome: &Outcome) -> Result<Measurement, String> {
        self.metric.read(outcome).map_err(|error| match outcome {
            Outcome::Completed(_) => error.to_string(),
            other => other.describe(),
        })
    }
}
