//! The report as Markdown.

use std::fmt::Write as _;

use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::Entry;
use autoresearch_core::{Direction, Experiment, State, Status};

use super::designs::designs;
use super::excursions::excursions;
use super::line::{escape_cell, gain, rows, source, trust};
use super::screening::screening;
use super::totals::{machines, times, totals};
use super::{cost, deviations, front, holdout, noise, workers};
use crate::text::{clean, clean_line, local_time, significant};

/// Formats the whole report. `title` is the programme's, `plot` the plot's file name.
pub fn markdown(state: &State, entries: &[Entry], title: &str, plot: &str) -> String {
    let text = sections(state, title, plot) + &workers::markdown(state, entries);
    clean(&text).into_owned()
}

fn sections(state: &State, title: &str, plot: &str) -> String {
    let tag = state.header.as_ref().map_or("", |header| header.tag.as_str());
    let mut text = match title == tag {
        true => format!("# {tag}\n\n"),
        false => format!("# {}: {tag}\n\n", clean_line(title)),
    };
    text.push_str(&origin(state));
    let _ = writeln!(text, "**{}**\n", totals(state));
    if let Some(times) = times(state) {
        let _ = writeln!(text, "{times}.\n");
    }
    match machines(state) {
        machines if machines.is_empty() => {}
        machines => text += &format!("{machines}\n"),
    }
    match holdout::section(state) {
        holdout if holdout.is_empty() => {}
        holdout => text += &format!("## The holdout\n\n{}\n", holdout.replacen("\n-", "\n\n-", 1)),
    }
    let _ = writeln!(text, "![Experiments and the incumbent's score]({plot})\n");

    text.push_str("## Experiments\n\n| experiment | time | change | before -> after | delta | verdict |\n|---|---|---|---|---|---|\n");
    for cells in rows(state) {
        let cells = cells.map(|cell| escape_cell(&cell));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }

    text.push_str(&largest_gains(state));
    let sure = if is_imported(state) { String::new() } else { noise::section(state) };
    if !sure.is_empty() {
        let _ = write!(text, "\n## How sure this is\n\n{sure}");
    }
    let screening = screening(state);
    if !screening.is_empty() {
        let lines: String = screening.lines().map(|line| format!("- {line}.\n")).collect();
        let _ = write!(text, "\n## Screening\n\n{lines}");
    }
    let excursions = excursions(state);
    if !excursions.is_empty() {
        let _ = write!(text, "\n## Excursions\n\n{excursions}");
    }
    let front = front::markdown(state);
    if !front.is_empty() {
        let _ = write!(text, "\n## {}\n\n{front}", front::TITLE);
    }
    let designs = designs(state);
    if !designs.is_empty() {
        let _ = write!(text, "\n## Designs\n\n{designs}");
    }
    text.push_str(&cost::markdown(state));
    let odd = deviations::list(state);
    if !odd.is_empty() {
        let _ = write!(text, "\n## {}\n\n{odd}", deviations::TITLE);
    }
    text.push_str(&failures(state, "Failed guards", Experiment::failed_guard));
    text.push_str(&failures(state, "Crashes", |experiment| experiment.status == Status::Crash));
    if is_imported(state) {
        text.push_str(
            "\n## The code\n\n\
             This run was imported from a table. The scores and the decisions are the table's; nothing was measured or judged \
             again, and this repository need not hold its commits.\n",
        );
        return text;
    }
    let branch = state.header.as_ref().map_or_else(String::new, |header| header.branch());
    let _ = write!(
        text,
        "\n## The code\n\n\
         The kept changes are one commit each: `git log {branch}`. Take them with `git merge {branch}`. \
         Every candidate, kept or not, stays under `refs/autoresearch/{tag}/exp/`.\n"
    );
    text
}

/// The day, the metric and the seed of a run.
fn origin(state: &State) -> String {
    let Some(header) = &state.header else { return String::new() };
    let way = match header.direction {
        Direction::Minimise => "lower is better",
        Direction::Maximise => "higher is better",
    };
    let day = local_time(header.started, "%Y-%m-%d %H:%M");
    let (begun, seed) = match is_imported(state) {
        true => ("Imported", String::new()),
        false => ("Begun", format!(" Seed {}.", header.seed)),
    };
    let source = source(state).map_or(String::new(), |source| format!(" {source}."));
    let isolation = match (&header.enforcement, is_imported(state)) {
        (Some(enforcement), _) => format!("Isolation of candidates: {}.\n\n", clean_line(enforcement)),
        (None, false) if trust(state).is_some() => "No isolation: candidates could do what you may do.\n\n".into(),
        (None, _) => String::new(),
    };
    let trust = trust(state).map_or(String::new(), |trust| format!(" {trust}."));
    format!("{begun} {day}. The metric is `{}`; {way}.{seed}{source}{trust}\n\n{isolation}", header.metric)
}

fn largest_gains(state: &State) -> String {
    let kept = state.experiments.iter().filter(|e| e.status == Status::Keep);
    let mut kept: Vec<(f64, &Experiment)> =
        kept.filter_map(|e| Some((gain(state, e)?, e))).filter(|(gain, _)| *gain > 0.0).collect();
    kept.sort_by(|a, b| b.0.total_cmp(&a.0));
    if kept.is_empty() {
        return String::new();
    }
    let mut text = "\n## The largest gains\n\n".to_owned();
    for (gain, experiment) in kept.iter().take(10) {
        let (gain, change) = (significant(*gain), clean_line(&experiment.description));
        let _ = writeln!(text, "- {gain}: {change} (`{}`)", experiment.revision().short());
    }
    text
}

/// Lists the experiments that `failed` in one way, with their logs.
fn failures(state: &State, title: &str, failed: impl Fn(&Experiment) -> bool) -> String {
    let failed = state.experiments.iter().filter(|experiment| failed(experiment));
    let lines: String = failed
        .map(|experiment| {
            let log = experiment.outcome.as_ref().and_then(|outcome| outcome.log().path.clone());
            let log = log.map_or(String::new(), |path| format!(" (log: {})", path.display()));
            let (change, reason) = (clean_line(&experiment.description), clean_line(&experiment.reason));
            format!("- {:03} {change}: {reason}{log}\n", experiment.id)
        })
        .collect();
    if lines.is_empty() { lines } else { format!("\n## {title}\n\n{lines}") }
}
