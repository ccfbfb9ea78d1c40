//! `[metric]`: the number that decides, and how it is read.

use std::sync::Arc;

use autoresearch_core::metric::{Clock, Statistic};
use autoresearch_core::{Direction, ItemMetric, LogMetric, Metric, Timing};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricConfig {
    pub name: String,
    pub direction: Direction,
    #[serde(default)]
    pub unit: String,
    #[serde(default)]
    pub kind: Kind,
    /// Which sample of a run counts: `timing` only, like all that follows.
    statistic: Option<Statistic>,
    /// Whose clock: the program's or the harness's.
    clock: Option<Clock>,
    /// The fewest samples.
    samples: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One number in the summary block.
    #[default]
    Number,
    /// The mean of a number for each item of an evaluation set.
    Items,
    /// A time.
    Timing,
}

impl MetricConfig {
    /// What is wrong with it, in a sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        let given = [
            ("statistic", self.statistic.is_some()),
            ("clock", self.clock.is_some()),
            ("samples", self.samples.is_some()),
        ];
        if self.kind != Kind::Timing {
            return match given.iter().find(|(_, given)| *given) {
                Some((name, _)) => Err(format!("[metric] {name} belongs to kind = 'timing'")),
                None => Ok(()),
            };
        }
        if self.direction == Direction::Maximise {
            return Err("[metric] a time is better when it is shorter; give direction = 'minimise'".into());
        }
        if let Some(count) = self.samples.filter(|count| !(1..=1000).contains(count)) {
            return Err(format!("[metric] samples is {count}; give a number from 1 to 1000"));
        }
        if self.clock.unwrap_or_default() != Clock::Printed && Timing::scale(&self.unit).is_none() {
            return Err(format!("[metric] the harness's clock has no unit '{}'; give s, ms, us or ns", self.unit));
        }
        Ok(())
    }

    /// The metric.
    pub fn metric(&self) -> Arc<dyn Metric> {
        let MetricConfig { name, direction, unit, .. } = self;
        match self.kind {
            Kind::Number => Arc::new(LogMetric::new(name, *direction).with_unit(unit)),
            Kind::Items => Arc::new(ItemMetric::new(name, *direction).with_unit(unit)),
            Kind::Timing => Arc::new(
                Timing::new(name)
                    .with_unit(unit)
                    .statistic(self.statistic.unwrap_or_default())
                    .clock(self.clock.unwrap_or_default())
                    .at_least(self.samples.unwrap_or(3)),
            ),
        }
    }

    /// Whether it is a time: then only runs made in turns may be compared.
    pub fn is_time(&self) -> bool {
        self.kind == Kind::Timing
    }
}
