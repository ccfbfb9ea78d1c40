//! The counts, the gain and the times of a run.

use std::fmt::Write as _;
use std::time::Duration;

use autoresearch_core::internal::import::is_imported;
use autoresearch_core::{Experiment, Score, State, Status};

use super::line::duration;
use super::screening::screening;
use crate::text::{count, significant};

/// The scores of the baseline and of the incumbent. As long as the baseline is the incumbent both are the number that it was given
/// as the baseline: its later trials tell of the noise, and of no gain.
pub fn scores(state: &State) -> (Option<Score>, Option<Score>) {
    let baseline = state.experiments.first().and_then(Experiment::score);
    let best = match &state.incumbent {
        Some(incumbent) if incumbent.experiment.is_baseline() => baseline,
        incumbent => incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean()),
    };
    (baseline, best)
}

/// Formats the counts and the gain in one line.
pub fn totals(state: &State) -> String {
    let of = |status| state.experiments.iter().skip(1).filter(|e| e.status == status).count();
    let mut text = format!(
        "{}: {} kept, {} discarded{}, {} crashed; {} rejected",
        count(state.finished(), "experiment"),
        of(Status::Keep),
        of(Status::Discard),
        match state.experiments.iter().filter(|experiment| experiment.failed_guard()).count() {
            0 => String::new(),
            guarded => format!(" ({guarded} of them by a guard)"),
        },
        of(Status::Crash),
        count(state.rejections.len(), "proposal"),
    );
    let metric = state.header.as_ref().map_or("score", |header| header.metric.as_str());
    if let (Some(baseline), Some(incumbent)) = scores(state) {
        let percent = match baseline.get() {
            0.0 => String::new(),
            from => format!(", {:+.2}%", 100.0 * (incumbent.get() - from) / from.abs()),
        };
        let _ = write!(text, "; {metric} {} -> {}{percent}", significant(baseline.get()), significant(incumbent.get()));
    }
    text
}

/// Formats the time of a run and what it was spent on; `None` for an imported run.
pub fn times(state: &State) -> Option<String> {
    if is_imported(state) {
        return None;
    }
    let first = state.experiments.first()?;
    let wall = state.latest.since(first.started);
    let spent = time_spent(state.time_of_trials, state.time_of_builds, state.time_of_evaluations);
    let suspended = match state.suspended {
        Duration::ZERO => String::new(),
        time => format!("; the machine was suspended for {}, which no limit counts", duration(time)),
    };
    Some(format!("{} in all: {spent}{suspended}", duration(wall)))
}

/// Formats what the workers' time was spent on.
pub fn time_spent(trials: Duration, builds: Duration, evaluations: Duration) -> String {
    let evaluated = match evaluations {
        Duration::ZERO => String::new(),
        time => format!(", {} of evaluations", duration(time)),
    };
    format!("{} of trials, {} of builds{evaluated}", duration(trials), duration(builds))
}

/// Formats totals and times, and a few lines on short trials where there were some.
pub fn summary(state: &State) -> String {
    let times = times(state).map_or(String::new(), |times| format!("{times}\n"));
    format!("{}\n{times}{}", totals(state), screening(state))
}

/// Formats a warning where numbers were measured on several machines; empty otherwise.
pub fn machines(state: &State) -> String {
    let measured = state.experiments.iter().flat_map(|experiment| &experiment.arm.measurements);
    let mut machines: Vec<String> = measured.filter_map(|m| m.machine.as_ref()).map(ToString::to_string).collect();
    machines.sort();
    machines.dedup();
    match machines.len() {
        0 | 1 => String::new(),
        count => format!(
            "Measured on {count} machines ({}): decisions compare only numbers from one of them; the baseline and the incumbent \
             may be from two. `autoresearch rerun --baseline` measures both here.\n",
            machines.join("; ")
        ),
    }
}
