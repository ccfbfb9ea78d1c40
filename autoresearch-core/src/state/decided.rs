//! The changes that a decision or a rebase makes to a state.

use super::{EarlierCandidate, Incumbent, LOGS_IN_MEMORY, OpenExperiment, Shift, State, hash};
use crate::experiment_id::ExperimentId;
use crate::journal::{ExcursionStep, Status};
use crate::metric::Measurement;
use crate::ratchet::{Arm, Comparison, latest_machine};
use crate::sandbox::{Candidate, Revision};

impl State {
    /// Adds the repeated trials of the open experiment at index `at` to the noise. The first trial chose the candidate, so it is
    /// better than the candidate's usual trials and is left out.
    pub(super) fn pool_fresh(&mut self, at: usize) {
        let open = &self.open[at];
        let scores = |arm: &[Measurement]| latest_machine(arm).map(|m| m.score.get()).collect::<Vec<_>>();
        self.noise.pool_candidate(&scores(open.experiment.arm.measurements.get(1..).unwrap_or_default()));
        self.noise.pool_usual(&scores(&open.incumbent));
    }

    /// Rebases the open experiment at index `at` onto another base. Its measurements say nothing about the new candidate.
    pub(super) fn rebase(&mut self, at: usize, parent: Revision, candidate: Candidate, in_merge_queue: bool) {
        self.pool_fresh(at);
        let open = &mut self.open[at];
        let made = &mut open.experiment;
        made.rebased.push(EarlierCandidate {
            parent: made.parent.replace(parent),
            candidate: std::mem::replace(&mut made.candidate, candidate),
            arm: std::mem::take(&mut made.arm),
        });
        (made.reference, made.screening) = (0, None);
        (open.incumbent, open.failed, open.incomparable) = (Vec::new(), None, false);
        open.measured_seeds.clear();
        // The other candidate is another test.
        open.test = None;
        open.in_merge_queue |= in_merge_queue;
        (open.sandbox_failures, open.sandbox_failure) = (0, String::new());
        self.forget_former();
    }

    /// Closes an open experiment. `current` is true if it was judged against the incumbent.
    pub(super) fn decide(
        &mut self,
        open: OpenExperiment,
        current: bool,
        reference: Option<u32>,
        excursion: Option<ExcursionStep>,
    ) -> Result<(), String> {
        let OpenExperiment { mut experiment, incumbent: interleaved, .. } = open;
        let scores = |arm: &[Measurement]| latest_machine(arm).map(|m| m.score.get()).collect::<Vec<_>>();
        // The first trial of a candidate chose it, so it is better than its usual trials; trials of the baseline that do not
        // count are not usual either.
        let fresh = match experiment.id.is_baseline() {
            true => {
                experiment.arm.measurements.len().saturating_sub(reference.map_or(usize::MAX, |count| count as usize))
            }
            false => 1,
        };
        let own = scores(experiment.arm.measurements.get(fresh..).unwrap_or_default());
        match experiment.status {
            Status::Keep => self.noise.pool_usual(&own),
            _ => self.noise.pool_candidate(&own),
        }
        self.noise.pool_usual(&scores(&interleaved));
        // Measurements of another incumbent than the present one count for the noise alone.
        let interleaved = if current { interleaved } else { Vec::new() };
        self.since_measured = if interleaved.is_empty() { self.since_measured + 1 } else { 0 };
        let mut interleaved = Arm { measurements: interleaved };
        let paired = interleaved.last(interleaved.measurements.len().saturating_sub(1).max(1)).mean();
        if !interleaved.measurements.is_empty() || experiment.status == Status::Keep {
            self.suspected_checks = 0;
        }
        if let Some(incumbent) = &mut self.incumbent {
            interleaved.forget_items();
            incumbent.arm.measurements.append(&mut interleaved.measurements);
        }
        let before = match current {
            true => self.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean()),
            false => experiment.before,
        };
        // Under a rule of pairs, earlier trials of the incumbent and the pair that chose the candidate are no reference.
        let compares_pairs = self.header.as_ref().is_some_and(|header| header.rule.comparison == Comparison::Pairs);
        experiment.before = paired.filter(|_| compares_pairs).or(before);
        // The experiment stays in memory as long as the run. Most have one measurement, and room for four would be a tenth of it.
        experiment.arm.measurements.shrink_to_fit();
        experiment.reason.shrink_to_fit();
        let measured = experiment.arm.measurements.len() as u32;
        experiment.reference = measured;
        if !experiment.id.is_baseline() && measured > 1 {
            self.tested += 1;
            self.tested_kept += u32::from(experiment.status == Status::Keep);
        }
        let failed_guard = experiment.failed_guard();
        let on_a_rung = experiment.screening.as_ref().is_some_and(|s| s.promotion.is_none());
        if experiment.status == Status::Discard && on_a_rung && !failed_guard {
            self.rungs.failed += 1;
        }
        self.step(&experiment, excursion)?;
        match (experiment.status, &experiment.kept_as) {
            (Status::Keep, Some(_)) if measured == 0 => {
                return Err(format!("experiment {} was kept without a measurement", experiment.id));
            }
            (Status::Keep, Some(to)) => {
                experiment.reference = reference.unwrap_or(measured).clamp(1, measured);
                let from = self.incumbent.as_ref().map(|incumbent| incumbent.revision.clone());
                self.unadopted = Some((from, to.clone()));
                self.since_measured = 0;
                self.rungs.replace_incumbent();
                let incumbent = Incumbent {
                    revision: to.clone(),
                    experiment: experiment.id,
                    candidate: experiment.candidate.clone(),
                    arm: experiment.arm.last(experiment.reference as usize),
                };
                self.former.extend(self.incumbent.replace(incumbent));
                let conflicting = self.open.iter_mut().filter(|open| open.experiment.conflict.is_some());
                conflicting.for_each(|open| open.incumbent.clear());
            }
            (Status::Keep, None) | (_, Some(_)) => {
                return Err(format!("the decision on experiment {} does not fit its revision", experiment.id));
            }
            (_, None) => {}
        }
        experiment.arm.forget_items();
        let (status, id) = (experiment.status, experiment.id);
        if !id.is_baseline() {
            self.seconds_experimenting += experiment.finished.since(experiment.started).as_secs_f64();
        }
        self.since_keep = if status == Status::Keep { 0 } else { self.since_keep + 1 };
        self.crashes_in_a_row = if status == Status::Crash { self.crashes_in_a_row + 1 } else { 0 };
        // A rebased candidate that equals another one is discarded unmeasured: it may be proposed again.
        let measured = !experiment.arm.measurements.is_empty() || experiment.screening.is_some() || failed_guard;
        if status != Status::Discard || measured {
            self.by_fingerprint.entry(hash(&experiment.candidate.fingerprint)).or_insert(id);
        }
        let (place, index) = (self.experiments.len() as u32, id.0 as usize);
        if self.places.len() <= index {
            self.places.resize(index + 1, u32::MAX);
        }
        self.places[index] = place;
        self.experiments.push(experiment);
        self.forget_former();
        if status != Status::Keep && current {
            self.shifted(reference);
        }
        // The journal has all logs; the memory of a run of ten thousand experiments must not grow by them.
        let old = self.experiments.len().checked_sub(LOGS_IN_MEMORY + 1).and_then(|at| self.experiments.get_mut(at));
        if let Some(outcome) = old.and_then(|experiment| experiment.outcome.as_mut()) {
            let log = outcome.log_mut();
            (log.tail, log.artifacts, log.repeats) = Default::default();
        }
        Ok(())
    }

    /// Leaves the incumbent only its latest `reference` measurements, if the machine shifted before them.
    pub(super) fn shifted(&mut self, reference: Option<u32>) {
        let (Some(count), Some(incumbent)) = (reference, &mut self.incumbent) else { return };
        self.suspected_checks = 0;
        let arm = incumbent.arm.last(count.max(1) as usize);
        let before = incumbent.arm.first(incumbent.arm.measurements.len() - arm.measurements.len());
        if let (Some(before), Some(now)) = (before.mean(), arm.mean()) {
            let experiment = self.experiments.last().map_or(ExperimentId::BASELINE, |experiment| experiment.id);
            self.shifts.push(Shift { experiment, by: now.get() - before.get() });
        }
        incumbent.arm = arm;
        // Its trials on rungs were before the shift as well.
        self.rungs.replace_incumbent();
    }
}
