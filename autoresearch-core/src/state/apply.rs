//! The fold of a journal: each record changes the state, or contradicts it.

use super::{
    AuditScore, BaseStatus, HoldoutUse, OpenExperiment, RejectedProposal, Running, SANDBOX_FAILURES, State, TestPlace,
};
use crate::experiment_id::ExperimentId;
use crate::journal::{
    Decision, Entry, JournalError, JournalFault, Moment, Record, StagedExperiment, Status, TrialResult, TrialStart,
};
use crate::ratchet::{Side, latest_machine};
use crate::sandbox::Revision;

impl State {
    /// Applies one record.
    #[doc(hidden)]
    pub fn apply(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.apply_owned(entry.clone())
    }

    /// Applies one record and moves its parts into the state, since a change may be as large as the files that it writes.
    pub(crate) fn apply_owned(&mut self, entry: Entry) -> Result<(), JournalError> {
        let seq = entry.seq;
        self.fold(entry).map_err(|why| JournalFault::Contradiction { seq, why }.into())
    }

    fn fold(&mut self, entry: Entry) -> Result<(), String> {
        let Entry { at, record, suspended, .. } = entry;
        self.suspended = self.suspended.saturating_add(suspended);
        if self.header.is_none() && !matches!(record, Record::Started(_)) {
            return Err("a run begins with one record of its start".into());
        }
        // An audit and a holdout measure a run that ended, and go on with none.
        let is_afterwards =
            matches!(record, Record::Audited { .. } | Record::HoldoutOpened { .. } | Record::HoldoutMeasured { .. });
        if !is_afterwards && !matches!(record, Record::Stopped { .. }) {
            self.stopped = None;
        }
        let latest = if is_afterwards { self.latest } else { at };
        match record {
            Record::Started(mut header) => {
                if self.is_bound() {
                    return Err("a run begins with one record of its start".into());
                }
                header.started = at;
                *self = State { header: Some(header), ..State::default() };
            }
            Record::Staged(staged) => self.stage(staged, at)?,
            Record::Resumed { attached } => {
                for open in &mut self.open {
                    let (id, before) = (open.experiment.id, open.running.len());
                    open.running.retain(|running| attached.contains(&(id, running.trial)));
                    open.lost += u32::from(open.running.len() < before);
                }
            }
            Record::TrialStarted(start) => self.start_trial(start, at)?,
            Record::Rebased { experiment, parent, candidate, in_merge_queue } => {
                let at = self.place_of_open(experiment)?;
                let is_known = |to: &Revision| {
                    let others =
                        self.open.iter().filter(|open| open.experiment.id != experiment && open.in_merge_queue);
                    let mut candidates = others.map(|open| &open.experiment.candidate.revision);
                    self.incumbent.as_ref().is_some_and(|incumbent| incumbent.is(to)) || candidates.any(|c| c == to)
                };
                if !self.open[at].running.is_empty() || !is_known(&parent) {
                    return Err(format!("experiment {experiment} cannot be rebased onto {parent}"));
                }
                self.rebase(at, parent, candidate, in_merge_queue);
            }
            Record::Conflicted { experiment, conflict } => {
                let at = self.place_of_open(experiment)?;
                self.pool_fresh(at);
                let open = &mut self.open[at];
                open.experiment.conflict = Some(conflict);
                open.incumbent = Vec::new();
                self.forget_former();
            }
            Record::TrialMeasured(result) => self.measure_trial(result)?,
            Record::Promoted { experiment, promotion, .. } => {
                let at = self.place_of_open(experiment)?;
                let screening = self.open[at].experiment.screening.get_or_insert_default();
                if screening.promotion.replace(promotion).is_some() {
                    return Err(format!("experiment {experiment} was promoted twice"));
                }
                self.rungs.count(promotion);
            }
            Record::TrialFailed { experiment, trial, error } => {
                let at = self.end_trial(experiment, trial)?.0;
                let open = &mut self.open[at];
                (open.sandbox_failures, open.sandbox_failure) = (open.sandbox_failures.saturating_add(1), error);
            }
            Record::TrialCancelled { experiment, trial, .. } => {
                self.end_trial(experiment, trial)?;
            }
            Record::Decided(decision) => self.close(decision, at)?,
            Record::Adopted { experiment } => {
                let incumbent = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
                if self.unadopted.take().is_none() || incumbent != Some(experiment) {
                    return Err(format!("experiment {experiment} was adopted without a decision"));
                }
            }
            Record::Rejected { description, reason, change, cost, proposer } => {
                self.cost = self.cost + cost;
                let experiment = self.next_experiment();
                let rejection = RejectedProposal { description, reason, change, cost, proposer, experiment };
                self.since_keep += usize::from(!rejection.was_cancelled());
                self.rejections.push(rejection);
            }
            Record::Hinted { text } => self.hints.push(text),
            Record::HealthChecked { failure, measurement, reference } => {
                self.checks += 1;
                if let (Some(measurement), Some(incumbent)) = (measurement, &mut self.incumbent) {
                    incumbent.arm.measurements.push(measurement);
                    self.since_measured = 0;
                    self.learn_from_check();
                    self.shifted(reference);
                }
                match failure {
                    Some(_) => {
                        self.failed_checks += 1;
                        // The machine was at fault, and no candidate.
                        self.open.iter_mut().for_each(|open| open.sandbox_failures = 0);
                    }
                    None => {
                        (self.failed_checks, self.crashes_in_a_row) = (0, 0);
                        self.open.iter_mut().for_each(blame_candidate);
                    }
                }
                self.failing = failure;
            }
            Record::Audited { experiment, seed, score } => {
                let place = self.places.get(experiment.0 as usize).map(|place| *place as usize);
                let audited = place.and_then(|place| self.experiments.get_mut(place));
                let audited =
                    audited.ok_or_else(|| format!("experiment {experiment} was audited, but is not decided"))?;
                // A round that was interrupted is measured again: its scores belong to another hour.
                audited.audit.retain(|earlier| earlier.seed != seed);
                audited.audit.push(AuditScore { seed, score });
            }
            Record::HoldoutOpened { best } => {
                let incumbent = self.incumbent.as_ref().filter(|incumbent| incumbent.revision == best);
                let incumbent = incumbent.ok_or_else(|| format!("{best} is not the best state"))?;
                let (best, experiment) = (incumbent.experiment, self.finished() as u32);
                self.holdout.push(HoldoutUse { at, experiment, best, result: None });
            }
            Record::HoldoutMeasured { baseline, best } => match self.holdout.last_mut() {
                Some(opening) if opening.result.is_none() => opening.result = Some((baseline, best)),
                _ => return Err("the holdout was measured, but not opened".into()),
            },
            Record::Stopped { reason } => {
                // A trial that an orderly stop interrupted does not count as lost.
                self.open.iter_mut().for_each(|open| open.running.clear());
                self.stopped = Some(reason);
            }
        }
        self.latest = latest;
        Ok(())
    }

    /// Adds the latest health check to the noise. As long as the checks in a row look like a shift of the machine they say nothing
    /// about it: they would hide the shift.
    fn learn_from_check(&mut self) {
        let Some(incumbent) = &self.incumbent else { return };
        let scores: Vec<f64> = latest_machine(&incumbent.arm.measurements).map(|made| made.score.get()).collect();
        let checks = self.suspected_checks as usize + 1;
        let (before, now) = scores.split_at(scores.len().saturating_sub(checks));
        if self.noise.shift(before, now).is_some() {
            self.suspected_checks += 1;
            return;
        }
        for at in before.len()..scores.len() {
            if let Some((before, [now, ..])) = scores.split_at_checked(at) {
                self.noise.pool_one_more(before, *now);
            }
        }
        self.suspected_checks = 0;
    }

    /// True once an experiment is decided: from then on the run cannot start anew.
    #[doc(hidden)]
    pub fn is_bound(&self) -> bool {
        !self.experiments.is_empty()
    }

    fn place_of_open(&self, experiment: ExperimentId) -> Result<usize, String> {
        let place = self.open.iter().position(|open| open.experiment.id == experiment);
        place.ok_or_else(|| format!("experiment {experiment} is not open"))
    }

    fn stage(&mut self, staged: StagedExperiment, at: Moment) -> Result<(), String> {
        let experiment = staged.experiment;
        let waits = !experiment.is_baseline() && self.incumbent.is_none();
        if experiment != self.next_experiment() || waits || self.unadopted.is_some() {
            return Err(format!("experiment {experiment} begins out of turn"));
        }
        self.cost = self.cost + staged.cost;
        self.open.push(OpenExperiment::staged(staged, at));
        Ok(())
    }

    fn start_trial(&mut self, start: TrialStart, at: Moment) -> Result<(), String> {
        let TrialStart { experiment, trial, side, seed, fidelity, slot, .. } = start;
        let place = self.place_of_open(experiment)?;
        let open = &mut self.open[place];
        if trial != open.trials_started + 1 {
            return Err(format!("trial {trial} follows trial {}", open.trials_started));
        }
        if trial == 1 {
            open.experiment.started = at;
        }
        let begins_test = !experiment.is_baseline()
            && side == Side::Candidate
            && fidelity == 1.0
            && open.test.is_none()
            && !open.experiment.arm.measurements.is_empty();
        if begins_test {
            open.test = Some(TestPlace { begun: self.tests_begun, kept: self.tested_kept });
            self.tests_begun += 1;
        }
        open.failed = None;
        open.trials_started = trial;
        let incumbent = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
        open.running.push(Running { trial, side, seed, fidelity, slot, incumbent });
        Ok(())
    }

    /// Removes a trial from those in flight. Returns the index of its experiment among the open ones, and the trial.
    fn end_trial(&mut self, experiment: ExperimentId, trial: u32) -> Result<(usize, Running), String> {
        let at = self.place_of_open(experiment)?;
        let running = &mut self.open[at].running;
        match running.iter().position(|running| running.trial == trial) {
            Some(place) => Ok((at, running.remove(place))),
            None => Err(format!("trial {trial} of experiment {experiment} ended, but is not in flight")),
        }
    }

    fn measure_trial(&mut self, ended: TrialResult) -> Result<(), String> {
        let TrialResult { experiment, trial, side, fidelity, outcome, result } = ended;
        let (at, running) = self.end_trial(experiment, trial)?;
        if (side, fidelity) != (running.side, running.fidelity) {
            return Err(format!(
                "trial {trial} is of the {:?} on {} of the budget, but was measured as of the {side:?} on {fidelity}",
                running.side, running.fidelity
            ));
        }
        let is_current = self.base_status(&self.open[at]) == BaseStatus::Current;
        let incumbent = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
        let open = &mut self.open[at];
        (open.sandbox_failures, open.sandbox_failure) = (0, String::new());
        let is_on_rung = fidelity < 1.0;
        self.rungs.spend(is_on_rung, side, outcome.log());
        self.time_of_trials = self.time_of_trials.saturating_add(outcome.log().elapsed);
        self.time_of_builds = self.time_of_builds.saturating_add(outcome.log().build);
        self.time_of_evaluations = self.time_of_evaluations.saturating_add(outcome.log().evaluation);
        match side {
            Side::Candidate if is_on_rung => {
                open.experiment.outcome = Some(outcome);
                match result.map(|measurement| self.rungs.result(fidelity, measurement.score)) {
                    Ok(Some(result)) => open.experiment.screening.get_or_insert_default().rungs.push(result),
                    // The incumbent has moved meanwhile: the experiment will be rebased, and tried on the rung again.
                    Ok(None) if !is_current => {}
                    Ok(None) => return Err("a trial on a rung has nothing to be compared with".into()),
                    Err(why) => open.failed = Some(why),
                }
            }
            Side::Incumbent if is_on_rung => match result {
                Ok(measurement) => self.rungs.add(fidelity, measurement.score),
                Err(_) => open.incomparable = true,
            },
            Side::Candidate => {
                open.experiment.outcome = Some(outcome);
                match result {
                    Ok(measurement) => {
                        open.measured_seeds.push((side, running.seed));
                        open.experiment.arm.measurements.push(measurement);
                        open.experiment.reference += 1;
                    }
                    Err(why) => open.failed = Some(why),
                }
            }
            // An experiment in conflict is compared with the present incumbent, not with the one at its start.
            Side::Incumbent if open.experiment.conflict.is_some() && running.incumbent != incumbent => {}
            Side::Incumbent => {
                if let Ok(measurement) = result {
                    open.measured_seeds.push((side, running.seed));
                    open.incumbent.push(measurement);
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, decision: Decision, at: Moment) -> Result<(), String> {
        let Decision { experiment, status, reason, kept_as, reference, alpha, excursion } = decision;
        let place = self.place_of_open(experiment)?;
        let is_current = self.base_status(&self.open[place]) == BaseStatus::Current;
        if status == Status::Keep && !is_current {
            return Err(format!("experiment {experiment} was kept, but is no change of the incumbent"));
        }
        let before = self.reference(&self.open[place]).and_then(|arm| arm.mean());
        let mut open = self.open.remove(place);
        open.experiment.status = status;
        open.experiment.reason = reason;
        open.experiment.kept_as = kept_as;
        open.experiment.alpha = alpha;
        open.experiment.finished = at;
        open.experiment.before = before;
        self.decide(open, is_current, reference, excursion)
    }
}

/// Counts a candidate on which the sandbox kept failing as crashed, since the incumbent has passed a health check.
fn blame_candidate(open: &mut OpenExperiment) {
    if !open.experiment.id.is_baseline() && open.sandbox_failures >= SANDBOX_FAILURES {
        open.failed = Some(format!(
            "the sandbox failed on it {} times, and not on the incumbent: {}",
            open.sandbox_failures, open.sandbox_failure
        ));
    }
}
