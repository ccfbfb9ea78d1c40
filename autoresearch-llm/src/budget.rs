//! The training clock: what counts is the time of steps, not of start-up and evaluation.

use std::time::{Duration, Instant};

use tch::Device;

use crate::device::synchronize;
use crate::workload::Workload;

/// Counts training seconds. The first `untimed_steps` steps do not count, and do not end the run either.
#[derive(Debug)]
pub struct TimeBudget {
    budget: Duration,
    untimed_steps: u64,
    device: Device,
    steps: u64,
    spent: Duration,
    last: Duration,
    began: Option<Instant>,
}

impl TimeBudget {
    /// The budget of a workload, for steps on `device`.
    pub fn new(workload: &Workload, device: Device) -> TimeBudget {
        TimeBudget {
            budget: Duration::try_from_secs_f64(workload.fixed.time_budget_seconds).unwrap_or_default(),
            untimed_steps: workload.fixed.untimed_steps,
            device,
            steps: 0,
            spent: Duration::ZERO,
            last: Duration::ZERO,
            began: None,
        }
    }

    /// A step begins, when the device has done all earlier work.
    pub fn begin_step(&mut self) {
        synchronize(self.device);
        self.began = Some(Instant::now());
    }

    /// Ends the step, once the device has done it. Returns the time that it took.
    pub fn end_step(&mut self) -> Duration {
        synchronize(self.device);
        self.last = self.began.take().map_or(Duration::ZERO, |began| began.elapsed());
        if self.steps >= self.untimed_steps {
            self.spent += self.last;
        }
        self.steps += 1;
        self.last
    }

    /// The share of the budget that is spent, from 0 to 1. All schedules follow it.
    pub fn progress(&self) -> f64 {
        if self.budget.is_zero() { 1.0 } else { (self.spent.as_secs_f64() / self.budget.as_secs_f64()).min(1.0) }
    }

    /// Returns true when training ends here.
    pub fn finished(&self) -> bool {
        self.steps >= self.untimed_steps && self.spent >= self.budget
    }

    /// Steps so far, untimed ones included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Steps that counted.
    pub fn timed_steps(&self) -> u64 {
        self.steps.saturating_sub(self.untimed_steps)
    }

    /// Training seconds so far.
    pub fn seconds(&self) -> f64 {
        self.spent.as_secs_f64()
    }

    /// Training seconds left.
    pub fn remaining(&self) -> f64 {
        self.budget.saturating_sub(self.spent).as_secs_f64()
    }
}
