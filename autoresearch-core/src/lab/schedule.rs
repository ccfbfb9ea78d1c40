//! The schedule: the next step of an open experiment, as one pure function of the state.

use super::excursion;
use super::in_flight::ExperimentInFlight;
use super::screening::ScreeningStep;
use super::settings::Settings;
use crate::ratchet::{Ratchet, Side, Verdict, on_one_machine};
use crate::state::{BaseStatus, OpenExperiment, Promotion, SANDBOX_FAILURES, State, Status};

/// The next step of an open experiment.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// A trial, a backoff, a health check or another experiment's decision comes first.
    Wait,
    /// A trial of this side on this share of the budget, as soon as a worker is free.
    Trial { side: Side, fidelity: f64 },
    /// The promotion from the rungs of screening to the full budget.
    Promote(Promotion, String),
    /// A request of the rule for trials of these sides.
    Request(Vec<Side>),
    /// A rebase. A better candidate is rebased onto the end of the merge queue at once; any other one onto the incumbent when a
    /// worker is free, once for all keeps until then.
    Rebase { into_queue: bool },
    /// The decision.
    Decide(Status, String),
}

impl Step {
    /// True if the step has to wait, for a worker or for anything else.
    pub(super) fn needs_worker(&self) -> bool {
        matches!(self, Step::Wait | Step::Trial { .. } | Step::Rebase { into_queue: false })
    }
}

/// True if the machine may be at fault. Then no trial starts before the incumbent has passed a health check.
pub(super) fn is_suspect(state: &State, settings: &Settings) -> bool {
    let blocked = |open: &OpenExperiment| {
        !open.experiment.id.is_baseline() && open.sandbox_failures >= SANDBOX_FAILURES && open.failed.is_none()
    };
    state.failing.is_some()
        || state.crashes_in_a_row >= settings.suspicious_crashes.max(1)
        || state.open.iter().any(blocked)
}

/// Determines the next step of `open`. `known` is its part in this call of `Lab::run`, if it has one.
pub(super) fn next_step(
    state: &State,
    open: &OpenExperiment,
    known: Option<&ExperimentInFlight>,
    settings: &Settings,
    rule: &dyn Ratchet,
) -> Step {
    let base = state.base_status(open);
    if is_suspect(state, settings) {
        return Step::Wait;
    }
    if let Some(known) = known.filter(|known| !known.is_idle()) {
        // Beside trials in flight only further ones of the same side start, as the rule asked for them together.
        return match known.requested.front().filter(|side| known.may_start(**side)) {
            Some(side) if open.failed.is_none() && base == BaseStatus::Current => {
                Step::Trial { side: *side, fidelity: 1.0 }
            }
            _ => Step::Wait,
        };
    }
    if let Some(why) = &open.failed {
        match base {
            // The base may be at fault, as long as it is not measured.
            BaseStatus::QueuedBehind(_) => return Step::Wait,
            BaseStatus::Stale if !state.comparable(open) => return rebase(state, known, open.in_merge_queue),
            // Only the baseline is tried again, as it failed in an earlier process.
            _ if !open.experiment.id.is_baseline() || known.is_some_and(|known| known.was_tried) => {
                let status = if open.experiment.failed_guard() { Status::Discard } else { Status::Crash };
                return Step::Decide(status, why.clone());
            }
            _ => {}
        }
    }
    let is_measured = !open.experiment.arm.measurements.is_empty();
    match base {
        BaseStatus::QueuedBehind(_) if is_measured => Step::Wait,
        BaseStatus::QueuedBehind(_) => trial(open, settings, Side::Candidate, 1.0),
        BaseStatus::Stale if !is_measured || !state.comparable(open) => rebase(state, known, open.in_merge_queue),
        BaseStatus::Stale => match judge(state, open, rule) {
            Verdict::Discard(reason) => Step::Decide(Status::Discard, reason),
            // It is measured again as a change of the present incumbent, and kept only if it gains there.
            Verdict::Keep(_) | Verdict::Measure(_) => rebase(state, known, true),
        },
        BaseStatus::Current if !is_measured && open.experiment.conflict.is_some() => {
            discard("it changes the same as what was kept before it could run; both sides go back to the proposer")
        }
        BaseStatus::Current if !is_measured => screen(state, open, settings),
        BaseStatus::Current => judged_step(state, open, known, settings, rule),
    }
}

/// Determines the next step of a measured candidate whose base is current: a trial that the rule asked for, or its verdict.
fn judged_step(
    state: &State,
    open: &OpenExperiment,
    known: Option<&ExperimentInFlight>,
    settings: &Settings,
    rule: &dyn Ratchet,
) -> Step {
    if let Some(side) = known.and_then(|known| known.requested.front()) {
        return trial(open, settings, *side, 1.0);
    }
    // The rule would ask the same again: its evidence has not changed.
    if known.and_then(|known| known.measurements_at_request) == Some(open.measurements()) {
        return discard("it could not be compared: the incumbent gave no number either");
    }
    match judge(state, open, rule) {
        Verdict::Keep(_) if state.has_to_queue(open) => rebase(state, known, true),
        Verdict::Keep(reason) => Step::Decide(Status::Keep, reason),
        Verdict::Discard(reason) => Step::Decide(Status::Discard, reason),
        Verdict::Measure(sides) if sides.is_empty() => discard("the rule asked for nothing more and did not decide"),
        Verdict::Measure(sides) if open.measurements() < settings.measurement_limit.max(rule.may_need()) => {
            Step::Request(sides)
        }
        Verdict::Measure(_) if state.incumbent.is_none() => Step::Decide(Status::Keep, "the baseline".into()),
        Verdict::Measure(_) => {
            let count = open.measurements();
            discard(&format!("the rule did not decide after {count} measurements, which is the limit"))
        }
    }
}

/// Determines the first trials of a candidate: on the rungs of screening, if there are any, then on the full budget.
fn screen(state: &State, open: &OpenExperiment, settings: &Settings) -> Step {
    let Some(screening) = settings.screening.as_ref().filter(|_| !open.in_merge_queue) else {
        return trial(open, settings, Side::Candidate, 1.0);
    };
    let tolerance = excursion::tolerance(settings.excursion.as_ref(), state);
    match screening.next_step(state, open, tolerance) {
        ScreeningStep::Trial(side, fidelity) => trial(open, settings, side, fidelity),
        ScreeningStep::Promote(promotion, reason) => Step::Promote(promotion, reason),
        ScreeningStep::FullBudget => trial(open, settings, Side::Candidate, 1.0),
        ScreeningStep::Discard(reason) => Step::Decide(Status::Discard, reason),
    }
}

/// Returns a rebase. A candidate that contradicts the end of the merge queue waits for the decision on that: it may never be kept, and
/// then there is nothing to contradict.
fn rebase(state: &State, known: Option<&ExperimentInFlight>, into_queue: bool) -> Step {
    let contradicted = known.and_then(|known| known.contradicts.as_ref());
    match contradicted.is_some() && into_queue && contradicted == state.queue_end() {
        true => Step::Wait,
        false => Step::Rebase { into_queue },
    }
}

/// Returns a trial, or a crash if the process died too often while trials of the experiment were in flight.
fn trial(open: &OpenExperiment, settings: &Settings, side: Side, fidelity: f64) -> Step {
    // The baseline is needed: it is tried however often the process dies.
    match open.lost {
        lost if !open.experiment.id.is_baseline() && lost >= settings.loss_limit.max(1) => Step::Decide(
            Status::Crash,
            format!("the process of the lab died {lost} times while it was tried, so it may be the cause"),
        ),
        _ => Step::Trial { side, fidelity },
    }
}

fn discard(reason: &str) -> Step {
    Step::Decide(Status::Discard, reason.to_owned())
}

fn judge(state: &State, open: &OpenExperiment, rule: &dyn Ratchet) -> Verdict {
    let mut evidence = state.evidence(open);
    let verdict = on_one_machine(&mut evidence).unwrap_or_else(|| rule.judge(&evidence));
    if state.incumbent.is_some() {
        return verdict;
    }
    // The baseline cannot be compared: a rule may only ask for more trials of it.
    match verdict {
        Verdict::Keep(reason) => Verdict::Keep(reason),
        Verdict::Measure(sides) if sides.contains(&Side::Candidate) => {
            Verdict::Measure(sides.into_iter().filter(|side| *side == Side::Candidate).collect())
        }
        _ => Verdict::Keep("the baseline".into()),
    }
}

#[cfg(test)]
mod tests;
