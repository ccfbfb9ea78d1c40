//! The metric of a configuration that is drafted: by flags, by the numbers of the first trial, or by a person's answer.

use autoresearch_core::Direction;
use autoresearch_core::internal::metric::{significant, units_in_a_second};
use clap::Args;

use super::draft::{Draft, MetricDraft};
use super::numbers::{Benchmark, Choice, Found, choose, choose_benchmark};
use super::question::ask;
use crate::config::parse_direction;
use crate::error::CommandError;
use crate::text::terminal;

/// The metric as flags name it.
#[derive(Debug, Clone, Default, Args)]
pub struct MetricFlags {
    /// The name of the number; wall for the time that the command takes.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// A regular expression that finds the number: `speed (?<value>[0-9.]+)`.
    #[arg(long, value_name = "REGEX", requires_all = ["metric", "direction"])]
    pattern: Option<String>,
    /// The tool whose output holds the number, which --metric names, as criterion.
    #[arg(long, value_name = "TOOL", requires_all = ["metric", "direction"], conflicts_with = "pattern")]
    reader: Option<String>,
    /// The way that is better: minimise or maximise.
    #[arg(long, value_name = "WAY", value_parser = parse_direction)]
    direction: Option<Direction>,
}

impl MetricFlags {
    /// True if a number is named.
    pub fn is_named(&self) -> bool {
        self.metric.is_some()
    }

    /// Drafts the metric: by these flags, by its name, or by a person's answer. Its direction is never guessed.
    pub fn draft(
        &self,
        draft: &Draft,
        (numbers, results): (&[Found], &[Benchmark]),
        asks: bool,
    ) -> Result<MetricDraft, CommandError> {
        if let (Some(name), true) = (&self.metric, self.pattern.is_some() || self.reader.is_some()) {
            let (pattern, reader) = (self.pattern.clone(), self.reader.clone());
            let name = name.clone();
            return Ok(MetricDraft { name, direction: self.direction, pattern, reader, ..MetricDraft::default() });
        }
        let likely = draft.metric.as_ref().map(|metric| metric.name.as_str());
        let by_tool = |asked: Option<&str>| choose_benchmark(results, asked);
        let choose = |asked: Option<&str>, likely| by_tool(asked).unwrap_or_else(|| choose(numbers, asked, likely));
        let mut choice = choose(self.metric.as_deref(), likely);
        if let Choice::Open(why) = &choice
            && asks
        {
            terminal::out(why);
            let first = results.first().map(|one| &one.name).or(numbers.first().map(|one| &one.name));
            choice = choose(Some(&ask("the name of the metric", first.map_or("wall", String::as_str))?), None);
        }
        let one = match choice {
            Choice::Wall => {
                let (name, origin) = ("seconds".to_owned(), "wall clock of the run".to_owned());
                let direction = Some(Direction::Minimise);
                return Ok(MetricDraft { name, origin, direction, wall: true, ..MetricDraft::default() });
            }
            Choice::Quantity(quantity) => {
                let (name, unit) = (quantity.name().to_owned(), quantity.unit().to_owned());
                let direction = Some(self.direction.unwrap_or(Direction::Minimise));
                let (quantity, origin) = (Some(quantity), "measured by the lab".to_owned());
                return Ok(MetricDraft { name, origin, direction, unit, quantity, ..MetricDraft::default() });
            }
            Choice::Benchmark(Benchmark { tool, name, reading, .. }) => {
                let is_time = units_in_a_second(&reading.unit).is_some();
                let direction = self.direction.or(is_time.then_some(Direction::Minimise));
                let direction = Some(direction.ok_or_else(|| no_direction(&name))?);
                let (reader, origin) = (Some(tool.name().to_owned()), reading.source);
                return Ok(MetricDraft {
                    name,
                    origin,
                    direction,
                    unit: reading.unit,
                    reader,
                    ..MetricDraft::default()
                });
            }
            Choice::Open(why) => return Err(CommandError::Other(why)),
            Choice::Number(one) => one,
        };
        let direction = match (self.direction, one.direction) {
            (Some(direction), _) => direction,
            (None, Some(direction)) => direction,
            (None, None) if asks => {
                let answer = ask(&format!("is {} better when it is lower or higher?", one.name), "lower")?;
                if answer.starts_with(['h', 'H']) { Direction::Maximise } else { Direction::Minimise }
            }
            (None, None) => {
                return Err(no_direction(&one.name));
            }
        };
        let way = if direction == Direction::Minimise { "lower" } else { "higher" };
        let by = if self.direction.is_none() && one.direction.is_some() {
            "; its name says so, --direction says otherwise"
        } else {
            ""
        };
        terminal::out(format_args!("metric: {} = {} ({way} is better{by})", one.name, significant(one.value)));
        let origin = format!("line {}: `{}`", one.number, one.line);
        let direction = Some(direction);
        Ok(MetricDraft { name: one.name, direction, unit: one.unit, origin, ..MetricDraft::default() })
    }
}

fn no_direction(name: &str) -> CommandError {
    CommandError::Other(format!(
        "the name {name} does not tell which way is better; say it: --direction minimise, or --direction maximise"
    ))
}
