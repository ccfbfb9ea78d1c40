//! `[screening]` and `[excursion]`: what a search does beside proposing, running in full and judging.

use autoresearch_core::{ExcursionRule, Screening};
use serde::Deserialize;

/// Short runs before the full budget.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreeningConfig {
    /// Shares of the full budget, rising.
    pub rungs: Vec<f64>,
    /// By how much a candidate may be behind, in standard deviations of a short run.
    pub margin: Option<f64>,
    /// By how much it may be behind and has a second look at the next rung.
    pub second_margin: Option<f64>,
    /// By how much beyond these, in the metric's unit.
    pub allowance: Option<f64>,
    /// How often the incumbent runs on each rung.
    pub repeats: Option<usize>,
    /// Every so many-th candidate that fails is promoted all the same; 0: none.
    pub control: Option<u32>,
    /// The class of hardware that short runs take place on, if not that of the full budget.
    pub class: Option<String>,
}

/// When the search leaves its incumbent for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExcursionConfig {
    /// After so many experiments without a keep.
    #[serde(default = "after")]
    pub after: usize,
    /// For at most so many experiments.
    #[serde(default = "steps")]
    pub steps: usize,
    /// By how much a sacrifice may be worse than the incumbent, in the metric's unit.
    pub tolerance: f64,
}

fn after() -> usize {
    20
}

fn steps() -> usize {
    3
}

impl ScreeningConfig {
    pub fn screening(&self) -> Screening {
        let mut screening = Screening::new(self.rungs.iter().copied());
        screening.margin = self.margin.unwrap_or(screening.margin);
        // A wider margin than the usual second one widens that, too.
        screening.second_margin = self.second_margin.unwrap_or(screening.second_margin.max(screening.margin));
        screening.allowance = self.allowance.unwrap_or(screening.allowance);
        screening.repeats = self.repeats.unwrap_or(screening.repeats);
        screening.control = self.control.unwrap_or(screening.control);
        screening.class = self.class.clone();
        screening
    }
}

impl ExcursionConfig {
    pub fn excursion(&self) -> ExcursionRule {
        ExcursionRule { after: self.after, steps: self.steps, tolerance: self.tolerance }
    }
}
