//! The one number of a name, among all that an output has of it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::entry::Printed;
use super::lines::{Line, lines};
use super::{label, of_lines, units};
use crate::metric::MetricError;

/// The number that counts, where an output has several of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Which {
    /// The last one.
    Last,
    /// The first one.
    First,
    /// The least one.
    Min,
    /// The greatest one.
    Max,
    /// The mean of all.
    Mean,
    /// The median of all.
    Median,
    /// The only one: several different ones are an error.
    Only,
}

/// A number that was read, and its source.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The number, in the unit asked for.
    pub value: f64,
    /// The unit, as printed or as asked for; empty for none.
    pub unit: String,
    /// The source, for a person: ``line 12: `score: 0.5` ``.
    pub source: String,
}

/// Most candidates that an error lists.
const LISTED: usize = 8;

/// Reads the number `name` from an output.
///
/// Names match in any case, with `-`, `_` or a space between their words. Lines of the same words are those of a loop, and the last
/// of them counts. Where lines of different words have different numbers, `which` must say the one that counts.
///
/// With a `unit`, a number printed in another unit of its kind is converted. Without one, a unit that programs choose by the
/// size of the number, such as `ms` beside `s`, is an error.
///
/// # Errors
/// If there is no such number, if there are several, or if it is not finite. The error lists the candidates.
pub fn read(output: &str, name: &str, unit: &str, which: Option<Which>) -> Result<Reading, MetricError> {
    let lines = lines(output);
    let found = named(&lines, name);
    choose(&found, name, unit, which).unwrap_or_else(|| Err(missing(name, &of_lines(&lines, |_| true))))
}

/// Reads the number `name` of each part of an output that begins after a line `---`, or all that there are without such a line.
pub(in crate::metric) fn read_each(output: &str, name: &str, unit: &str) -> Result<Vec<f64>, MetricError> {
    let lines = lines(output);
    let mut blocks: Vec<&[Line]> = lines.split(|line| line.text == BLOCK).collect();
    if blocks.len() > 1 {
        // The output of the build stands before the first block.
        blocks.remove(0);
        let of_block = |block: &&[Line]| choose(&named(block, name), name, unit, None);
        return blocks.iter().filter_map(of_block).map(|reading| Ok(reading?.value)).collect();
    }
    let found = named(&lines, name);
    let counted = counted(&found);
    distinct_shapes(&counted, name, unit)?;
    counted.iter().map(|printed| in_unit(printed, name, unit)).collect()
}

/// The line before a summary.
const BLOCK: &str = "---";

/// The numbers of a name after the last line `---`, or in the whole output without one.
fn named(lines: &[Line], name: &str) -> Vec<Printed> {
    let block = lines.iter().rposition(|line| line.text == BLOCK).map_or(lines, |at| &lines[at + 1..]);
    let folded = label::folded(name);
    let mut parts = folded.split('_').filter(|part| !part.is_empty());
    // The longest part is a cheap sieve: most lines do not have it. A key of a heading, or a column, stands elsewhere.
    let sieve = parts.by_ref().max_by_key(|part| part.len()).unwrap_or_default().to_owned();
    let sieve = sieve.rsplit(['.', '/']).next().unwrap_or_default().to_owned();
    let found = of_lines(block, |line| line.to_lowercase().contains(&sieve));
    found.into_iter().filter(|printed| printed.is_named(&folded)).collect()
}

/// The candidates that count: what a progress bar overwrote only where there is nothing else.
fn counted(found: &[Printed]) -> Vec<&Printed> {
    let lasting: Vec<&Printed> = found.iter().filter(|printed| !printed.overwritten).collect();
    if lasting.is_empty() { found.iter().collect() } else { lasting }
}

/// Chooses among the candidates. `None` without one.
fn choose(found: &[Printed], name: &str, unit: &str, which: Option<Which>) -> Option<Result<Reading, MetricError>> {
    let counted = counted(found);
    let last = counted.last()?;
    Some(match which {
        Some(which) => one_of(&counted, name, unit, which),
        None => distinct_shapes(&counted, name, unit)
            .and_then(|exact| reading(exact.unwrap_or(last), name, unit, counted.len())),
    })
}

/// Finds the number on which the last lines of all shapes agree. An error if they do not.
fn distinct_shapes<'a>(counted: &[&'a Printed], name: &str, unit: &str) -> Result<Option<&'a Printed>, MetricError> {
    let mut last_of: Vec<&Printed> = Vec::new();
    for printed in counted {
        match last_of.iter_mut().find(|other| other.shape == printed.shape && other.place != printed.place) {
            Some(other) => *other = printed,
            None => last_of.push(printed),
        }
    }
    let [first, others @ ..] = last_of.as_slice() else { return Ok(None) };
    // The longest text is the most exact one: 0.4213 beside 0.42.
    let exact = others.iter().fold(*first, |exact, next| if next.text.len() > exact.text.len() { next } else { exact });
    for other in &last_of {
        if !std::ptr::eq(*other, exact) && !agrees(other, exact, name, unit) {
            return Err(MetricError::Ambiguous { name: name.to_owned(), found: list(&last_of) });
        }
    }
    Ok(Some(exact))
}

/// True if a number is the other one, or the other one rounded to its digits.
fn agrees(printed: &Printed, exact: &Printed, name: &str, unit: &str) -> bool {
    match (in_unit(printed, name, unit), in_unit(exact, name, unit)) {
        (Ok(one), Ok(other)) if one == other => true,
        (Ok(_), Ok(other)) if printed.unit == exact.unit => {
            let plain = printed.text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
            let decimals = printed.text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            plain && decimals > 0 && format!("{other:.decimals$}") == printed.text
        }
        _ => false,
    }
}

/// Applies the choice of the user.
fn one_of(counted: &[&Printed], name: &str, unit: &str, which: Which) -> Result<Reading, MetricError> {
    let numbers = || counted.iter().map(|printed| Ok((in_unit(printed, name, unit)?, *printed)));
    let all = numbers().collect::<Result<Vec<(f64, &Printed)>, MetricError>>();
    let of = |printed: Option<&&Printed>| {
        reading(printed.ok_or_else(|| MetricError::Missing(name.to_owned()))?, name, unit, 1)
    };
    let computed = |value: f64, what: &str| Reading {
        value,
        unit: unit.to_owned(),
        source: format!("the {what} of {} lines with {name}", counted.len()),
    };
    match which {
        Which::Last => of(counted.last()),
        Which::First => of(counted.first()),
        Which::Min => of(all?.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|pair| &pair.1)),
        Which::Max => of(all?.iter().max_by(|a, b| a.0.total_cmp(&b.0)).map(|pair| &pair.1)),
        Which::Only => {
            let all = all?;
            match all.first() {
                Some((first, _)) if all.iter().all(|(value, _)| value == first) => of(counted.last()),
                _ => Err(MetricError::Ambiguous { name: name.to_owned(), found: list(counted) }),
            }
        }
        Which::Mean => {
            let all = all?;
            Ok(computed(all.iter().map(|(value, _)| value / all.len() as f64).sum(), "mean"))
        }
        Which::Median => {
            let mut values: Vec<f64> = all?.iter().map(|(value, _)| *value).collect();
            values.sort_by(f64::total_cmp);
            let middle = |at: usize| values.get(at).copied().unwrap_or_default();
            Ok(computed(middle((values.len() - 1) / 2) / 2.0 + middle(values.len() / 2) / 2.0, "median"))
        }
    }
}

fn reading(printed: &Printed, name: &str, unit: &str, count: usize) -> Result<Reading, MetricError> {
    let value = in_unit(printed, name, unit)?;
    let of = if count > 1 { format!(", the last of {count} lines") } else { String::new() };
    let unit = if unit.is_empty() { printed.unit.clone() } else { unit.to_owned() };
    Ok(Reading { value, unit, source: format!("line {}: `{}`{of}", printed.line, printed.shown) })
}

/// The number in the unit asked for.
fn in_unit(printed: &Printed, name: &str, unit: &str) -> Result<f64, MetricError> {
    let value = match &printed.value {
        Ok(value) => *value,
        Err(why) if why == "is not a finite number" => {
            return Err(MetricError::NotFinite { name: name.to_owned(), value: printed.text.clone() });
        }
        Err(why) => {
            return Err(MetricError::Refused(format!(
                "{name} is printed as `{}` in line {}, which {why}: `{}`",
                printed.text, printed.line, printed.shown
            )));
        }
    };
    let refused =
        |what: String| Err(MetricError::Refused(format!("{what} (line {}: `{}`)", printed.line, printed.shown)));
    match (unit.is_empty(), printed.unit.is_empty()) {
        (_, true) => Ok(value),
        (true, false) if units::varies(&printed.unit) => refused(format!(
            "{name} is printed in {0}, and programs change that unit with the size of the number; write `unit = \"{0}\"` under \
             [metric], and numbers in other units are converted",
            printed.unit
        )),
        (true, false) => Ok(value),
        (false, false) => match units::convert(value, &printed.unit, unit) {
            Some(value) => Ok(value),
            // Neither is known to be another kind of unit than the other: `pts` beside `points`.
            None if !units::varies(&printed.unit) || !units::is_known(unit) => Ok(value),
            None => refused(format!(
                "{name} is printed in {}, which is not converted to the unit `{unit}` of [metric]; correct the unit",
                printed.unit
            )),
        },
    }
}

/// Names that are compared with the missing one, the latest of them: a program may print millions.
const COMPARED: usize = 4096;

/// The error about a name that no line has, with the numbers that there are, those with the nearest names first.
fn missing(name: &str, seen: &[Printed]) -> MetricError {
    let mut known = HashSet::new();
    let mut latest: Vec<&Printed> =
        seen.iter().rev().filter(|printed| known.insert(printed.names.first())).take(COMPARED).collect();
    if latest.is_empty() {
        return MetricError::Missing(name.to_owned());
    }
    let folded = label::folded(name);
    latest.sort_by_key(|printed| {
        printed.names.first().map_or(usize::MAX, |name| distance(&folded, &label::folded(name)))
    });
    let more = latest.len().saturating_sub(LISTED);
    latest.truncate(LISTED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    MetricError::NotNamed { name: name.to_owned(), seen: list(&latest) + &more }
}

fn list(printed: &[&Printed]) -> String {
    let shown = printed.iter().take(LISTED).map(|one| {
        let unit = if one.unit.is_empty() { String::new() } else { format!(" {}", one.unit) };
        format!(
            "{} {}{unit} (line {}: `{}`)",
            one.names.first().map_or("", String::as_str),
            one.text,
            one.line,
            one.shown
        )
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// How unlike two names are: 0 for one that is part of the other, then by the words that they share.
fn distance(wanted: &str, name: &str) -> usize {
    if name.contains(wanted) || wanted.contains(name) {
        return name.len().abs_diff(wanted.len());
    }
    let parts = |text: &str| text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
    let of_wanted = parts(wanted);
    let shared = parts(name).iter().filter(|part| of_wanted.contains(part)).count();
    let begins = wanted.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
    1000usize.saturating_sub(100 * shared + begins)
}
