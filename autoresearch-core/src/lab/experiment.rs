//! One experiment: its runs, the judgement, the decision and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Lab, LabError};
use crate::cancel::Cancel;
use crate::crash;
use crate::journal::Record;
use crate::metric::Measurement;
use crate::observer::Event;
use crate::ratchet::{Side, Verdict, on_one_machine};
use crate::sandbox::{Outcome, Progress, SandboxError, Trial};
use crate::state::{ExcursionStep, Experiment, Open, Status};

/// The pause before a machine at fault is tried again: doubled each time, up to the second value.
const MACHINE_PAUSES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// Runs of the incumbent that belong to no experiment count from here.
const CHECK_ATTEMPTS: u32 = 9000;
/// Seeds of one experiment's runs; half of them for the incumbent's beside it.
const SEEDS: u64 = 1000;
/// So many runs of the incumbent must agree that the machine has shifted.
const AGREEING_RUNS: usize = 3;
/// So often a failing sandbox is tried before the run ends with an error.
const MAX_SANDBOX_FAILURES: u32 = 4;
/// How much of a log's end the journal remembers, in characters.
const REMEMBERED_TAIL: usize = 2000;

impl<C: Serialize + Send + Sync + 'static> Lab<C> {
    /// Runs the open experiment until it is decided.
    pub(super) async fn experiment(&mut self, cancel: &Cancel) -> Result<(), LabError> {
        let mut wanted = match &self.state.open {
            // It failed just before an interruption, and is not run again until it does not: only the baseline is.
            Some(Open { failed: Some(why), experiment, .. }) if experiment.id > 0 => {
                let why = why.clone();
                return self.decide(Status::Crash, why).await;
            }
            Some(open) if open.experiment.arm.measurements.is_empty() => {
                if !self.screen(cancel).await? {
                    return Ok(());
                }
                vec![Side::Candidate]
            }
            _ => Vec::new(),
        };
        let measured = |open: &Open| open.experiment.arm.measurements.len() + open.incumbent.len();
        loop {
            let Some(open) = &self.state.open else { return Ok(()) };
            let before = measured(open);
            let asked = !wanted.is_empty();
            for side in wanted.drain(..) {
                if !self.run_once(side, 1.0, cancel).await? {
                    return Ok(());
                }
            }
            let Some(open) = &self.state.open else { return Ok(()) };
            // A rule that is shown the same evidence asks the same again.
            if asked && measured(open) == before {
                let why = "it could not be compared: the incumbent gave no number either";
                return self.decide(Status::Discard, why.into()).await;
            }
            match self.judge(open) {
                Verdict::Keep(reason) => return self.decide(Status::Keep, reason).await,
                Verdict::Discard(reason) => return self.decide(Status::Discard, reason).await,
                Verdict::Measure(sides) if sides.is_empty() => {
                    let why = "the rule asked for nothing more and did not decide";
                    return self.decide(Status::Discard, why.into()).await;
                }
                Verdict::Measure(sides) => wanted = sides,
            }
        }
    }

    /// One run of one side on the share `fidelity` of the budget. Returns whether the experiment goes on; if not, it is decided.
    pub(super) async fn run_once(&mut self, side: Side, fidelity: f64, cancel: &Cancel) -> Result<bool, LabError> {
        // Without a baseline there is nothing: it is tried however often the machine dies.
        let lost = self.state.open.as_ref().filter(|open| open.experiment.id > 0);
        let lost = lost.map_or(0, |open| open.lost + u32::from(open.running));
        if lost >= self.settings.lost_runs.max(1) {
            self.decide(Status::Crash, format!("{lost} of its runs vanished with the harness")).await?;
            return Ok(false);
        }
        self.trial(side, fidelity, cancel).await?;
        if let Some(why) = self.state.open.as_ref().and_then(|open| open.failed.clone()) {
            self.decide(Status::Crash, why).await?;
            return Ok(false);
        }
        Ok(true)
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

    /// One run of one side, tried again while our own machinery fails.
    async fn trial(&mut self, side: Side, fidelity: f64, cancel: &Cancel) -> Result<(), LabError> {
        let Some(open) = &self.state.open else { return Ok(()) };
        let experiment = open.experiment.id;
        let candidate = match (side, &self.state.incumbent) {
            (Side::Incumbent, Some(incumbent)) => incumbent.candidate.clone(),
            _ => open.experiment.candidate.clone(),
        };
        // The same on both sides: the second run of the candidate and the first fresh one of the incumbent are a pair.
        let repeat = match side {
            Side::Candidate => open.experiment.arm.measurements.len(),
            Side::Incumbent if fidelity < 1.0 => self.state.rungs.scores(fidelity).len(),
            Side::Incumbent => open.incumbent.len() + 1,
        };
        let seed = match repeat == 0 && !self.ratchet.fresh_seeds() {
            true => self.settings.seed,
            false => self.seed(experiment, repeat as u64),
        };
        let mut failures = 0;
        loop {
            let attempt = self.state.open.as_ref().map_or(0, |open| open.attempts) + 1;
            self.record(Record::Attempt { experiment, attempt, side, seed, fidelity })?;
            let mut trial = Trial::new(experiment, attempt, seed, self.settings.budget);
            trial.fidelity = fidelity;
            let observers = self.observers.clone();
            trial.progress = Arc::new(move |progress| {
                let event = match &progress {
                    Progress::Phase(phase) => Event::Phase { experiment, phase: *phase },
                    Progress::Line(line) => Event::Line { experiment, line },
                };
                observers.iter().for_each(|observer| observer.on_event(&event));
            });
            let outcome = self.sandbox.run(&candidate, &trial, cancel).await;
            crash::point("lab: a run ended");
            match outcome {
                Ok(outcome) => {
                    let result = self.read(&outcome);
                    return self.measured(experiment, attempt, side, fidelity, outcome, result);
                }
                Err(SandboxError::Cancelled) => return Err(SandboxError::Cancelled.into()),
                Err(error @ (SandboxError::DiskFull { .. } | SandboxError::CannotStart { .. })) => {
                    return Err(error.into());
                }
                Err(error) => {
                    failures += 1;
                    // Not lost: it is known what became of this attempt.
                    self.record(Record::Failed { experiment, attempt, error: error.to_string() })?;
                    if failures >= MAX_SANDBOX_FAILURES {
                        return Err(error.into());
                    }
                    self.pause(failures - 1, &error.to_string(), cancel).await?;
                }
            }
        }
    }

    /// The seed of a further run: no two runs of a night share one, but for the pairs of candidate and incumbent.
    fn seed(&self, experiment: u32, repeat: u64) -> u64 {
        self.settings.seed.wrapping_add(u64::from(experiment) * SEEDS + repeat)
    }

    /// Measures the incumbent again. If its score moved further than the noise explains, the machine has shifted, and only the
    /// scores from now on count: three runs must agree on that.
    pub(super) async fn remeasure_incumbent(&mut self, cancel: &Cancel) -> Result<(), LabError> {
        let Some(incumbent) = self.state.incumbent.clone() else { return Ok(()) };
        let before: Vec<f64> = incumbent.arm.scores().map(|score| score.get()).collect();
        let mut now = Vec::new();
        loop {
            let seed = self.seed(self.state.next_experiment(), SEEDS / 2 + now.len() as u64);
            let measurement = match self.run_incumbent(seed, cancel).await? {
                Ok(measurement) => measurement,
                // It ran before: the machine is at fault, which the next check will look into.
                Err(failure) => {
                    let failure = Some(failure);
                    return self.record(Record::Checked { failure, measurement: None, reference: None });
                }
            };
            let score = measurement.score;
            now.push(score.get());
            let suspected = self.state.noise.shift(&before, &now);
            let shift = suspected.filter(|_| now.len() >= AGREEING_RUNS);
            let reference = shift.map(|_| now.len() as u32);
            self.record(Record::Checked { failure: None, measurement: Some(measurement), reference })?;
            self.tell(&Event::Remeasured { score, shift });
            if suspected.is_none() || shift.is_some() {
                return Ok(());
            }
        }
    }

    /// One run of the incumbent that belongs to no experiment: its measurement, or why there is none.
    async fn run_incumbent(&mut self, seed: u64, cancel: &Cancel) -> Result<Result<Measurement, String>, LabError> {
        let Some(incumbent) = self.state.incumbent.clone() else { return Ok(Err("there is no incumbent".into())) };
        let attempt = CHECK_ATTEMPTS + self.state.checks + 1;
        let trial = Trial::new(incumbent.experiment, attempt, seed, self.settings.budget);
        match self.sandbox.run(&incumbent.candidate, &trial, cancel).await {
            Ok(outcome) => Ok(self.read(&outcome)),
            Err(SandboxError::Cancelled) => Err(SandboxError::Cancelled.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Runs the incumbent, which ran before, to tell candidates that crash from a machine that fails: a full disk, a lost
    /// accelerator, missing data. While it fails no experiment is spent.
    pub(super) async fn check_incumbent(&mut self, cancel: &Cancel) -> Result<(), LabError> {
        if let Some(why) = &self.state.failing {
            let times = self.state.failed_checks.saturating_sub(1).min(16);
            let pause = MACHINE_PAUSES.0.saturating_mul(1 << times).min(MACHINE_PAUSES.1);
            self.tell(&Event::Paused { why, pause });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(SandboxError::Cancelled.into()),
            }
        }
        self.tell(&Event::Checking { crashes: self.state.crashes_in_a_row });
        let failure = self.run_incumbent(self.settings.seed, cancel).await?.err();
        self.record(Record::Checked { failure, measurement: None, reference: None })
    }

    /// The number of a run, or why there is none.
    fn read(&self, outcome: &Outcome) -> Result<Measurement, String> {
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
    pub(super) async fn decide(&mut self, status: Status, reason: String) -> Result<(), LabError> {
        let Some(open @ Open { experiment, .. }) = &self.state.open else { return Ok(()) };
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
        let (reference, alpha) = self.consequences(open, status);
        let from = self.state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone());
        let to = match (status, &from) {
            (Status::Keep, from) => {
                let mut kept = experiment.clone();
                kept.reference = reference.unwrap_or(kept.reference);
                let message = self.message(&kept, &reason);
                Some(match from.as_ref().filter(|_| self.state.side_line.is_some()) {
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
        if let Some(decided) = self.state.experiments.last() {
            let disclosed = self.disclosed.as_mut().and_then(|disclosed| disclosed.of(&self.state).last());
            self.proposer.observe(disclosed.unwrap_or(decided));
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
        let change = before
            .map_or(format!("{name}: {after}"), |before| format!("{name}: {:.6} -> {after} ({reason})", before.get()));
        let hypothesis = match experiment.hypothesis.trim() {
            "" => String::new(),
            text => format!("{text}\n\n"),
        };
        format!(
            "{}\n\n{hypothesis}{change}\nexperiment: {} of {}\n{}",
            experiment.description,
            experiment.id,
            self.settings.tag,
            self.sacrifices()
        )
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
