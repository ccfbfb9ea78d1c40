//! `[excursion]`: when the search leaves its incumbent for a while.

use autoresearch_core::ExcursionRule;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::screening::library_error;

/// The section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcursionSection {
    /// Experiments in a row without a keep after which a side line begins; 20 by default.
    #[serde(default = "after")]
    after: usize,
    /// Experiments of a side line; 3 by default.
    #[serde(default = "steps")]
    steps: usize,
    /// Loss against the incumbent up to which a candidate may be a sacrifice, in the metric's unit.
    tolerance: f64,
}

fn after() -> usize {
    20
}

fn steps() -> usize {
    3
}

impl ExcursionSection {
    /// The rule as the lab takes it.
    pub fn rule(&self) -> ExcursionRule {
        ExcursionRule { after: self.after, steps: self.steps, tolerance: self.tolerance }
    }

    /// Finds a value that the library does not allow.
    pub fn check(&self) -> Result<(), KeyError> {
        self.rule().check().map_err(|why| library_error("excursion", &why))
    }
}
