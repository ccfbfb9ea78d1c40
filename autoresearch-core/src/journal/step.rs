//! The words of a journal for the results of experiments.

use serde::{Deserialize, Serialize};

/// Result of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is better and became the incumbent.
    Keep,
    /// It is not better and was reverted.
    Discard,
    /// It gave no number and was reverted.
    Crash,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Status::Keep => "keep",
            Status::Discard => "discard",
            Status::Crash => "crash",
        })
    }
}

/// Consequence of a decision for an excursion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExcursionStep {
    /// The discarded candidate is a sacrifice: it becomes the end of the side line, or the first one of a new side line.
    Sacrifice,
    /// The side line led nowhere, and the search continues from the incumbent.
    Dropped,
}

/// The way of a candidate from trials on a rung to the full budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Promotion {
    /// It is good enough on a rung.
    Passed,
    /// It is not good enough, and was promoted all the same, to measure the losses by screening.
    Control,
    /// It could not be compared: the incumbent gave no number on a rung.
    Unscreened,
}
