//! One experiment: its runs, the judgement, the decision and what follows from it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bench::{Done, Flight, Phase, Rest, Run};
use super::checks::AGREEING_RUNS;
use super::screening;
use super::work::{Work, progress_of};
use super::{Lab, LabError};
use crate::crash;
use crate::journal::Record;
use crate::metric::Measurement;
use crate::observer::Event;
use crate::ratchet::{Side, Verdict, on_one_machine};
use crate::sandbox::{Outcome, Rebase, Rebased, Revision, SandboxError, Trial};
use crate::state::{ExcursionStep, Experiment, Open, Promotion, Standing, Status};

/// Seeds of one experiment's runs; half of them for the incumbent's beside it.
pub(super) const SEEDS: u64 = 1000;
/// Seeds of one candidate's runs: an experiment that is moved to another parent has several candidates.
const SEEDS_OF_CANDIDATE: u64 = 50;
/// So often a failing sandbox is tried before the run ends with an error.
const MAX_SANDBOX_FAILURES: u32 = 4;
/// How much of a log's end the journal remembers, in characters.
const REMEMBERED_TAIL: usize = 2000;

/// What comes next for an experiment that neither runs nor pauses.
enum Next {
    /// A run of this side on this share of the budget.
    Run(Side, f64),
    /// From short runs to the full budget.
    Promote(Promotion, String),
    /// The end.
    Decide(Status, String),
    /// The rule wants these.
    Want(Vec<Side>),
    /// Its change is made to what the search goes on from now; `true`: it was found better than its old parent.
    Move(bool),
    /// Another decision comes first.
    Wait,
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
    /// Whether an open experiment was begun. Those that were not may wait for another night.
    pub(super) fn is_begun(&self, work: &Work<C>, open: &Open) -> bool {
        let started = work.bench.flights.get(&open.experiment.id).is_some_and(|flight| flight.ran);
        started || open.attempts > 0 || open.better || !self.settings.workers.ahead
    }

    /// Decides all experiments that can be decided, and moves those that must be moved. One decision may lead to others.
    pub(super) async fn decide_what_can_be(&mut self, work: &mut Work<C>) -> Result<(), LabError> {
        'again: loop {
            self.withdraw(work)?;
            for at in 0..self.state.open.len() {
                let open = &self.state.open[at];
                let id = open.experiment.id;
                let idle = work.bench.flights.get(&id).is_none_or(Flight::is_idle);
                if !idle || self.is_suspect() {
                    continue;
                }
                match self.next(work, open) {
                    Next::Decide(status, reason) => {
                        self.decide(id, status, reason).await?;
                        work.decided(id);
                        if status == Status::Keep {
                            self.ask_again(work);
                        }
                    }
                    Next::Promote(promotion, reason) => {
                        self.record(Record::Promoted { experiment: id, promotion, reason })?;
                    }
                    Next::Want(sides) => {
                        let open = &self.state.open[at];
                        let flight = work.bench.flights.entry(id).or_default();
                        (flight.wanted, flight.asked) = (sides.into(), Some(measured(open)));
                    }
                    Next::Move(true) => {
                        self.rebase(id, true).await?;
                        work.bench.flights.remove(&id);
                    }
                    // What was not found better is moved when it can run, once for all that was kept until then.
                    Next::Run(..) | Next::Move(false) | Next::Wait => continue,
                }
                continue 'again;
            }
            return Ok(());
        }
    }

    /// Lets the rule ask again for what is judged as it is: there is another incumbent now.
    fn ask_again(&self, work: &mut Work<C>) {
        for open in self.state.open.iter().filter(|open| open.experiment.conflict.is_some()) {
            if let Some(flight) = work.bench.flights.get_mut(&open.experiment.id) {
                flight.wanted.clear();
                flight.asked = None;
            }
        }
    }

    /// Takes back what was built ahead of its first run, if the incumbent has moved since: to build it again costs less than to
    /// run it for nothing.
    fn withdraw(&mut self, work: &mut Work<C>) -> Result<(), LabError> {
        let behind =
            |open: &&Open| open.experiment.arm.measurements.is_empty() && self.state.standing(open) == Standing::Behind;
        let ids: Vec<u32> = self.state.open.iter().filter(behind).map(|open| open.experiment.id).collect();
        for experiment in ids {
            let Some(flight) = work.bench.flights.get_mut(&experiment) else { continue };
            let built: Vec<Run> = flight.runs.extract_if(.., |run| run.phase == Phase::Built).collect();
            for run in built {
                work.bench.release(run.place);
                let (attempt, error) = (run.trial.attempt, "the incumbent moved before it ran".to_owned());
                self.record(Record::Failed { experiment, attempt, error })?;
                self.tell(&Event::Rested { experiment, worker: None });
            }
        }
        Ok(())
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

    /// What comes next for an open experiment, from what the journal says and what the rule asked for.
    fn next(&self, work: &Work<C>, open: &Open) -> Next {
        let flight = work.bench.flights.get(&open.experiment.id);
        let standing = self.state.standing(open);
        if let Some(why) = &open.failed {
            // What it was made from may be at fault, if that was not measured.
            match standing {
                Standing::On(_) => return Next::Wait,
                Standing::Behind if !self.state.comparable(open) => return Next::Move(open.better),
                // Only the baseline is run again, as it failed under an earlier harness.
                _ if open.experiment.id > 0 || flight.is_some_and(|flight| flight.ran) => {
                    return Next::Decide(Status::Crash, why.clone());
                }
                _ => {}
            }
        }
        let unmeasured = open.experiment.arm.measurements.is_empty();
        match standing {
            Standing::On(_) if unmeasured => self.next_run(open, Side::Candidate, 1.0),
            Standing::On(_) => Next::Wait,
            Standing::Behind if unmeasured || !self.state.comparable(open) => Next::Move(open.better),
            Standing::Behind => match self.judge(open) {
                Verdict::Discard(reason) => Next::Decide(Status::Discard, reason),
                // Measured again as a change of today's incumbent, and kept only for what it is worth there.
                Verdict::Keep(_) | Verdict::Measure(_) => Next::Move(true),
            },
            Standing::Current if unmeasured && open.experiment.conflict.is_some() => {
                let why =
                    "it changes the same as what was kept before it could run; both sides go back to the proposer";
                Next::Decide(Status::Discard, why.into())
            }
            Standing::Current if unmeasured => self.screened(open),
            Standing::Current => {
                if let Some(side) = flight.and_then(|flight| flight.wanted.front()) {
                    return self.next_run(open, *side, 1.0);
                }
                // A rule that is shown the same evidence asks the same again.
                if flight.and_then(|flight| flight.asked) == Some(measured(open)) {
                    let why = "it could not be compared: the incumbent gave no number either";
                    return Next::Decide(Status::Discard, why.into());
                }
                match self.judge(open) {
                    Verdict::Keep(_) if self.state.comes_after_others(open) => Next::Move(true),
                    Verdict::Keep(reason) => Next::Decide(Status::Keep, reason),
                    Verdict::Discard(reason) => Next::Decide(Status::Discard, reason),
                    Verdict::Measure(sides) if sides.is_empty() => {
                        let why = "the rule asked for nothing more and did not decide";
                        Next::Decide(Status::Discard, why.into())
                    }
                    Verdict::Measure(sides) => Next::Want(sides),
                }
            }
        }
    }

    /// The first runs of a candidate: short ones, if there are any, and one on the full budget.
    fn screened(&self, open: &Open) -> Next {
        let Some(screening) = self.settings.screening.as_ref().filter(|_| !open.better) else {
            return self.next_run(open, Side::Candidate, 1.0);
        };
        match screening.next(&self.state, open, self.settings.excursion_tolerance(&self.state)) {
            screening::Next::Run(side, fidelity) => self.next_run(open, side, fidelity),
            screening::Next::Promote(promotion, reason) => Next::Promote(promotion, reason),
            screening::Next::Full => self.next_run(open, Side::Candidate, 1.0),
            screening::Next::Discard(reason) => Next::Decide(Status::Discard, reason),
        }
    }

    fn next_run(&self, open: &Open, side: Side, fidelity: f64) -> Next {
        let lost = open.lost;
        // Without a baseline there is nothing: it is tried however often the machine dies.
        if open.experiment.id > 0 && lost >= self.settings.lost_runs.max(1) {
            return Next::Decide(Status::Crash, format!("{lost} of its runs vanished with the harness"));
        }
        Next::Run(side, fidelity)
    }

    fn judge(&self, open: &Open) -> Verdict {
        let mut evidence = self.state.evidence(open);
        let verdict = on_one_machine(&mut evidence).unwrap_or_else(|| self.ratchet.judge(&evidence));
        if self.state.incumbent.is_some() {
            return verdict;
        }
        // The baseline has nothing to be compared with: all that a rule may do is ask for more of it.
        match verdict {
            Verdict::Keep(reason) => Verdict::Keep(reason),
            Verdict::Measure(sides) if sides.contains(&Side::Candidate) => {
                Verdict::Measure(sides.into_iter().filter(|side| *side == Side::Candidate).collect())
            }
            _ => Verdict::Keep("the baseline".into()),
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
        let mut run = Run { phase: Phase::Building, side, candidate, trial, place };
        match ahead {
            false => self.begin_on_worker(work, &mut run),
            true => {
                self.tell(&Event::Running { experiment, worker: None });
                let (sandbox, cancel) = (self.sandbox.clone(), work.cancel.clone());
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
        let (sandbox, cancel) = (self.sandbox.clone(), work.cancel.clone());
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
        crash::point("lab: a run ended");
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
            Err(SandboxError::Cancelled) => Ok(()),
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

    /// Makes an experiment's change to what the search goes on from now.
    async fn rebase(&mut self, experiment: u32, better: bool) -> Result<(), LabError> {
        let onto = match better {
            true => self.state.top(),
            false => self.state.incumbent.as_ref().map(|incumbent| &incumbent.revision),
        };
        let (Some(open), Some(onto)) = (self.state.open(experiment), onto) else { return Ok(()) };
        let made = &open.experiment;
        let (Some(from), onto) = (&made.parent, onto.clone()) else { return Ok(()) };
        let below = self.state.pending().find(|other| other.candidate.revision == onto);
        let below = below.map(|other| other.id).or(self.state.incumbent.as_ref().map(|incumbent| incumbent.experiment));
        let below = below.unwrap_or(0);
        let change = C::deserialize(&made.change)?;
        let rebased = self
            .sandbox
            .rebase(Rebase {
                experiment,
                times: made.rebased.len() as u32 + 1,
                candidate: &made.candidate,
                from,
                onto: &onto,
                change: &change,
                description: &made.description,
            })
            .await?;
        match rebased {
            Rebased::Candidate(candidate) => {
                let fingerprint = candidate.fingerprint.clone();
                let twin = self.state.with_fingerprint(&fingerprint).filter(|twin| twin.id != experiment);
                let twin = twin.map(|twin| format!("{} ({})", twin.id, twin.description));
                if let Some(twin) = twin {
                    let why = format!("with what was kept meanwhile it is the same as experiment {twin}");
                    return self.decide(experiment, Status::Discard, why).await;
                }
                self.record(Record::Rebased { experiment, parent: onto, candidate, better })?;
                self.tell(&Event::Rebased { experiment, onto: below, better, conflict: None });
            }
            Rebased::Conflict(conflict) => {
                self.tell(&Event::Rebased { experiment, onto: below, better, conflict: Some(&conflict) });
                self.record(Record::Conflicted { experiment, conflict: conflict.into() })?;
            }
        }
        Ok(())
    }

    /// The seed of a further run: no two runs of a night share one, but for the pairs of candidate and incumbent.
    pub(super) fn seed(&self, experiment: u32, repeat: u64) -> u64 {
        self.settings.seed.wrapping_add(u64::from(experiment) * SEEDS + repeat)
    }

    /// The number of a run, or why there is none.
    pub(super) fn read(&self, outcome: &Outcome) -> Result<Measurement, String> {
        self.metric.read(outcome).map_err(|error| match outcome {
            Outcome::Completed(_) => error.to_string(),
            other => other.describe(),
        })
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

    /// The commit point, and after it what follows from it.
    async fn decide(&mut self, id: u32, status: Status, reason: String) -> Result<(), LabError> {
        let Some(open) = self.state.open(id) else { return Ok(()) };
        let experiment = &open.experiment;
        if id == 0 && status != Status::Keep {
            let log = experiment.outcome.as_ref().map(Outcome::log);
            // The baseline stays open: the same command measures it again.
            return Err(LabError::Baseline {
                why: reason,
                tail: log.map_or(String::new(), |log| last_lines(&log.tail, 12)),
                log: log.and_then(|log| log.path.as_ref()).map_or("not kept".into(), |path| path.display().to_string()),
            });
        }
        let (reference, alpha) = self.consequences(open, status);
        let from = self.state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone());
        let to = match (status, &from) {
            (Status::Keep, from) => {
                let mut kept = experiment.clone();
                kept.reference = reference.unwrap_or(kept.reference);
                let message = self.message(&kept, &reason);
                // Made from the incumbent itself, or from something that the lineage does not hold by that name.
                let elsewhere = |incumbent: &&Revision| kept.parent.as_ref().is_some_and(|parent| parent != *incumbent);
                Some(match from.as_ref().filter(elsewhere) {
                    Some(incumbent) => self.sandbox.seal_onto(incumbent, &kept.candidate, &message).await?,
                    None => self.sandbox.seal(&kept.candidate, &message).await?,
                })
            }
            (Status::Discard | Status::Crash, _) => None,
        };
        let excursion = self.settings.excursion_step(&self.state, open, status);
        let reason = match excursion {
            Some(ExcursionStep::Sacrifice) => format!("{reason}; sacrificed: an excursion goes on from it"),
            _ => reason,
        };
        self.record(Record::Decision { experiment: id, status, reason, to: to.clone(), reference, alpha, excursion })?;
        if let Some(to) = to {
            self.sandbox.promote(from.as_ref(), &to).await?;
            self.record(Record::Applied { experiment: id })?;
        }
        self.write_results()?;
        self.let_proposer_observe();
        if let Some(decided) = self.state.experiments.last() {
            self.observers.iter().for_each(|o| o.on_event(&Event::Decided { experiment: decided, state: &self.state }));
        }
        Ok(())
    }

    /// How many measurements of the next incumbent count from now on, if not all of them, and the level of the test.
    fn consequences(&self, open: &Open, status: Status) -> (Option<u32>, Option<f64>) {
        let mut evidence = self.state.evidence(open);
        on_one_machine(&mut evidence);
        let reference = match status {
            Status::Keep => {
                Some(self.ratchet.reference(&evidence)).filter(|count| *count < evidence.candidate.measurements.len())
            }
            Status::Discard | Status::Crash => {
                evidence.shift().map(|_| evidence.interleaved).filter(|count| *count >= AGREEING_RUNS)
            }
        };
        let reference = reference.map(|count| count as u32);
        (reference, self.ratchet.alpha(&evidence))
    }

    /// The commit message of a kept experiment.
    fn message(&self, experiment: &Experiment, reason: &str) -> String {
        let name = self.metric.name();
        let after = experiment.score().map_or("unmeasured".into(), |score| format!("{:.6}", score.get()));
        let before = self.state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let reverts = match &experiment.conflict {
            Some(_) => {
                "\nIt could not be merged with what was kept while it ran, and replaces that where both changed the same.\n"
            }
            None => "",
        };
        let change = before
            .map_or(format!("{name}: {after}"), |before| format!("{name}: {:.6} -> {after} ({reason})", before.get()));
        let hypothesis = match experiment.hypothesis.trim() {
            "" => String::new(),
            text => format!("{text}\n\n"),
        };
        format!(
            "{}\n\n{hypothesis}{change}\nexperiment: {} of {}\n{reverts}{}",
            experiment.description,
            experiment.id,
            self.settings.tag,
            self.sacrifices()
        )
    }
}

/// How many measurements on the full budget there are, of both sides.
fn measured(open: &Open) -> usize {
    open.experiment.arm.measurements.len() + open.incumbent.len()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
