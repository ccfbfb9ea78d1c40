//! A metric over the number that a program prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Direction, Measurement, Metric, MetricError, Score};
use crate::sandbox::{Outcome, RunLog};

/// The statistic over the repeats of a trial's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Repeats {
    /// The median (of an even number, the mean of the two in the middle).
    Median,
    /// The mean of all numbers.
    Mean,
    /// The least number, whichever direction is better.
    Min,
    /// The last number.
    Last,
}

impl Repeats {
    /// Computes the statistic of `values`, which are in the order of the repeats.
    fn of(self, values: &[f64]) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = values.len();
        match self {
            Repeats::Median => {
                let (below, above) = (sorted.get(count.checked_sub(1)? / 2)?, sorted.get(count / 2)?);
                Some(below / 2.0 + above / 2.0)
            }
            Repeats::Mean => (count > 0).then(|| values.iter().map(|value| value / count as f64).sum()),
            Repeats::Min => sorted.first().copied(),
            Repeats::Last => values.last().copied(),
        }
    }
}

/// Reads `name: number` from the summary block that a trial prints last.
///
/// The block begins after the last line `---`; without one the whole log counts. All other `key: number` lines of the block
/// become secondary metrics. The candidate writes the log itself: use this metric where candidates are trusted to
/// report honestly.
///
/// A command that is repeated within a trial prints the number several times: [`LogMetric::repeats_of`] sets their
/// statistic. Without one the repeats must print the same number, or the trial has no score.
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
    repeats: Option<Repeats>,
}

impl LogMetric {
    /// A metric that reads the line `name: number`, without a unit.
    pub fn new(name: impl Into<String>, direction: Direction) -> LogMetric {
        LogMetric { name: name.into(), direction, unit: String::new(), repeats: None }
    }

    /// Names the unit for reports.
    pub fn with_unit(mut self, unit: impl Into<String>) -> LogMetric {
        self.unit = unit.into();
        self
    }

    /// Sets the statistic over the repeats of a trial's command. By default the repeats must agree.
    ///
    /// ```
    /// use autoresearch_core::internal::metric::Repeats;
    /// use autoresearch_core::internal::Repeat;
    /// use autoresearch_core::{Direction, LogMetric, Metric, Outcome, RunLog};
    /// let log = RunLog { repeats: vec![Repeat::default(); 3], ..RunLog::saying("ms: 4\nms: 9\nms: 5\n") };
    /// let metric = LogMetric::new("ms", Direction::Minimise);
    /// assert!(metric.read(&Outcome::Completed(log.clone())).is_err());
    /// let measurement = metric.repeats_of(Repeats::Median).read(&Outcome::Completed(log))?;
    /// assert_eq!(measurement.score.get(), 5.0);
    /// # Ok::<(), autoresearch_core::MetricError>(())
    /// ```
    #[doc(hidden)]
    pub fn repeats_of(mut self, repeats: Repeats) -> LogMetric {
        self.repeats = Some(repeats);
        self
    }

    /// Computes the score of a trial whose command was repeated.
    fn of_repeats(&self, log: &RunLog) -> Result<f64, MetricError> {
        let values = self.values(&log.tail)?;
        let (count, name) = (log.repeats.len(), &self.name);
        let distinct = values.iter().enumerate().filter(|(at, value)| !values[..*at].contains(value)).count();
        let Some(repeats) = self.repeats else {
            return match values.last() {
                None => Err(MetricError::Missing(name.clone())),
                Some(last) if distinct == 1 => Ok(*last),
                Some(_) => Err(MetricError::Refused(format!(
                    "the {count} repeats printed {distinct} different numbers for {name}; say which one counts: \
                     repeats_of = \"median\", \"mean\", \"min\" or \"last\""
                ))),
            };
        };
        if values.len() != count {
            return Err(MetricError::Refused(format!(
                "{name} stands {} times in the output of {count} repeats; print it once in each, after a line `---`, and \
                 little enough beside it that the end of the log holds all of them",
                values.len()
            )));
        }
        repeats.of(&values).ok_or_else(|| MetricError::Missing(name.clone()))
    }

    /// Finds the last number of each block that has one; without a line `---`, all numbers.
    fn values(&self, tail: &str) -> Result<Vec<f64>, MetricError> {
        let lines: Vec<&str> = tail.split(['\n', '\r']).map(str::trim).collect();
        let mut blocks: Vec<&[&str]> = lines.split(|line| *line == "---").collect();
        let whole = blocks.len() == 1;
        if !whole {
            // The output of the build stands before the first block.
            blocks.remove(0);
        }
        let named = |line: &&str| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == self.name).then(|| value.trim().to_owned())
        };
        let texts: Vec<String> = match whole {
            true => lines.iter().filter_map(named).collect(),
            false => blocks.iter().filter_map(|block| block.iter().rev().find_map(named)).collect(),
        };
        texts.iter().map(|text| number(&self.name, text).map(Score::get)).collect()
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
        let score = if log.repeats.len() > 1 {
            let value = self.of_repeats(log)?;
            Score::new(value)
                .ok_or_else(|| MetricError::NotFinite { name: self.name.clone(), value: value.to_string() })?
        } else {
            let value = block.iter().rfind(|(key, _)| *key == self.name).map(|(_, value)| *value);
            number(&self.name, value.ok_or_else(|| MetricError::Missing(self.name.clone()))?)?
        };
        Ok(Measurement { secondary: secondary(&block, &self.name), ..Measurement::new(score) })
    }
}

/// Parses a finite number.
fn number(name: &str, text: &str) -> Result<Score, MetricError> {
    let score = text.parse().ok().and_then(Score::new);
    score.ok_or_else(|| MetricError::NotFinite { name: name.to_owned(), value: text.to_owned() })
}

/// Iterates over the `key: value` lines after the last line `---`, or of the whole log without one.
pub(crate) fn summary(tail: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = tail.split(['\n', '\r']).map(str::trim).collect();
    let block = lines.iter().rposition(|line| *line == "---").map_or(&lines[..], |at| &lines[at + 1..]);
    block.iter().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim())).collect()
}

/// Collects the numbers of a summary block beside the metric itself.
pub(crate) fn secondary(block: &[(&str, &str)], name: &str) -> BTreeMap<String, f64> {
    let others = block.iter().filter(|(key, _)| *key != name);
    others
        .filter_map(|(key, value)| Some(((*key).to_owned(), value.parse::<f64>().ok().filter(|v| v.is_finite())?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Repeat;

    fn read(tail: &str) -> Result<Measurement, MetricError> {
        LogMetric::new("val_bpb", Direction::Minimise).read(&Outcome::Completed(RunLog::saying(tail)))
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
    fn a_trial_that_did_not_complete_has_no_score() {
        let outcome = Outcome::TimedOut { log: RunLog::saying("---\nval_bpb: 1\n") };
        assert!(LogMetric::new("val_bpb", Direction::Minimise).read(&outcome).is_err());
    }

    fn repeated(metric: &LogMetric, count: usize, tail: &str) -> Result<f64, String> {
        let log = RunLog { repeats: vec![Repeat::default(); count], ..RunLog::saying(tail) };
        metric.read(&Outcome::Completed(log)).map(|read| read.score.get()).map_err(|error| error.to_string())
    }

    #[test]
    fn several_numbers_of_several_repeats_are_no_score_until_it_is_said_which_one_counts() {
        let metric = LogMetric::new("ms", Direction::Minimise);
        for tail in ["ms: 4\nms: 9\nms: 5\nms: 8\n", "built\n---\nms: 4\n---\nms: 1\nms: 9\n---\nms: 5\n---\nms: 8\n"] {
            let error = repeated(&metric, 4, tail).unwrap_err();
            assert!(error.contains("4 different numbers") && error.contains("repeats_of = \"median\""), "{error}");
            for (repeats, expected) in
                [(Repeats::Median, 6.5), (Repeats::Mean, 6.5), (Repeats::Min, 4.0), (Repeats::Last, 8.0)]
            {
                assert_eq!(repeated(&metric.clone().repeats_of(repeats), 4, tail), Ok(expected), "{repeats:?} {tail}");
            }
        }
        assert_eq!(repeated(&metric, 2, "ms: 4\nms: 4.0\n"), Ok(4.0), "repeats that agree need nothing said");
        assert!(repeated(&metric, 2, "none\n").unwrap_err().contains("no line `ms"));
    }

    #[test]
    fn a_repeat_without_its_number_is_named() {
        let metric = LogMetric::new("ms", Direction::Minimise).repeats_of(Repeats::Median);
        for tail in ["ms: 4\nms: 9\n", "---\nms: 4\n---\nms: 9\n---\ndepth: 3\n"] {
            let error = repeated(&metric, 3, tail).unwrap_err();
            assert!(error.contains("2 times in the output of 3 repeats"), "{error}");
        }
        assert!(repeated(&metric, 2, "ms: 4\nms: NaN\n").unwrap_err().contains("NaN"));
    }
}
