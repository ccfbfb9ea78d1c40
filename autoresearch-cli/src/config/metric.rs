//! `[metric]`: the number that decides, and how it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoresearch_core::internal::metric::{Repeats, units_in_a_second};
use autoresearch_core::{Clock, Statistic, Which};
use autoresearch_core::{Direction, ItemMetric, LogMetric, Metric, Timing};
use autoresearch_metrics::{Format, Quantity, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::{schema, values};

mod source;
mod sources;

pub use source::PartSection;

/// The section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSection {
    /// The name under which the run prints it.
    pub name: String,
    /// The way that is better.
    #[serde(deserialize_with = "direction")]
    #[schemars(with = "schema::Direction")]
    pub direction: Direction,
    /// For people; a clock of the lab's needs it, too.
    #[serde(default)]
    pub unit: String,
    /// The kind of number; `number` by default.
    #[serde(default)]
    pub kind: MetricKind,
    /// The number of several repeats of a run that counts; for `number` only, the median by default.
    #[schemars(with = "Option<schema::Repeats>")]
    pub repeats_of: Option<Repeats>,
    /// The number of the run's output that counts, where it has several: for `number` only, like all up to `parts`.
    #[schemars(with = "Option<schema::Which>")]
    pub which: Option<Which>,
    /// A regular expression with the group `value` around the number.
    pub pattern: Option<String>,
    /// The file that the run writes.
    pub file: Option<String>,
    /// The place in the file.
    pub pointer: Option<String>,
    /// The format of the file; its ending tells it by default.
    #[schemars(with = "Option<schema::Format>")]
    pub format: Option<Format>,
    /// The tool whose results are read.
    #[schemars(with = "Option<schema::Tool>")]
    pub reader: Option<Tool>,
    /// The tool's name of the result.
    pub entry: Option<String>,
    /// A quantity of the run itself.
    #[schemars(with = "Option<schema::Quantity>")]
    pub quantity: Option<Quantity>,
    /// The files that a quantity counts; the editable ones by default.
    #[serde(default)]
    pub files: Vec<String>,
    /// An expression over the parts.
    pub composite: Option<String>,
    /// Further numbers of a run, by their names: secondary metrics, and parts of the composite.
    #[serde(default)]
    pub parts: BTreeMap<String, PartSection>,
    /// The sample of a run that counts: for `timing` only, like all that follows.
    #[schemars(with = "Option<schema::Statistic>")]
    pub statistic: Option<Statistic>,
    /// The clock that measures: the program's or the lab's.
    #[schemars(with = "Option<schema::Clock>")]
    pub clock: Option<Clock>,
    /// The fewest samples of a run.
    #[serde(default, deserialize_with = "samples")]
    #[schemars(range(min = 1, max = 1000))]
    pub samples: Option<u32>,
}

/// The kind of number that a metric is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// One number in the summary block.
    #[default]
    Number,
    /// The mean of a number for each item of an evaluation set.
    Items,
    /// A time.
    Timing,
}

impl MetricKind {
    /// The kind's name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Number => "number",
            MetricKind::Items => "items",
            MetricKind::Timing => "timing",
        }
    }
}

fn samples<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    values::between::<1, 1000, D>(from).map(Some)
}

/// Reads a direction in British or American spelling.
fn direction<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Direction, D::Error> {
    let text = String::deserialize(from)?;
    parse_direction(&text).map_err(|why| serde::de::Error::custom(format!("is '{text}'; {why}")))
}

/// Parses `minimise`, `maximise`, or their American spellings.
pub fn parse_direction(text: &str) -> Result<Direction, String> {
    match text.to_lowercase().as_str() {
        "minimise" | "minimize" => Ok(Direction::Minimise),
        "maximise" | "maximize" => Ok(Direction::Maximise),
        _ => Err("give minimise or maximise".into()),
    }
}

impl MetricSection {
    /// Finds keys that do not go together. `repeats` are those of a run.
    pub fn check(&self, repeats: u32) -> Result<(), KeyError> {
        if self.repeats_of.is_some() && self.kind != MetricKind::Number {
            return Err(KeyError::new("metric.repeats_of", "belongs to kind = 'number'; leave it out"));
        }
        self.check_source(repeats)?;
        if self.repeats_of.is_some() && repeats == 1 {
            return Err(KeyError::new(
                "metric.repeats_of",
                "has nothing to choose from, since [run] repeats is 1; give [run] repeats, or leave it out",
            ));
        }
        let given = [
            ("statistic", self.statistic.is_some()),
            ("clock", self.clock.is_some()),
            ("samples", self.samples.is_some()),
        ];
        if self.kind != MetricKind::Timing {
            return match given.iter().find(|(_, given)| *given) {
                Some((name, _)) => Err(KeyError::new(
                    format!("metric.{name}"),
                    "belongs to kind = 'timing'; leave it out, or give the kind",
                )),
                None => Ok(()),
            };
        }
        if self.direction == Direction::Maximise {
            let why = "is maximise, and a time is better when it is shorter; give direction = 'minimise'";
            return Err(KeyError::new("metric.direction", why));
        }
        if self.clock.unwrap_or_default() != Clock::Printed && units_in_a_second(&self.unit).is_none() {
            let why = format!("is '{}', which the lab's clock does not know; give s, ms, us or ns", self.unit);
            return Err(KeyError::new("metric.unit", why));
        }
        Ok(())
    }

    /// The direction's name in a configuration.
    pub fn direction_name(&self) -> &'static str {
        match self.direction {
            Direction::Minimise => "minimise",
            Direction::Maximise => "maximise",
        }
    }

    /// The statistic's name in a configuration.
    pub fn statistic_name(&self) -> Option<&'static str> {
        self.statistic.map(|statistic| match statistic {
            Statistic::Median => "median",
            Statistic::Minimum => "minimum",
        })
    }

    /// The clock's name in a configuration.
    pub fn clock_name(&self) -> Option<&'static str> {
        self.clock.map(|clock| match clock {
            Clock::Printed => "printed",
            Clock::Wall => "wall",
            Clock::Cpu => "cpu",
        })
    }

    /// The number of several repeats that counts, where there are several.
    pub fn repeats_of(&self, repeats: u32) -> Option<Repeats> {
        let is_printed = self.kind == MetricKind::Number && self.is_printed();
        (is_printed && repeats > 1).then(|| self.repeats_of.unwrap_or(Repeats::Median))
    }

    /// The metric as the lab takes it. `repeats` are those of a run.
    pub fn metric(&self, repeats: u32) -> Result<Arc<dyn Metric>, KeyError> {
        let MetricSection { name, direction, unit, .. } = self;
        Ok(match self.kind {
            MetricKind::Number if !self.is_printed() => Arc::new(self.of_sources()?),
            MetricKind::Number => {
                let mut metric = LogMetric::new(name, *direction).with_unit(unit);
                if let Some(which) = self.which {
                    metric = metric.which(which);
                }
                Arc::new(match self.repeats_of(repeats) {
                    Some(which) => metric.repeats_of(which),
                    None => metric,
                })
            }
            MetricKind::Items => Arc::new(ItemMetric::new(name, *direction).with_unit(unit)),
            MetricKind::Timing => {
                let mut metric = Timing::new(name).with_unit(unit);
                metric = metric.statistic(self.statistic.unwrap_or_default()).clock(self.clock.unwrap_or_default());
                // Without the key the library's own default holds.
                Arc::new(match self.samples {
                    Some(samples) => metric.at_least(samples as usize),
                    None => metric,
                })
            }
        })
    }

    /// Returns whether it is a time: then only trials made in turns may be compared.
    pub fn is_time(&self) -> bool {
        self.kind == MetricKind::Timing
    }
}
