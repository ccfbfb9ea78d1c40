//! Excursions: if nothing else helps, the search continues for a few experiments from changes that are a little worse.
//!
//! A greedy search ends in the first local optimum. A change that pays only together with another one can be followed by that
//! one here. The side line reaches the lineage only if its end is kept: as one change, judged against the incumbent.

use crate::state::{ExcursionStep, OpenExperiment, State, Status};

/// The conditions under which the search leaves its incumbent, and the number of experiments that it may then take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExcursionRule {
    /// Number of experiments in a row without a keep after which an excursion begins, those of earlier excursions not counted.
    pub after: usize,
    /// Number of experiments that an excursion may take, at least 1. Each is sacrificed, or leads nowhere, or is kept and
    /// ends the excursion.
    pub steps: usize,
    /// The amount by which a sacrifice may be worse than the incumbent, in the metric's unit: a finite number, not negative.
    pub tolerance: f64,
}

impl ExcursionRule {
    /// Checks the values. The error says which is wrong, and what to give instead.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        if self.steps == 0 {
            return Err("steps is 0; give at least 1, or leave the excursions out".into());
        }
        if !(self.tolerance >= 0.0 && self.tolerance < f64::INFINITY) {
            let tolerance = self.tolerance;
            return Err(format!("tolerance is {tolerance}; give a number in the metric's unit that is not negative"));
        }
        Ok(())
    }

    fn is_due(&self, state: &State) -> bool {
        state.since_excursion() >= self.after
    }
}

/// Determines the consequence for an excursion if `open` is decided with `status`.
pub(super) fn next_step(
    rule: Option<&ExcursionRule>,
    state: &State,
    open: &OpenExperiment,
    status: Status,
) -> Option<ExcursionStep> {
    if status == Status::Keep {
        return None;
    }
    if let Some(line) = &state.side_line {
        let tried = line.tried as usize + 1;
        // No experiment could follow a sacrifice in the last step.
        if rule.is_none_or(|rule| tried >= rule.steps) {
            return Some(ExcursionStep::Dropped);
        }
    }
    let rule = rule.filter(|rule| state.side_line.is_some() || rule.is_due(state))?;
    let direction = state.header.as_ref()?.direction;
    let mut incumbent = state.incumbent.as_ref()?.arm.clone();
    incumbent.measurements.extend(open.incumbent.iter().cloned());
    let gain = direction.gain(incumbent.mean()?, open.experiment.score()?);
    (status == Status::Discard && gain >= -rule.tolerance).then_some(ExcursionStep::Sacrifice)
}

/// The amount by which a candidate may be behind on a rung for the sake of an excursion.
pub(super) fn tolerance(rule: Option<&ExcursionRule>, state: &State) -> f64 {
    match rule {
        Some(rule) if state.side_line.is_some() || rule.is_due(state) => rule.tolerance,
        _ => 0.0,
    }
}

/// The paragraph of a commit message that lists the sacrifices of the side line; empty where there is none.
pub(super) fn list_sacrifices(state: &State) -> String {
    let Some(line) = &state.side_line else { return String::new() };
    let named = line.sacrifices.iter().filter_map(|id| state.experiment(*id));
    let named: String = named.map(|e| format!("- experiment {}: {}\n", e.id, e.description)).collect();
    format!("\nIt contains these sacrifices, which were not kept by themselves:\n{named}")
}
