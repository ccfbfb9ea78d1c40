//! Excursions: changes that are a little worse are gone on from for a few experiments, if nothing else helps.
//!
//! A greedy search ends in the first local optimum. Here a change that needs another one to pay may be followed by that one:
//! the side line reaches the lineage only if its end is kept, as one change, judged against the incumbent like any other.

use super::{Lab, Settings};
use crate::state::{ExcursionStep, Open, State, Status};

/// When the search leaves its incumbent, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Excursion {
    /// It begins when so many experiments in a row were not kept, those of earlier excursions not counted.
    pub after: usize,
    /// How many experiments it may take. Each makes a sacrifice of its candidate, or leads nowhere, or is kept and ends it.
    pub steps: usize,
    /// By how much a sacrifice may be worse than the incumbent, in the metric's unit.
    pub tolerance: f64,
}

impl Excursion {
    /// What is wrong with it, in a sentence that says what to do.
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

impl Settings {
    /// What a candidate with the runs `arm` means for excursions if it is decided with `status`.
    pub(super) fn excursion_step(&self, state: &State, open: &Open, status: Status) -> Option<ExcursionStep> {
        if status == Status::Keep {
            return None;
        }
        let rule = self.excursion.as_ref();
        if let Some(line) = &state.side_line {
            let tried = line.tried as usize + 1;
            // The last one would have nobody to go on from it.
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

    /// By how much a candidate may be behind for the sake of an excursion, where screening would discard it.
    pub(super) fn excursion_tolerance(&self, state: &State) -> f64 {
        match &self.excursion {
            Some(rule) if state.side_line.is_some() || rule.is_due(state) => rule.tolerance,
            _ => 0.0,
        }
    }
}

impl<C> Lab<C> {
    /// What the commit message of a candidate says of the sacrifices in it.
    pub(super) fn sacrifices(&self) -> String {
        let Some(line) = &self.state.side_line else { return String::new() };
        let named = line.sacrifices.iter().filter_map(|id| self.state.experiment(*id));
        let named: String = named.map(|e| format!("- experiment {}: {}\n", e.id, e.description)).collect();
        format!("\nIt contains these sacrifices, which were not kept by themselves:\n{named}")
    }
}
