//! One experiment in one line.

use std::time::Duration;

use autoresearch_core::internal::import::is_imported;
use autoresearch_core::{Experiment, State, Status};

use crate::text::{clean_line, local_time, signed, significant};

/// Formats one experiment: `Experiment 047 | 03:14; change; before -> after; delta; KEPT`.
pub fn line(state: &State, experiment: &Experiment) -> String {
    join(cells(state, experiment))
}

/// Joins the cells of one experiment to a line.
pub fn join([number, time, change, scores, delta, verdict]: [String; 6]) -> String {
    format!("Experiment {number} | {time}; {change}; {scores}; {delta}; {verdict}")
}

/// The cells of all experiments. The time at which an imported one was made is not known.
pub fn rows(state: &State) -> impl Iterator<Item = [String; 6]> {
    let imported = is_imported(state);
    state.experiments.iter().map(move |experiment| {
        let [number, time, rest @ ..] = cells(state, experiment);
        let [change, scores, delta, verdict] = rest;
        [number, if imported { "--:--".into() } else { time }, change, scores, delta, verdict]
    })
}

/// Number, time, change, scores, difference and verdict of one experiment.
pub fn cells(state: &State, experiment: &Experiment) -> [String; 6] {
    let time = local_time(experiment.finished, "%H:%M");
    let reason = clean_line(&experiment.reason);
    let (mut scores, delta) = match (experiment.before, experiment.score()) {
        (Some(before), Some(after)) => (
            format!("{} -> {}", significant(before.get()), significant(after.get())),
            signed(after.get() - before.get()),
        ),
        (None, Some(after)) => (significant(after.get()), "baseline".into()),
        (_, None) if experiment.status == Status::Discard && experiment.screening.is_some() => {
            (reason.clone(), "short trials only".into())
        }
        (_, None) => (reason.clone(), "no number".into()),
    };
    let verdict = match experiment.status {
        Status::Keep => "KEPT".into(),
        // The number alone would have a reader wonder.
        Status::Discard if !is_imported(state) && gain(state, experiment).is_some_and(|gain| gain > 0.0) => {
            // The rule compares the trials that it asked for, the scores are means of all: two gains that need not agree.
            if let (true, Some(before), Some(after)) =
                (reason.contains("better by"), experiment.before, experiment.score())
            {
                let (before, after) = (significant(before.get()), significant(after.get()));
                scores = format!("incumbent's mean {before} -> candidate's mean {after}");
                format!("discarded (by the trials that the rule compares: {reason})")
            } else {
                format!("discarded ({reason})")
            }
        }
        Status::Discard => "discarded".into(),
        Status::Crash => "CRASHED".into(),
    };
    [format!("{:03}", experiment.id), time, clean_line(&experiment.description), scores, delta, verdict]
}

/// The place that the baseline's number was read from, in one sentence; `None` where it is not known.
pub fn source(state: &State) -> Option<String> {
    let baseline = state.experiments.first().filter(|experiment| experiment.id.is_baseline())?;
    let source = baseline.arm.measurements.iter().find_map(|measurement| measurement.source.as_deref())?;
    Some(format!("{} was read from {}", state.header.as_ref()?.metric, clean_line(source)))
}

/// The origin of the number, in one sentence; `None` where the policy does not tell.
pub fn trust(state: &State) -> Option<&'static str> {
    let policy = &state.header.as_ref()?.policy;
    let has = |name| policy.get(name).is_some_and(|value| !value.is_null());
    let by_clock =
        || ["wall", "cpu"].iter().any(|clock| policy.get("metric.clock").is_some_and(|value| value == clock));
    if has("evaluate.command") {
        Some("An evaluation of the base commit measures it over what each run leaves: no candidate can print it")
    } else if has("metric.quantity") || by_clock() {
        Some("The lab measures it")
    } else if has("run.command") {
        Some("Each candidate prints it itself, and could print another; [evaluate] measures what candidates leave")
    } else {
        None
    }
}

/// The gain of an experiment over the incumbent that it was judged against; positive is better.
pub fn gain(state: &State, experiment: &Experiment) -> Option<f64> {
    let direction = state.header.as_ref()?.direction;
    Some(direction.gain(experiment.before?, experiment.score()?))
}

/// Wall clock from an experiment's staging to its decision.
pub fn took(experiment: &Experiment) -> Duration {
    experiment.finished.since(experiment.started)
}

/// Formats a duration: `7m 05s`, `8h 12m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

/// Escapes a cell of a table.
pub fn escape_cell(cell: &str) -> String {
    clean_line(cell).replace('\\', "\\\\").replace('|', "\\|")
}
