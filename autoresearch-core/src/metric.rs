//! The one number that decides, read from the output of a trial.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::machine::MachineId;
use crate::sandbox::Outcome;

mod items;
mod log;
pub(crate) mod printed;
mod significant;
mod timing;

pub use items::ItemMetric;
pub use log::{LogMetric, Repeats};
pub use log::{of_output, summary_numbers};
pub(crate) use log::{secondary, summary};
pub use printed::Which;
pub use significant::{signed, significant};
pub use timing::{Clock, Statistic, Timing, units_in_a_second};

/// The artifact with the items' scores. The variable `AUTORESEARCH_ITEMS` tells a trial where to write them.
pub const ITEMS: &str = "items";
/// The greatest size of a list of scores, in bytes.
pub(crate) const MAX_ITEM_BYTES: u64 = 64 << 20;

/// The better direction of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Lower is better (a loss, a time).
    #[serde(alias = "minimize")]
    Minimise,
    /// Higher is better (an accuracy, a throughput).
    #[serde(alias = "maximize")]
    Maximise,
}

impl Direction {
    /// Returns 1 if higher is better, -1 if lower is.
    pub(crate) fn sign(self) -> f64 {
        match self {
            Direction::Minimise => -1.0,
            Direction::Maximise => 1.0,
        }
    }

    /// Computes the gain of `candidate` over `incumbent`, in the metric's unit: positive is better.
    pub fn gain(self, incumbent: Score, candidate: Score) -> f64 {
        match self {
            Direction::Minimise => incumbent.0 - candidate.0,
            Direction::Maximise => candidate.0 - incumbent.0,
        }
    }
}

/// A finite number. NaN and infinities are no scores, so they can never be kept.
///
/// ```
/// use autoresearch_core::Score;
/// assert_eq!(Score::new(0.97).map(Score::get), Some(0.97));
/// assert_eq!(Score::new(f64::NAN), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Score(f64);

impl Score {
    /// Makes a score of this value; `None` for NaN and infinities. Negative zero becomes zero, so that equal scores are equal bit
    /// for bit.
    pub fn new(value: f64) -> Option<Score> {
        value.is_finite().then_some(Score(value + 0.0))
    }

    /// Returns the number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Score {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        Score::new(value).ok_or_else(|| format!("{value} is not a finite score"))
    }
}

impl From<Score> for f64 {
    fn from(score: Score) -> f64 {
        score.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The measurement of one trial.
///
/// ```
/// use autoresearch_core::{Measurement, Score};
/// let mut measurement = Measurement::new(Score::new(0.97).ok_or("not finite")?);
/// measurement.secondary.insert("peak_vram_mb".into(), 41_000.0);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The number that decides.
    pub score: Score,
    /// Other finite numbers worth remembering, by name; they may be limited by a ratchet but do not decide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secondary: BTreeMap<String, f64>,
    /// The score of each item of a shared evaluation set, in the set's order, for rules that compare item by item. Empty for
    /// most metrics. After a discard only the journal has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<f64>,
    /// The machine of the trial, if numbers from different machines do not compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The place that the score was read from, for people: ``line 12: `val_bpb: 0.9979` ``. The journal has it for the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Measurement {
    /// Makes a measurement of a score alone.
    pub fn new(score: Score) -> Measurement {
        Measurement { score, secondary: BTreeMap::new(), items: Vec::new(), machine: None, source: None }
    }
}

/// Reason why a trial has no score. The experiment then counts as crashed.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The trial did not print the metric.
    #[error("the output has no line `{0}: <number>`")]
    Missing(String),
    /// The trial printed numbers, and none under the metric's name.
    #[error("the output has no line `{name}: <number>`; it has: {seen}. Give the name of one of these as the metric's")]
    NotNamed {
        /// The metric's name.
        name: String,
        /// The numbers that were printed, those with the nearest names first, each with its line.
        seen: String,
    },
    /// The trial printed several numbers that may be the metric.
    #[error(
        "the output has several numbers for {name}: {found}. Print it once, or say under [metric] which one counts: `which = \"last\"`, \
         first, min, max, mean or median, or a `pattern` that matches one line alone"
    )]
    Ambiguous {
        /// The metric's name.
        name: String,
        /// The numbers, each with its line.
        found: String,
    },
    /// The text is NaN, infinite, or no number at all.
    #[error("{name} is {value}, which is not a finite number")]
    NotFinite {
        /// The metric's name.
        name: String,
        /// The text that was printed.
        value: String,
    },
    /// The trial completed, but its number violates a constraint of the metric.
    #[error("{0}")]
    Refused(String),
    /// The trial did not complete.
    #[error("the run did not complete: {0}")]
    NotCompleted(String),
}

/// Reads the measurement of a trial.
///
/// # Contract
/// - `read` is pure: the same outcome gives the same measurement.
/// - Only [`Outcome::Completed`] may give a measurement.
/// - All secondary values and items are finite, since the journal can hold no others.
///
/// `testkit::conformance::metric` checks it.
///
/// ```
/// use autoresearch_core::{Direction, Measurement, Metric, MetricError, Outcome, RunLog, Score};
///
/// /// Counts the lines of the output; fewer are better.
/// struct Lines;
///
/// impl Metric for Lines {
///     fn name(&self) -> &str {
///         "lines"
///     }
///
///     fn direction(&self) -> Direction {
///         Direction::Minimise
///     }
///
///     fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError> {
///         let Outcome::Completed(log) = outcome else {
///             return Err(MetricError::NotCompleted(outcome.describe()));
///         };
///         let score = Score::new(log.tail.lines().count() as f64).filter(|score| score.get() > 0.0);
///         Ok(Measurement::new(score.ok_or(MetricError::Missing("lines".into()))?))
///     }
/// }
///
/// let measurement = Lines.read(&Outcome::Completed(RunLog::saying("one\ntwo\n")))?;
/// assert_eq!(measurement.score.get(), 2.0);
/// # Ok::<(), MetricError>(())
/// ```
pub trait Metric: Send + Sync {
    /// The metric's name, as in the output and in `results.tsv`: not empty, on one line.
    fn name(&self) -> &str;

    /// The better direction.
    fn direction(&self) -> Direction;

    /// The unit for reports ("bits per byte", "ms"); empty for none.
    fn unit(&self) -> &str {
        ""
    }

    /// Reads the measurement of a completed trial.
    ///
    /// # Errors
    /// If the trial has no finite number, or one that does not count. The experiment then counts as crashed.
    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_are_scores() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Score::new(value), None, "{value}");
        }
        assert_eq!(Score::new(-0.0).map(|score| score.get().to_bits()), Some(0));
    }
}
