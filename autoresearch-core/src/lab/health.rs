//! Health checks: trials of the incumbent outside of any experiment, to see whether the machine is at fault or has shifted.

use std::time::Duration;

use super::completions::{Backoff, Completion};
use super::in_flight::{HealthCheck, InFlight};
use super::schedule::is_suspect;
use super::trials::run_within_budget;
use super::{Change, Lab, LabError};
use crate::experiment_id::ExperimentId;
use crate::journal::Record;
use crate::observer::Event;
use crate::sandbox::{Outcome, Purpose, SandboxError, Trial, for_purpose};
use crate::state::SANDBOX_FAILURES;

/// The wait before a machine at fault is tried again: doubled each time, up to the second value.
const MACHINE_BACKOFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// Number of trials of the incumbent that must agree that the machine has shifted.
pub(super) const AGREEING_TRIALS: usize = 3;

impl<C: Change> Lab<C> {
    /// Starts a health check, if one is due and a worker is free. Health checks go before new experiments.
    pub(super) fn start_health_check(&mut self, in_flight: &mut InFlight<C>, stopping: bool) {
        let Some(incumbent) = &self.state.incumbent else { return };
        if stopping && !matches!(in_flight.health_check, Some(HealthCheck::Measuring { .. })) {
            return;
        }
        if in_flight.health_check.is_none() {
            self.schedule_health_check(in_flight);
        }
        let seed = match &in_flight.health_check {
            Some(HealthCheck::Due) => self.settings.seed,
            Some(HealthCheck::Measuring { lease: None, .. }) => {
                Purpose::Health.seed(self.settings.seed, ExperimentId::BASELINE, self.state.checks.into())
            }
            _ => return,
        };
        let candidate = incumbent.candidate.clone();
        let Some(lease) = in_flight.lease(&candidate.revision, self.class(1.0)) else { return };
        match &mut in_flight.health_check {
            Some(HealthCheck::Measuring { lease: held, .. }) => *held = Some(lease),
            check => {
                *check = Some(HealthCheck::Suspecting(lease));
                self.tell(&Event::HealthCheckStarted { crashes: self.state.crashes_in_a_row });
            }
        }
        let number = self.state.checks + 1;
        let mut trial =
            for_purpose(Trial::new(incumbent.experiment, number, seed, self.settings.budget), Purpose::Health);
        (trial.slot, trial.worker) = (lease.slot as u32, lease.worker.map(|worker| worker as u32));
        let (sandbox, cancel) = (self.sandbox.clone(), in_flight.cancel.clone());
        in_flight.await_completion(async move {
            Completion::HealthCheckEnded(run_within_budget(&*sandbox, &candidate, &trial, &cancel).await)
        });
    }

    /// Schedules a health check, if one is due: at once if the machine is suspected, after a wait if the last check failed,
    /// and otherwise at regular intervals.
    fn schedule_health_check(&self, in_flight: &mut InFlight<C>) {
        let Some(incumbent) = &self.state.incumbent else { return };
        if let Some(why) = &self.state.failing {
            let times = self.state.failed_checks.saturating_sub(1).min(16);
            let pause = MACHINE_BACKOFF.0.saturating_mul(1 << times).min(MACHINE_BACKOFF.1);
            self.tell(&Event::Paused { why, pause });
            in_flight.back_off(Backoff::Machine, pause);
            return;
        }
        let every = self.settings.remeasure_every(&*self.ratchet);
        let is_scheduled = every.is_some_and(|every| self.state.since_measured >= every);
        if is_suspect(&self.state, &self.settings) {
            in_flight.health_check = Some(HealthCheck::Due);
        } else if is_scheduled {
            let before = incumbent.arm.scores().map(|score| score.get()).collect();
            let incumbent = incumbent.experiment;
            in_flight.health_check = Some(HealthCheck::Measuring { lease: None, incumbent, before, now: Vec::new() });
        }
    }

    /// Handles the end of a health check.
    ///
    /// If the incumbent's score moved further than the noise explains, the machine has shifted, and only the scores from now
    /// on count: three trials must agree on that.
    pub(super) fn finish_health_check(
        &mut self,
        in_flight: &mut InFlight<C>,
        result: Result<Outcome, SandboxError>,
    ) -> Result<(), LabError> {
        let check = in_flight.health_check.take();
        if let Some(HealthCheck::Suspecting(lease) | HealthCheck::Measuring { lease: Some(lease), .. }) = &check {
            in_flight.release(*lease);
        }
        let is_about_sandbox = self.state.open.iter().any(|open| open.sandbox_failures >= SANDBOX_FAILURES);
        let read = match result {
            Ok(outcome) => self.read(&outcome),
            Err(SandboxError::Cancelled) => return Ok(()),
            // Neither a machine nor a wait mends that.
            Err(error @ SandboxError::LockedChanged { .. }) => return Err(error.into()),
            // The sandbox fails on the incumbent, too: no candidate is at fault, and a person must act.
            Err(error) if is_about_sandbox => {
                let failure = Some(error.to_string());
                self.record(Record::HealthChecked { failure, measurement: None, reference: None })?;
                return Err(error.into());
            }
            Err(error) => Err(error.to_string()),
        };
        let Some(HealthCheck::Measuring { incumbent, before, mut now, .. }) = check else {
            return self.record(Record::HealthChecked { failure: read.err(), measurement: None, reference: None });
        };
        if self.state.incumbent.as_ref().map(|present| present.experiment) != Some(incumbent) {
            // Another candidate was kept meanwhile, and has fresh measurements.
            return Ok(());
        }
        let measurement = match read {
            Ok(measurement) => measurement,
            // The incumbent ran before, so the machine is at fault; the next check examines it.
            Err(failure) => {
                let failure = Some(failure);
                return self.record(Record::HealthChecked { failure, measurement: None, reference: None });
            }
        };
        let score = measurement.score;
        now.push(score.get());
        let suspected = self.state.noise.shift(&before, &now);
        let shift = suspected.filter(|_| now.len() >= AGREEING_TRIALS);
        let reference = shift.map(|_| now.len() as u32);
        self.record(Record::HealthChecked { failure: None, measurement: Some(measurement), reference })?;
        self.tell(&Event::Remeasured { score, shift });
        if suspected.is_some() && shift.is_none() {
            in_flight.health_check = Some(HealthCheck::Measuring { lease: None, incumbent, before, now });
        }
        Ok(())
    }
}
