//! A metric over the number that a program prints.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::printed::{self, Reading, Which};
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
    /// The statistic's name in a configuration.
    fn name(self) -> &'static str {
        match self {
            Repeats::Median => "median",
            Repeats::Mean => "mean",
            Repeats::Min => "min",
            Repeats::Last => "last",
        }
    }

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
/// The number is read from most forms that programs print: `name = number`, JSON, Python dictionaries, tables, behind a
/// timestamp or a level, with separators of thousands, a unit or a remark behind. The name matches in any case. Lines of the same
/// words are those of a loop, and the last of them counts; where lines of different words have different numbers, the trial has
/// no score until [`LogMetric::which`] says the one that counts.
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
    which: Option<Which>,
}

impl LogMetric {
    /// A metric that reads the line `name: number`, without a unit.
    pub fn new(name: impl Into<String>, direction: Direction) -> LogMetric {
        LogMetric { name: name.into(), direction, unit: String::new(), repeats: None, which: None }
    }

    /// Names the unit for reports. A number that is printed in another unit of its kind, as `s` beside `ms`, is converted to it.
    pub fn with_unit(mut self, unit: impl Into<String>) -> LogMetric {
        self.unit = unit.into();
        self
    }

    /// Sets the number that counts where the output has several of the name.
    ///
    /// ```
    /// use autoresearch_core::{Direction, LogMetric, Metric, Outcome, RunLog, Which};
    /// let log = Outcome::Completed(RunLog::saying("epoch 1: loss: 0.4\nepoch 2: loss: 0.5\nbest loss so far, loss: 0.4\n"));
    /// let metric = LogMetric::new("loss", Direction::Minimise);
    /// assert!(metric.read(&log).is_err());
    /// assert_eq!(metric.which(Which::Min).read(&log)?.score.get(), 0.4);
    /// # Ok::<(), autoresearch_core::MetricError>(())
    /// ```
    pub fn which(mut self, which: Which) -> LogMetric {
        self.which = Some(which);
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
    fn of_repeats(&self, log: &RunLog) -> Result<Reading, MetricError> {
        let values = printed::read_each(&log.tail, &self.name, &self.unit)?;
        let (count, name) = (log.repeats.len(), &self.name);
        let distinct = values.iter().enumerate().filter(|(at, value)| !values[..*at].contains(value)).count();
        let Some(repeats) = self.repeats else {
            return match values.last() {
                None => Err(MetricError::Missing(name.clone())),
                Some(last) if distinct == 1 => Ok(self.statistic(*last, "number", count)),
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
        let value = repeats.of(&values).ok_or_else(|| MetricError::Missing(name.clone()))?;
        Ok(self.statistic(value, repeats.name(), count))
    }

    fn statistic(&self, value: f64, name: &str, count: usize) -> Reading {
        let source = format!("the {name} of {count} repeats with {}", self.name);
        Reading { value, unit: self.unit.clone(), source }
    }

    /// Reads the number of a trial whose command ran once.
    fn of_one(&self, log: &RunLog) -> Result<Reading, MetricError> {
        of_output(log, self.which, |output| match printed::read(output, &self.name, &self.unit, self.which) {
            Err(error @ (MetricError::Missing(_) | MetricError::NotNamed { .. })) => {
                // A text in the place of the number says more than that there is none.
                let block = summary(output);
                let text = block.iter().rfind(|(key, _)| *key == self.name);
                Err(text.map_or(error, |(_, text)| MetricError::NotFinite {
                    name: self.name.clone(),
                    value: (*text).to_owned(),
                }))
            }
            read => read,
        })
    }
}

/// Reads a number from what a command printed: from its end, and from all of it if the end has no such number, or if the number that
/// counts may stand anywhere.
///
/// # Errors
/// Those of `read`. A log keeps the beginning and the end of a very long output: what may stand between them is refused.
pub fn of_output<T>(
    log: &RunLog,
    which: Option<Which>,
    read: impl Fn(&str) -> Result<T, MetricError>,
) -> Result<T, MetricError> {
    let all = || log.path.as_ref().and_then(|path| whole(path, &log.tail));
    let advice = "bytes in the middle of the output were left out of its log; print the number once more at the end, or print less";
    if which.is_some_and(|which| which != Which::Last) {
        let Some(output) = all() else { return read(&log.tail) };
        return match left_out(&output) {
            Some((count, _)) => {
                Err(MetricError::Refused(format!("the number that counts may be missing: {count} {advice}")))
            }
            None => read(&output),
        };
    }
    match read(&log.tail) {
        Err(error @ (MetricError::Missing(_) | MetricError::NotNamed { .. } | MetricError::Refused(_))) => {
            let Some(output) = all() else { return Err(error) };
            // What stands before a gap may be older than what was in it.
            let Some((count, end)) = left_out(&output) else { return read(&output) };
            read(end).map_err(|error| MetricError::Refused(format!("{error}; {count} {advice}")))
        }
        read => read,
    }
}

/// The number of bytes that a log says it has left out, and what follows them.
fn left_out(output: &str) -> Option<(&str, &str)> {
    let gaps = output.match_indices("\n[... ").filter_map(|(at, begin)| {
        let (count, end) = output.get(at + begin.len()..)?.split_once(" bytes left out ...]\n")?;
        (!count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit())).then_some((count, end))
    });
    gaps.last()
}

/// The most of a log that is read beyond its end, in bytes. Executors keep less.
const MOST: u64 = 16 << 20;

/// Reads a log that is longer than its tail, from a file that is there.
fn whole(path: &Path, tail: &str) -> Option<String> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(|found| found.is_file())?.len();
    if length <= tail.len() as u64 {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
        let reading = if log.repeats.len() > 1 { self.of_repeats(log)? } else { self.of_one(log)? };
        let not_finite = || MetricError::NotFinite { name: self.name.clone(), value: reading.value.to_string() };
        let score = Score::new(reading.value).ok_or_else(not_finite)?;
        let secondary = secondary(&summary(&log.tail), &self.name);
        Ok(Measurement { secondary, source: Some(reading.source), ..Measurement::new(score) })
    }
}

/// Iterates over the `key: value` lines after the last line `---`, or of the whole log without one.
pub(crate) fn summary(tail: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = tail.split(['\n', '\r']).map(str::trim).collect();
    let block = lines.iter().rposition(|line| *line == "---").map_or(&lines[..], |at| &lines[at + 1..]);
    block.iter().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim())).collect()
}

/// Collects the numbers of an output's summary block beside the metric `name`: what is remembered as secondary metrics.
pub fn summary_numbers(tail: &str, name: &str) -> BTreeMap<String, f64> {
    secondary(&summary(tail), name)
}

/// Collects the numbers of a summary block beside the metric itself.
pub(crate) fn secondary(block: &[(&str, &str)], name: &str) -> BTreeMap<String, f64> {
    let own = printed::folded_name(name);
    let others = block.iter().filter(|(key, _)| printed::folded_name(key) != own);
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
        assert!(matches!(read("---\nloss: 1\n"), Err(MetricError::NotNamed { .. })));
    }

    #[test]
    fn only_the_last_block_counts() {
        assert!(matches!(read("val_bpb: 0.1\n---\ndepth: 4\n"), Err(MetricError::NotNamed { .. })));
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
