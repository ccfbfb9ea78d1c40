//! The front of a run under a rule for several metrics: the kept experiments that no other one dominates.

use std::fmt::Write as _;

use autoresearch_core::{Comparison, Direction, Experiment, State, Status};

use super::line::escape_cell;
use crate::text::{clean_line, significant};

/// The title of the list.
pub const TITLE: &str = "The front";

/// A member of the front, with its numbers in the order of the columns.
struct Member<'a> {
    experiment: &'a Experiment,
    numbers: Vec<f64>,
}

/// A number that counts: its name and its better direction.
struct Column {
    name: String,
    direction: Direction,
}

/// Lists the front, one line each; empty under other rules.
pub fn list(state: &State) -> String {
    let (columns, members) = front(state);
    let mut text = String::new();
    for Member { experiment, numbers } in &members {
        let each =
            columns.iter().zip(numbers).map(|(column, number)| format!("{} {}", column.name, significant(*number)));
        let each = each.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "- {:03} {}: {each}", experiment.id, clean_line(&experiment.description));
    }
    text
}

/// The front as a table; empty under other rules.
pub fn markdown(state: &State) -> String {
    let (columns, members) = front(state);
    if members.is_empty() {
        return String::new();
    }
    let names: Vec<String> = columns.iter().map(|column| escape_cell(&column.name)).collect();
    let mut text =
        format!("| experiment | change | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for Member { experiment, numbers } in &members {
        let numbers: Vec<String> = numbers.iter().map(|number| significant(*number)).collect();
        let (change, numbers) = (escape_cell(&experiment.description), numbers.join(" | "));
        let _ = writeln!(text, "| {:03} | {change} | {numbers} |", experiment.id);
    }
    text
}

/// Finds the columns and the kept experiments that no other one dominates, in the order of the first column.
fn front(state: &State) -> (Vec<Column>, Vec<Member<'_>>) {
    let Some(header) = state.header.as_ref().filter(|header| header.rule.comparison == Comparison::Front) else {
        return (Vec::new(), Vec::new());
    };
    let kept: Vec<&Experiment> = state.experiments.iter().filter(|one| one.status == Status::Keep).collect();
    let mut columns = vec![Column { name: header.metric.clone(), direction: header.direction }];
    let measured = kept.first().and_then(|first| first.arm.measurements.first());
    for name in measured.into_iter().flat_map(|measurement| measurement.secondary.keys()) {
        let direction = header.policy.get(&format!("ratchet.objectives.{name}.direction"));
        let direction = direction.and_then(|way| crate::config::parse_direction(way.as_str()?).ok());
        columns.extend(direction.map(|direction| Column { name: name.clone(), direction }));
    }
    let numbers = |experiment: &Experiment| {
        let others = columns.iter().skip(1).map(|column| experiment.arm.secondary(&column.name));
        let score = experiment.arm.mean().map(|mean| mean.get());
        [score].into_iter().chain(others).collect::<Option<Vec<f64>>>()
    };
    let all: Vec<Member<'_>> =
        kept.into_iter().filter_map(|experiment| Some(Member { numbers: numbers(experiment)?, experiment })).collect();
    let is_dominated = |one: &Member<'_>| {
        all.iter().any(|other| {
            let gains = columns.iter().zip(other.numbers.iter().zip(&one.numbers)).map(|(column, (other, own))| {
                match column.direction {
                    Direction::Minimise => own - other,
                    Direction::Maximise => other - own,
                }
            });
            let gains: Vec<f64> = gains.collect();
            gains.iter().all(|gain| *gain >= 0.0) && gains.iter().any(|gain| *gain > 0.0)
        })
    };
    let mut members: Vec<Member<'_>> = Vec::new();
    for one in &all {
        if !is_dominated(one) {
            members.push(Member { experiment: one.experiment, numbers: one.numbers.clone() });
        }
    }
    members.sort_by(|a, b| a.numbers.first().partial_cmp(&b.numbers.first()).unwrap_or(std::cmp::Ordering::Equal));
    (columns, members)
}
