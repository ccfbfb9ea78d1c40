//! The metric over one source, or over several as one number.

use std::collections::BTreeMap;

use autoresearch_core::internal::metric::summary_numbers;
use autoresearch_core::{Direction, Measurement, Metric, MetricError, Outcome, RunLog, Score};

use crate::composite::Composite;
use crate::part::Part;
use crate::reading::Reading;

/// A metric that reads one number from its source, or computes it from several, and others beside it.
///
/// All parts become secondary metrics, which a rule may limit; so do the numbers of the summary block.
///
/// ```
/// use autoresearch_core::{Direction, Metric, Outcome, RunLog};
/// use autoresearch_metrics::{Part, Pattern, SourceMetric};
/// let part = Part::new("loss", Pattern::new(r"^best loss of \d+: (?<value>\S+)")?);
/// let metric = SourceMetric::new("loss", Direction::Minimise, part);
/// let measurement = metric.read(&Outcome::Completed(RunLog::saying("loss: 3\nbest loss of 10: 0.5\n")))?;
/// assert_eq!(measurement.score.get(), 0.5);
/// assert_eq!(measurement.source.as_deref(), Some("line 2: `best loss of 10: 0.5`"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SourceMetric {
    name: String,
    direction: Direction,
    unit: String,
    own: Own,
    parts: BTreeMap<String, Part>,
}

/// The number that decides.
#[derive(Debug, Clone, PartialEq)]
enum Own {
    Part(Part),
    Composite(Composite),
}

impl SourceMetric {
    /// A metric over one source.
    pub fn new(name: impl Into<String>, direction: Direction, part: Part) -> SourceMetric {
        let unit = part.unit().to_owned();
        SourceMetric { name: name.into(), direction, unit, own: Own::Part(part), parts: BTreeMap::new() }
    }

    /// A metric computed from the parts of a composite.
    pub fn composite(
        name: impl Into<String>,
        direction: Direction,
        composite: Composite,
        parts: BTreeMap<String, Part>,
    ) -> SourceMetric {
        SourceMetric { name: name.into(), direction, unit: String::new(), own: Own::Composite(composite), parts }
    }

    /// Names the unit for reports.
    pub fn with_unit(mut self, unit: impl Into<String>) -> SourceMetric {
        self.unit = unit.into();
        self
    }

    /// Adds secondary metrics, which each trial must have.
    pub fn with_parts(mut self, parts: BTreeMap<String, Part>) -> SourceMetric {
        self.parts.extend(parts);
        self
    }

    /// Reads the numbers of all parts by their names.
    fn parts(&self, log: &RunLog) -> Result<BTreeMap<String, Reading>, MetricError> {
        self.parts.iter().map(|(name, part)| Ok((name.clone(), part.reading(log)?))).collect()
    }

    fn own(&self, log: &RunLog, parts: &BTreeMap<String, Reading>) -> Result<Reading, MetricError> {
        match &self.own {
            Own::Part(part) => part.reading(log),
            Own::Composite(composite) => {
                let values = parts.iter().map(|(name, reading)| (name.clone(), reading.value)).collect();
                let value = composite.value(&values).ok_or_else(|| MetricError::Missing(self.name.clone()))?;
                let from = parts.iter().map(|(name, reading)| format!("{name} {} ({})", reading.value, reading.source));
                let from = from.collect::<Vec<_>>().join(", ");
                Ok(Reading::new(value, self.unit.as_str(), format!("{} with {from}", composite.text())))
            }
        }
    }
}

impl Metric for SourceMetric {
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
        let parts = self.parts(log)?;
        let own = self.own(log, &parts)?;
        let not_finite = || MetricError::NotFinite { name: self.name.clone(), value: own.value.to_string() };
        let score = Score::new(own.value).ok_or_else(not_finite)?;
        let mut secondary = summary_numbers(&log.tail, &self.name);
        secondary.extend(parts.into_iter().map(|(name, reading)| (name, reading.value)));
        Ok(Measurement { secondary, source: Some(own.source), ..Measurement::new(score) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Source;

    #[test]
    fn a_composite_reads_all_its_parts() {
        let units = [("loss".to_owned(), String::new()), ("latency".to_owned(), "ms".to_owned())].into();
        let composite = Composite::new("loss + latency/100ms", &units).unwrap();
        let parts = [
            ("loss".to_owned(), Part::new("val_loss", Source::Printed)),
            ("latency".to_owned(), Part::new("latency", Source::Printed).with_unit("ms")),
        ];
        let metric = SourceMetric::composite("cost", Direction::Minimise, composite, parts.into());
        let read = |tail: &str| metric.read(&Outcome::Completed(RunLog::saying(tail)));
        let measurement = read("val_loss: 0.5\nlatency: 0.05 s\n").unwrap();
        assert_eq!(measurement.score.get(), 1.0);
        assert_eq!(measurement.secondary["latency"], 50.0);
        assert!(measurement.source.unwrap().contains("line 2: `latency: 0.05 s`"));
        assert!(read("val_loss: 0.5\n").unwrap_err().to_string().contains("latency"));
        let crashed = Outcome::TimedOut { log: RunLog::saying("val_loss: 0.5\nlatency: 1 ms\n") };
        assert!(metric.read(&crashed).is_err());
    }
}
