//! The one number that decides, read from what a run left behind.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::machine::MachineId;
use crate::sandbox::Outcome;

mod items;
mod timing;

#[cfg(feature = "command")]
pub(crate) use items::MAX_ITEM_BYTES;
pub use items::{ITEMS, ItemMetric};
pub use timing::{Clock, Statistic, Timing};

/// Which way is better.
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
    /// 1 where higher is better, -1 where lower is.
    pub(crate) fn sign(self) -> f64 {
        match self {
            Direction::Minimise => -1.0,
            Direction::Maximise => 1.0,
        }
    }

    /// By how much `candidate` is better than `incumbent`, in the metric's unit: positive is better.
    pub fn gain(self, incumbent: Score, candidate: Score) -> f64 {
        match self {
            Direction::Minimise => incumbent.0 - candidate.0,
            Direction::Maximise => candidate.0 - incumbent.0,
        }
    }
}

/// A finite number: NaN and infinities cannot be made into one, so they can never be kept.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Score(f64);

impl Score {
    /// `None` for NaN and infinities. Negative zero becomes zero, so that equal scores are equal bit for bit.
    pub fn new(value: f64) -> Option<Score> {
        value.is_finite().then_some(Score(value + 0.0))
    }

    /// The number.
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

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The number that decides.
    pub score: Score,
    /// Other numbers worth remembering, by name; they may be limited by a ratchet but do not decide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secondary: BTreeMap<String, f64>,
    /// The score of each item of a shared evaluation set, in the set's order, for rules that compare item by item. Empty for
    /// most metrics, and forgotten in memory once the experiment is discarded; the journal has them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<f64>,
    /// Where it was measured, if numbers from different machines do not compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
}

impl Measurement {
    /// A score and nothing else.
    pub fn new(score: Score) -> Measurement {
        Measurement { score, secondary: BTreeMap::new(), items: Vec::new(), machine: None }
    }
}

/// Why a completed run has no score. The experiment counts as crashed.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The run printed no such number.
    #[error("the output has no line `{0}: <number>`")]
    Missing(String),
    /// The number is NaN or infinite, or is no number at all.
    #[error("{name} is {value}, which is not a finite number")]
    NotFinite {
        /// The metric's name.
        name: String,
        /// What stood in its place.
        value: String,
    },
    /// The run completed, and its number does not count: a constraint of the metric's own is violated.
    #[error("{0}")]
    Refused(String),
    /// The run did not complete.
    #[error("the run did not complete: {0}")]
    NotCompleted(String),
}

/// Reads the number of a run.
///
/// # Contract
/// `read` is pure: the same outcome gives the same measurement. Only [`Outcome::Completed`] may give one.
pub trait Metric: Send + Sync {
    /// The metric's name, as in the output and in `results.tsv`.
    fn name(&self) -> &str;

    /// Which way is better.
    fn direction(&self) -> Direction;

    /// The unit for reports ("bits per byte", "ms"); empty for none.
    fn unit(&self) -> &str {
        ""
    }

    /// Reads the number.
    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError>;
}

/// Reads `name: number` from the summary block that a run prints last.
///
/// The block begins after the last line `---`; without one the whole log counts. All other `key: number` lines of the block
/// become secondary metrics. The log is the candidate's own word: use it where candidates are trusted to report honestly.
///
/// ```
/// use autoresearch_core::{Direction, LogMetric, Metric, Outcome, RunLog};
/// let metric = LogMetric::new("val_bpb", Direction::Minimise);
/// let log = RunLog { tail: "step 1\n---\nval_bpb:   1.25\ndepth: 4\n".into(), ..RunLog::default() };
/// let measurement = metric.read(&Outcome::Completed(log))?;
/// assert_eq!(measurement.score.get(), 1.25);
/// assert_eq!(measurement.secondary["depth"], 4.0);
/// # Ok::<(), autoresearch_core::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMetric {
    name: String,
    direction: Direction,
    unit: String,
}

impl LogMetric {
    /// A metric that reads the line `name: number`.
    pub fn new(name: impl Into<String>, direction: Direction) -> LogMetric {
        LogMetric { name: name.into(), direction, unit: String::new() }
    }

    /// Names the unit for reports.
    pub fn with_unit(mut self, unit: impl Into<String>) -> LogMetric {
        self.unit = unit.into();
        self
    }
}

impl Metric for LogMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn unit(&self) -> &str {
        &self.unit
    }

    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError> {
        let Outcome::Completed(log) = outcome else {
            return Err(MetricError::NotCompleted(outcome.describe()));
        };
        let block = summary(&log.tail);
        let value = block.iter().rfind(|(key, _)| *key == self.name).map(|(_, value)| *value);
        let value = value.ok_or_else(|| MetricError::Missing(self.name.clone()))?;
        let score = value.parse().ok().and_then(Score::new);
        let score = score.ok_or_else(|| MetricError::NotFinite { name: self.name.clone(), value: value.to_owned() })?;
        Ok(Measurement { secondary: secondary(&block, &self.name), ..Measurement::new(score) })
    }
}

/// The `key: value` lines after the last line `---`, or of the whole log without one.
fn summary(tail: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = tail.split(['\n', '\r']).map(str::trim).collect();
    let block = lines.iter().rposition(|line| *line == "---").map_or(&lines[..], |at| &lines[at + 1..]);
    block.iter().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim())).collect()
}

/// The numbers of a summary block beside the metric itself.
fn secondary(block: &[(&str, &str)], name: &str) -> BTreeMap<String, f64> {
    let others = block.iter().filter(|(key, _)| *key != name);
    others
        .filter_map(|(key, value)| Some(((*key).to_owned(), value.parse::<f64>().ok().filter(|v| v.is_finite())?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::RunLog;

    fn read(tail: &str) -> Result<Measurement, MetricError> {
        let log = RunLog { tail: tail.into(), ..RunLog::default() };
        LogMetric::new("val_bpb", Direction::Minimise).read(&Outcome::Completed(log))
    }

    #[test]
    fn what_is_not_a_finite_number_is_no_score() {
        for value in ["NaN", "inf", "-inf", "1e999", "soon", ""] {
            assert!(matches!(read(&format!("---\nval_bpb: {value}\n")), Err(MetricError::NotFinite { .. })), "{value}");
        }
        assert!(matches!(read("---\nloss: 1\n"), Err(MetricError::Missing(_))));
    }

    #[test]
    fn only_the_last_block_counts() {
        assert!(matches!(read("val_bpb: 0.1\n---\ndepth: 4\n"), Err(MetricError::Missing(_))));
        assert_eq!(read("---\nval_bpb: 0.1\n---\nval_bpb: 2\n").unwrap().score.get(), 2.0);
    }

    #[test]
    fn a_run_that_did_not_complete_has_no_score() {
        let outcome = Outcome::TimedOut { log: RunLog { tail: "---\nval_bpb: 1\n".into(), ..RunLog::default() } };
        assert!(LogMetric::new("val_bpb", Direction::Minimise).read(&outcome).is_err());
    }
}
