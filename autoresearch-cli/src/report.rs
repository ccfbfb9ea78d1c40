//! The morning report: what was tried, what was kept, and what it cost.

use std::fmt::Write as _;
use std::time::Duration;

use autoresearch_core::import::is_imported;
use autoresearch_core::results::deviations;
use autoresearch_core::{Direction, Experiment, State, Status};
use jiff::tz::TimeZone;

use crate::holdout;

mod cost;
mod designs;
mod excursions;
pub mod noise;
mod screening;
pub mod workers;

use designs::designs;
use excursions::excursions;
use screening::screening;

/// One experiment in one line: `Experiment 047 | 03:14; change; before -> after; delta; KEPT`.
pub fn line(state: &State, experiment: &Experiment) -> String {
    line_of(cells(state, experiment))
}

fn line_of([number, time, change, scores, delta, verdict]: [String; 6]) -> String {
    format!("Experiment {number} | {time}; {change}; {scores}; {delta}; {verdict}")
}

/// The cells of all experiments. When an imported one was made is not known.
fn rows(state: &State) -> impl Iterator<Item = [String; 6]> {
    let imported = is_imported(state);
    state.experiments.iter().map(move |experiment| {
        let [number, time, rest @ ..] = cells(state, experiment);
        let [change, scores, delta, verdict] = rest;
        [number, if imported { "--:--".into() } else { time }, change, scores, delta, verdict]
    })
}

fn cells(state: &State, experiment: &Experiment) -> [String; 6] {
    let time = experiment.finished.to_zoned(TimeZone::system()).strftime("%H:%M").to_string();
    let (scores, delta) = match (experiment.before, experiment.score()) {
        (Some(before), Some(after)) => {
            (format!("{:.6} -> {:.6}", before.get(), after.get()), format!("{:+.6}", after.get() - before.get()))
        }
        (None, Some(after)) => (format!("{:.6}", after.get()), "baseline".into()),
        (_, None) if experiment.status == Status::Discard && experiment.screening.is_some() => {
            (experiment.reason.clone(), "short runs only".into())
        }
        (_, None) => (experiment.reason.clone(), "no number".into()),
    };
    let verdict = match experiment.status {
        Status::Keep => "KEPT".into(),
        // The number alone would have a reader wonder.
        Status::Discard if !is_imported(state) && gain(state, experiment).is_some_and(|(gain, _)| gain > 0.0) => {
            format!("discarded ({})", experiment.reason)
        }
        Status::Discard => "discarded".into(),
        Status::Crash => "CRASHED".into(),
    };
    [format!("{:03}", experiment.id), time, experiment.description.clone(), scores, delta, verdict]
}

/// Wall clock from an experiment's staging to its decision.
pub fn took(experiment: &Experiment) -> Duration {
    Duration::try_from(experiment.finished.duration_since(experiment.started)).unwrap_or_default()
}

/// A duration for people: `7m 05s`, `8h 12m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

/// The counts and the gain, in one line.
pub fn totals(state: &State) -> String {
    let count = |status| state.experiments.iter().skip(1).filter(|e| e.status == status).count();
    let mut text = format!(
        "{} experiments: {} kept, {} discarded, {} crashed; {} proposals refused",
        state.finished(),
        count(Status::Keep),
        count(Status::Discard),
        count(Status::Crash),
        state.rejections.len(),
    );
    let metric = state.header.as_ref().map_or("score", |header| header.metric.as_str());
    let baseline = state.experiments.first().and_then(Experiment::score);
    let best = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
    if let (Some(baseline), Some(best)) = (baseline, best) {
        let percent = match baseline.get() {
            0.0 => String::new(),
            from => format!(", {:+.2}%", 100.0 * (best.get() - from) / from.abs()),
        };
        let _ = write!(text, "; {metric} {:.6} -> {:.6}{percent}", baseline.get(), best.get());
    }
    text
}

/// Where the time of the night went.
fn times(state: &State) -> Option<String> {
    if is_imported(state) {
        return None;
    }
    let first = state.experiments.first()?;
    let last = state.experiments.last()?;
    let wall = Duration::try_from(last.finished.duration_since(first.started)).unwrap_or_default();
    let (runs, builds) = (duration(state.time_of_trials), duration(state.time_of_builds));
    Some(format!("{} in all: {runs} of runs, {builds} of builds", duration(wall)))
}

/// What a night comes to, in two lines; a few more where there were short runs.
pub fn summary(state: &State) -> String {
    let times = times(state).map_or(String::new(), |times| format!("{times}\n"));
    format!("{}\n{times}{}", totals(state), screening(state))
}

/// The report for a terminal.
pub fn terminal(state: &State) -> String {
    let lines: String = rows(state).map(|cells| line_of(cells) + "\n").collect();
    let odd = match deviating(state) {
        list if list.is_empty() => list,
        list => format!("\n{DEVIATIONS}:\n{list}"),
    };
    let away = match excursions(state) {
        list if list.is_empty() => list,
        list => format!("\nExcursions:\n{list}"),
    };
    let sure = if is_imported(state) { String::new() } else { noise::section(state) };
    let sure = if sure.is_empty() { sure } else { format!("\n{sure}") };
    let holdout = match holdout::section(state) {
        text if text.is_empty() => text,
        text => format!("\n{text}"),
    };
    let designed = match designs(state) {
        text if text.is_empty() => text,
        text => format!("\n{text}"),
    };
    format!(
        "{lines}{odd}{away}{sure}{designed}\n{}{}{}{holdout}",
        cost::terminal(state),
        summary(state),
        machines(state)
    )
}

/// Where numbers were measured on several machines, what that means for those above.
fn machines(state: &State) -> String {
    let measured = state.experiments.iter().flat_map(|experiment| &experiment.arm.measurements);
    let mut machines: Vec<String> = measured.filter_map(|m| m.machine.as_ref()).map(ToString::to_string).collect();
    machines.sort();
    machines.dedup();
    match machines.len() {
        0 | 1 => String::new(),
        count => format!(
            "Measured on {count} machines ({}): decisions compare only numbers from one of them; the baseline and the best may \
             be from two. `autoresearch rerun --baseline` measures both here.\n",
            machines.join("; ")
        ),
    }
}

const DEVIATIONS: &str = "Decisions that strict improvement would not have made";

/// These decisions as a list, which is empty for most runs.
fn deviating(state: &State) -> String {
    let mut list = String::new();
    for deviation in deviations(state) {
        let [number, _, change, scores, _, verdict] = cells(state, deviation.experiment);
        let _ = writeln!(list, "- {number} {change}: {scores}, {verdict} ({})", deviation.strict);
    }
    list
}

/// The report as Markdown; `title` is the programme's, `plot` the plot's file name.
pub fn markdown(state: &State, title: &str, plot: &str) -> String {
    let tag = state.header.as_ref().map_or("", |header| header.tag.as_str());
    let mut text = format!("# {title}: {tag}\n\n");
    if let Some(header) = &state.header {
        let way = match header.direction {
            Direction::Minimise => "lower is better",
            Direction::Maximise => "higher is better",
        };
        let day = header.started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
        let (begun, seed) = match is_imported(state) {
            true => ("Imported", String::new()),
            false => ("Begun", format!(" Seed {}.", header.seed)),
        };
        let _ = writeln!(text, "{begun} {day}. The metric is `{}`; {way}.{seed}\n", header.metric);
    }
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
    let _ = writeln!(text, "![Experiments and the best so far]({plot})\n");

    text.push_str("## Experiments\n\n| experiment | time | change | before -> after | delta | verdict |\n|---|---|---|---|---|---|\n");
    for cells in rows(state) {
        let cells = cells.map(|cell| cell.replace('\\', "\\\\").replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }

    let mut kept: Vec<(f64, &Experiment)> = state
        .experiments
        .iter()
        .filter(|e| e.status == Status::Keep)
        .filter_map(|e| gain(state, e))
        .filter(|(gain, _)| *gain > 0.0)
        .collect();
    kept.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !kept.is_empty() {
        text.push_str("\n## The largest gains\n\n");
        for (gain, experiment) in kept.iter().take(10) {
            let _ = writeln!(text, "- {gain:.6}: {} (`{}`)", experiment.description, experiment.revision().short());
        }
    }
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
    let designs = designs(state);
    if !designs.is_empty() {
        let _ = write!(text, "\n## Designs\n\n{designs}");
    }
    text.push_str(&cost::markdown(state));
    let odd = deviating(state);
    if !odd.is_empty() {
        let _ = write!(text, "\n## {DEVIATIONS}\n\n{odd}");
    }
    let crashes: Vec<&Experiment> = state.experiments.iter().filter(|e| e.status == Status::Crash).collect();
    if !crashes.is_empty() {
        text.push_str("\n## Crashes\n\n");
        for experiment in crashes {
            let log = experiment.outcome.as_ref().and_then(|outcome| outcome.log().path.clone());
            let log = log.map_or(String::new(), |path| format!(" (log: {})", path.display()));
            let _ = writeln!(text, "- {:03} {}: {}{log}", experiment.id, experiment.description, experiment.reason);
        }
    }
    if is_imported(state) {
        text.push_str(
            "\n## The code\n\n\
             This run was imported from a table. The scores and the decisions are the table's; nothing was measured or judged \
             again, and this repository need not hold its commits.\n",
        );
        return text;
    }
    let _ = write!(
        text,
        "\n## The code\n\n\
         The kept changes are one commit each: `git log autoresearch/{tag}`. Take them with `git merge autoresearch/{tag}`. \
         Every candidate, kept or not, stays under `refs/autoresearch/{tag}/exp/`.\n"
    );
    text
}

/// By how much an experiment was better than what it replaced.
fn gain<'a>(state: &State, experiment: &'a Experiment) -> Option<(f64, &'a Experiment)> {
    let direction = state.header.as_ref()?.direction;
    Some((direction.gain(experiment.before?, experiment.score()?), experiment))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use autoresearch_core::journal::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
    use autoresearch_core::ratchet::Side;
    use autoresearch_core::{Candidate, Journal, Measurement, Outcome, Revision, RunLog, Score};

    /// A small night: baseline, a keep, a discard, a crash.
    pub fn example() -> State {
        night(&[("baseline", Some(1.5)), ("LR 0.1 -> 0.2", Some(1.4)), ("a | b", Some(1.45)), ("DEPTH 4 -> 40", None)])
    }

    /// A night of these descriptions and scores, under the strict rule.
    pub fn night(experiments: &[(&str, Option<f64>)]) -> State {
        let mut journal = Journal::in_memory();
        let append = |record| journal.append(record).unwrap();
        State::replay(&records(experiments).into_iter().map(append).collect::<Vec<_>>()).unwrap()
    }

    /// The records of such a night.
    pub fn records(experiments: &[(&str, Option<f64>)]) -> Vec<Record> {
        let mut records = vec![];
        let mut add = |record| records.push(record);
        add(Record::Started({
            let mut header = RunHeader::new("test", "val_bpb", Direction::Minimise);
            header.seed = 1;
            header
        }));
        let mut best = f64::INFINITY;
        for (number, (description, score)) in experiments.iter().enumerate() {
            let experiment = number as u32;
            let revision = Revision(format!("{:07x}", 0xabc0000 + number));
            let candidate = Candidate { revision: revision.clone(), fingerprint: revision.0.clone(), added_lines: 0 };
            add(Record::Staged({
                let mut staged = StagedExperiment::new(experiment, None, candidate);
                staged.description = (*description).into();
                staged
            }));
            add(Record::TrialStarted({
                let mut start = TrialStart::new(experiment, 1, Side::Candidate);
                start.seed = 1;
                start
            }));
            let result = score.map(|s| Measurement::new(Score::new(s).unwrap())).ok_or("it crashed".to_owned());
            let keep = score.is_some_and(|s| s < best);
            best = best.min(score.unwrap_or(best));
            add(Record::TrialMeasured(TrialResult::new(
                experiment,
                1,
                Side::Candidate,
                Outcome::Completed(RunLog::default()),
                result,
            )));
            let status = if keep {
                Status::Keep
            } else if score.is_some() {
                Status::Discard
            } else {
                Status::Crash
            };
            let reason = if status == Status::Crash { "ended with exit code 1" } else { "" };
            add(Record::Decided({
                let mut decision = Decision::new(experiment, status);
                decision.reason = reason.into();
                decision.kept_as = keep.then_some(revision);
                decision
            }));
            if keep {
                add(Record::Adopted { experiment });
            }
        }
        records
    }

    #[test]
    fn every_experiment_has_its_line() {
        let lines: Vec<String> = {
            let state = example();
            state.experiments.iter().map(|e| line(&state, e)).collect()
        };
        assert!(
            lines[0].starts_with("Experiment 000 | ") && lines[0].ends_with("; baseline; 1.500000; baseline; KEPT"),
            "{}",
            lines[0]
        );
        assert!(lines[1].ends_with("; LR 0.1 -> 0.2; 1.500000 -> 1.400000; -0.100000; KEPT"), "{}", lines[1]);
        assert!(lines[2].ends_with("; a | b; 1.400000 -> 1.450000; +0.050000; discarded"), "{}", lines[2]);
        assert!(lines[3].ends_with("; DEPTH 4 -> 40; ended with exit code 1; no number; CRASHED"), "{}", lines[3]);
    }

    #[test]
    fn the_report_counts_and_escapes() {
        let text = markdown(&example(), "Lower val_bpb", "progress.svg");
        assert!(text.contains("3 experiments: 1 kept, 1 discarded, 1 crashed; 0 proposals refused; val_bpb 1.500000 -> 1.400000, -6.67%"), "{text}");
        assert!(text.contains("| a \\| b |"), "{text}");
        assert!(text.contains("- 003 DEPTH 4 -> 40: ended with exit code 1"), "{text}");
        assert!(terminal(&State::default()).contains("0 experiments"));
    }

    #[test]
    fn a_decision_against_strict_improvement_is_named() {
        assert!(!markdown(&example(), "t", "p").contains(DEVIATIONS) && !terminal(&example()).contains(DEVIATIONS));
        let table =
            "a\t1.5\t1\tkeep\tbaseline\nb\t1.6\t1\tkeep\tsimpler\nc\t1.2\t1\tkeep\twider\nd\t1.1\t1\tdiscard\tugly\n";
        let mut journal = Journal::in_memory();
        let records = autoresearch_core::import::parse(table, None).records("t", Direction::Minimise);
        let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
        let state = State::replay(&entries).unwrap();
        let list = "- 001 simpler: 1.500000 -> 1.600000, KEPT (worse by 0.100000)\n\
                    - 003 ugly: 1.200000 -> 1.100000, discarded (better by 0.100000)\n";
        for text in [markdown(&state, "t", "p"), terminal(&state)] {
            assert!(text.contains(DEVIATIONS) && text.contains(list), "{text}");
            assert!(
                !text.contains("in all:") && !text.contains("git log"),
                "nothing is said that is not known: {text}"
            );
        }
        let text = markdown(&state, "t", "p");
        assert!(text.contains("- 0.400000: wider") && !text.contains("0.100000: simpler"), "a loss is no gain: {text}");
    }

    #[test]
    fn durations_are_short() {
        let text = [5, 65, 3600 * 8 + 12 * 60].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(text, ["5s", "1m 05s", "8h 12m"]);
    }
}
