//! The identity of an experiment within its run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies an experiment of a run by its number: 0 is the baseline, proposals follow from 1.
///
/// ```
/// use autoresearch_core::ExperimentId;
/// assert!(ExperimentId::BASELINE.is_baseline());
/// assert_eq!(format!("experiment {}", ExperimentId(12)), "experiment 12");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExperimentId(pub u32);

impl ExperimentId {
    /// The baseline: the code as it is, which every run measures first.
    pub const BASELINE: ExperimentId = ExperimentId(0);

    /// Returns true for the baseline, which no proposer made.
    pub fn is_baseline(self) -> bool {
        self == ExperimentId::BASELINE
    }
}

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
