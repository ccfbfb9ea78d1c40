//! Runs of the incumbent that belong to no experiment: is it the machine that fails, and has it shifted?

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bench::{Done, Place, Rest};
use super::runs::SEEDS;
use super::work::Work;
use super::{Lab, LabError};
use crate::journal::Record;
use crate::observer::Event;
use crate::sandbox::{Outcome, SandboxError, Trial};

/// The pause before a machine at fault is tried again: doubled each time, up to the second value.
const MACHINE_PAUSES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// Runs of the incumbent that belong to no experiment count from here.
const CHECK_ATTEMPTS: u32 = 9000;
/// So many runs of the incumbent must agree that the machine has shifted.
pub(super) const AGREEING_RUNS: usize = 3;

/// What goes on with the incumbent outside of any experiment.
pub(super) enum Check {
    /// It failed, and is run again after a pause.
    Pausing,
    /// The pause is over.
    Due,
    /// It runs, to see whether the machine is at fault.
    Suspect(Place),
    /// It is measured again, to see whether the machine has shifted.
    Measuring {
        /// Where, while it runs.
        place: Option<Place>,
        /// The experiment that made it.
        incumbent: u32,
        /// Its scores before.
        before: Vec<f64>,
        /// Those since.
        now: Vec<f64>,
    },
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
    /// Whether the machine may be at fault: then nothing is spent before the incumbent has run again.
    pub(super) fn is_suspect(&self) -> bool {
        self.state.failing.is_some() || self.state.crashes_in_a_row >= self.settings.suspicious_crashes.max(1)
    }

    /// Runs the incumbent again, if that is due and a worker is free. It goes before new experiments.
    pub(super) fn begin_check(&mut self, work: &mut Work<C>, ends: bool) {
        let Some(incumbent) = &self.state.incumbent else { return };
        if ends && !matches!(work.check, Some(Check::Measuring { .. })) {
            return;
        }
        if work.check.is_none() {
            let due = self.settings.remeasure_every.is_some_and(|every| self.state.since_measured >= every.max(1));
            work.check = match &self.state.failing {
                Some(why) => {
                    let times = self.state.failed_checks.saturating_sub(1).min(16);
                    let pause = MACHINE_PAUSES.0.saturating_mul(1 << times).min(MACHINE_PAUSES.1);
                    self.tell(&Event::Paused { why, pause });
                    work.rest(Rest::Machine, pause);
                    Some(Check::Pausing)
                }
                None if self.is_suspect() => Some(Check::Due),
                None if due => Some(Check::Measuring {
                    place: None,
                    incumbent: incumbent.experiment,
                    before: incumbent.arm.scores().map(|score| score.get()).collect(),
                    now: Vec::new(),
                }),
                None => None,
            };
        }
        let seed = match &work.check {
            Some(Check::Due) => self.settings.seed,
            Some(Check::Measuring { place: None, now, .. }) => {
                self.seed(self.state.next_experiment(), SEEDS / 2 + now.len() as u64)
            }
            _ => return,
        };
        let candidate = incumbent.candidate.clone();
        let class = &self.settings.workers.classes[0];
        let Some(place) = work.bench.place(&candidate.revision, class) else { return };
        match &mut work.check {
            Some(Check::Measuring { place: at, .. }) => *at = Some(place),
            _ => {
                self.tell(&Event::Checking { crashes: self.state.crashes_in_a_row });
                work.check = Some(Check::Suspect(place));
            }
        }
        let attempt = CHECK_ATTEMPTS + self.state.checks + 1;
        let mut trial = Trial::new(incumbent.experiment, attempt, seed, self.settings.budget);
        (trial.slot, trial.worker) = (place.slot as u32, place.worker.map(|worker| worker as u32));
        let (sandbox, cancel) = (self.sandbox.clone(), work.cancel.clone());
        work.bench.wait_for(async move { Done::Checked { result: sandbox.run(&candidate, &trial, &cancel).await } });
    }

    /// Takes note of a run of the incumbent that belongs to no experiment.
    ///
    /// If its score moved further than the noise explains, the machine has shifted, and only the scores from now on count:
    /// three runs must agree on that.
    pub(super) fn checked(
        &mut self,
        work: &mut Work<C>,
        result: Result<Outcome, SandboxError>,
    ) -> Result<(), LabError> {
        let check = work.check.take();
        if let Some(Check::Suspect(place) | Check::Measuring { place: Some(place), .. }) = &check {
            work.bench.release(*place);
        }
        let read = match result {
            Ok(outcome) => self.read(&outcome),
            Err(SandboxError::Cancelled) => return Ok(()),
            Err(error) => Err(error.to_string()),
        };
        let Some(Check::Measuring { incumbent, before, mut now, .. }) = check else {
            return self.record(Record::Checked { failure: read.err(), measurement: None, reference: None });
        };
        if self.state.incumbent.as_ref().map(|today| today.experiment) != Some(incumbent) {
            // Another one was kept meanwhile, and measured for that.
            return Ok(());
        }
        let measurement = match read {
            Ok(measurement) => measurement,
            // It ran before: the machine is at fault, which the next check will look into.
            Err(failure) => {
                return self.record(Record::Checked { failure: Some(failure), measurement: None, reference: None });
            }
        };
        let score = measurement.score;
        now.push(score.get());
        let suspected = self.state.noise.shift(&before, &now);
        let shift = suspected.filter(|_| now.len() >= AGREEING_RUNS);
        let reference = shift.map(|_| now.len() as u32);
        self.record(Record::Checked { failure: None, measurement: Some(measurement), reference })?;
        self.tell(&Event::Remeasured { score, shift });
        if suspected.is_some() && shift.is_none() {
            work.check = Some(Check::Measuring { place: None, incumbent, before, now });
        }
        Ok(())
    }
}
