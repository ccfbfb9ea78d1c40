//! A metric over a finite evaluation set: the mean of the items' scores, which a rule may compare item by item.

use std::fs::File;
use std::io::Read;

use super::{Direction, ITEMS, MAX_ITEM_BYTES, Measurement, Metric, MetricError, Score, secondary, summary};
use crate::sandbox::Outcome;

/// Reads one number for each item of an evaluation set from the artifact [`ITEMS`]; their mean is the score.
///
/// The trial writes them, always in the same order, into the file that the variable `AUTORESEARCH_ITEMS` names: numbers
/// separated by white space or commas, or a JSON list of numbers. Each must be finite. Other `key: number` lines of the
/// summary block become secondary metrics, as with [`super::LogMetric`].
///
/// ```
/// use autoresearch_core::{Direction, ItemMetric, Metric, Outcome, RunLog};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("items");
/// std::fs::write(&path, "[0.5, 0.25, 0.75, 0.5]")?;
/// let log = RunLog { artifacts: [("items".to_owned(), path)].into(), ..RunLog::default() };
/// let measurement = ItemMetric::new("loss", Direction::Minimise).read(&Outcome::Completed(log))?;
/// assert_eq!((measurement.score.get(), measurement.items.len()), (0.5, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemMetric {
    name: String,
    direction: Direction,
    unit: String,
}

impl ItemMetric {
    /// A metric of this name for the items' mean.
    pub fn new(name: impl Into<String>, direction: Direction) -> ItemMetric {
        ItemMetric { name: name.into(), direction, unit: String::new() }
    }

    /// Names the unit for reports.
    pub fn with_unit(mut self, unit: impl Into<String>) -> ItemMetric {
        self.unit = unit.into();
        self
    }
}

impl Metric for ItemMetric {
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
        let path = log.artifacts.get(ITEMS).ok_or_else(|| {
            MetricError::Refused(
                "the run wrote no scores of items; write one number for each item into the file that AUTORESEARCH_ITEMS names, \
                 64 MiB at most"
                    .into(),
            )
        })?;
        let refused = |e: std::io::Error| MetricError::Refused(format!("reading {}: {e}", path.display()));
        let mut text = String::new();
        File::open(path).map_err(refused)?.take(MAX_ITEM_BYTES).read_to_string(&mut text).map_err(refused)?;
        let items = parse(&text)?;
        let mean = items.iter().sum::<f64>() / items.len() as f64;
        let score = Score::new(mean).ok_or_else(|| MetricError::NotFinite {
            name: format!("the mean of {}", self.name),
            value: mean.to_string(),
        })?;
        let secondary = secondary(&summary(&log.tail), &self.name);
        Ok(Measurement { secondary, items, ..Measurement::new(score) })
    }
}

/// Parses the numbers of a list. The error counts items from 1.
fn parse(text: &str) -> Result<Vec<f64>, MetricError> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let number = |(at, word): (usize, &str)| {
        let value = word.parse::<f64>().ok().filter(|value| value.is_finite());
        let shown = || word.chars().take(40).collect();
        value.ok_or_else(|| MetricError::NotFinite { name: format!("item {}", at + 1), value: shown() })
    };
    let items = words.enumerate().map(number).collect::<Result<Vec<f64>, _>>()?;
    match items.is_empty() {
        true => Err(MetricError::Refused("the run's list of items is empty".into())),
        false => Ok(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::RunLog;

    fn read(text: &str) -> Result<Measurement, MetricError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.items");
        std::fs::write(&path, text).unwrap();
        let artifacts = [(ITEMS.to_owned(), path)].into();
        let log = RunLog { artifacts, tail: "---\nloss: 9\ndepth: 4\n".into(), ..RunLog::default() };
        ItemMetric::new("loss", Direction::Minimise).read(&Outcome::Completed(log))
    }

    #[test]
    fn lists_are_read_in_several_forms() {
        for text in ["1\n2.5\n-2\n", "1 2.5 -2", "[1, 2.5, -2]", "1,2.5,-2\n"] {
            let measurement = read(text).unwrap();
            assert_eq!((measurement.items.as_slice(), measurement.score.get()), (&[1.0, 2.5, -2.0][..], 0.5), "{text}");
            assert_eq!(measurement.secondary, [("depth".to_owned(), 4.0)].into());
        }
    }

    #[test]
    fn what_is_not_finite_or_not_there_is_no_score() {
        for (text, word) in
            [("1 NaN", "item 2"), ("inf", "item 1"), ("[1, null]", "null"), ("", "empty"), ("[]", "empty")]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let metric = ItemMetric::new("loss", Direction::Minimise);
        let error = metric.read(&Outcome::Completed(RunLog::default())).unwrap_err().to_string();
        assert!(error.contains("AUTORESEARCH_ITEMS"), "{error}");
    }
}
