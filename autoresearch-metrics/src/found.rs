//! The numbers that a finished run printed: what a metric may be chosen from.

use autoresearch_core::Direction;
use autoresearch_core::internal::metric::{Printed, folded_name, printed, read};

use crate::direction::suggested_direction;

/// A number in the output of a run, which a metric of this name would read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The name, as printed: what `[metric] name` says.
    pub name: String,
    /// The number that counts.
    pub value: f64,
    /// The unit behind it: what `[metric] unit` says. Empty for none.
    pub unit: String,
    /// The line that it was read from, cleaned and cut.
    pub line: String,
    /// Number of that line, from 1.
    pub number: usize,
    /// Lines that have the name: several for a loop.
    pub times: usize,
    /// The better direction that the name suggests. It is for a person to confirm.
    pub direction: Option<Direction>,
}

/// Most names that are looked at: an output with more has no summary.
const MOST: usize = 300;
/// Names of what counts the work of a program, or of what it is set to.
const COUNTS: [&str; 22] = [
    "epoch",
    "epochs",
    "step",
    "steps",
    "iter",
    "iteration",
    "batch",
    "lr",
    "learning_rate",
    "seed",
    "port",
    "pid",
    "version",
    "num_params",
    "params",
    "batch_size",
    "depth",
    "rank",
    "eta",
    "global_step",
    "runtime",
    "v_num",
];

/// Lists the numbers that `output` has under a name, the likeliest metrics first: names with a known direction, then those of
/// later lines, and at last what only counts, as `epoch` does.
///
/// A name that cannot be read without doubt, as it stands in lines of different words with different numbers, is left out.
///
/// ```
/// let found = autoresearch_metrics::found("step 1 loss: 2.0\nstep 2 loss: 1.5\n---\nval_bpb: 0.9979\ndepth: 4\n");
/// assert_eq!((found[0].name.as_str(), found[0].value, found[0].line.as_str()), ("val_bpb", 0.9979, "val_bpb: 0.9979"));
/// assert_eq!(found[0].direction, Some(autoresearch_core::Direction::Minimise));
/// ```
pub fn found(output: &str) -> Vec<Found> {
    let all = printed(output);
    let mut names: Vec<(&Printed, usize)> = Vec::new();
    for one in &all {
        let Some(name) = one.names.first() else { continue };
        let folded = folded_name(name);
        let is_known = |other: &Printed| other.names.first().is_some_and(|other| folded_name(other) == folded);
        match names.iter().position(|(other, _)| is_known(other)) {
            Some(at) => names[at] = (one, names[at].1 + 1),
            None if names.len() < MOST => names.push((one, 1)),
            None => {}
        }
    }
    let mut found: Vec<Found> =
        names.into_iter().filter_map(|(latest, times)| readable(output, &all, latest, times)).collect();
    found.sort_by_key(|one| (is_count(&one.name), one.direction.is_none(), std::cmp::Reverse(one.number)));
    found
}

/// The number that a metric of this name reads, if there is one without doubt.
fn readable(output: &str, all: &[Printed], latest: &Printed, times: usize) -> Option<Found> {
    let name = latest.names.first()?;
    let reading = read(output, name, &latest.unit, None).ok()?;
    let folded = folded_name(name);
    let same =
        |one: &&Printed| one.value == Ok(reading.value) && one.names.iter().any(|name| folded_name(name) == folded);
    let from = all.iter().rfind(same).unwrap_or(latest);
    Some(Found {
        name: name.clone(),
        value: reading.value,
        unit: reading.unit.clone(),
        line: from.shown.clone(),
        number: from.line,
        times,
        direction: suggested_direction(name, &reading.unit),
    })
}

fn is_count(name: &str) -> bool {
    let folded = folded_name(name);
    COUNTS.contains(&folded.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_metric_comes_first_and_what_is_in_doubt_is_left_out() {
        let found = found(
            "epoch 1: train: loss=0.9 lr=0.1\nepoch 1: val: loss=0.5 accuracy=81.5%\nepoch 2: train: loss=0.8 lr=0.1\n\
             epoch 2: val: loss=0.4 accuracy=85.0%\ntime: 1.5 s\n",
        );
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names[..2], ["time", "accuracy"], "{found:?}");
        assert!(!names.contains(&"loss"), "of train or of val? {found:?}");
        let accuracy = &found[1];
        assert_eq!((accuracy.value, accuracy.unit.as_str(), accuracy.times, accuracy.number), (85.0, "%", 2, 4));
        assert_eq!(accuracy.direction, Some(Direction::Maximise));
        assert_eq!(found.iter().find(|one| one.name == "lr").map(|one| one.direction), Some(None));
    }
}
