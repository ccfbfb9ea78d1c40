//! The sections of the report on transfers: the keeps under another setting.

use std::fmt::Write as _;

use autoresearch_core::internal::audit;
use autoresearch_core::{Experiment, ExperimentId, Score, State};

use super::line::escape_cell;
use crate::text::{clean_line, count, signed, significant};
use crate::transfer::{Finding, LEVEL, Recheck, Record, Results, Verdict};

/// Formats the sections of all transfers of a run; empty without one.
pub fn transfers(state: &State, records: &[Record]) -> String {
    let sections =
        records.iter().map(|record| format!("\n## Transfer: {}\n\n{}", title(record), section(state, record)));
    sections.collect()
}

/// Formats the findings of one transfer.
pub fn section(state: &State, record: &Record) -> String {
    let (plan, results) = (&record.plan, Results::new(record, &audit::noise(state)));
    let mut text = format!(
        "{}: {} of {} in turns, each round with a seed of its own.\n",
        clean_line(&plan.setting.described()),
        count(results.rounds, "whole round"),
        count(plan.arms.len(), "revision")
    );
    if let Some(baseline) = results.baseline {
        let noise = match results.noise.sigma() {
            Some(0.0) => "; trials of the same revision agree to the last bit".to_owned(),
            Some(sigma) => format!(
                "; within a round one trial of a revision differs from another by {} (standard deviation, from {} differences)",
                significant(sigma),
                results.noise.degrees()
            ),
            None => String::new(),
        };
        let _ = writeln!(text, "The baseline's {} is {}{noise}.", plan.metric, significant(baseline));
    }
    text += "\n| keep | change | gain in the run | gain here | interval | verdict |\n|---|---|---|---|---|---|\n";
    for (recheck, finding) in plan.keeps.iter().zip(&results.keeps) {
        let (id, change) = (recheck.experiment, escape_cell(&description(state, recheck.experiment)));
        let cells = cells(run_gain(state, id), finding);
        let _ = writeln!(text, "| {id:03} | {change} | {cells} |");
    }
    let _ = writeln!(text, "| sum | all keeps | {} |", cells(whole_gain(state), &results.sum));
    let _ = writeln!(text, "\n{}", tally(&results));
    for (recheck, finding) in plan.keeps.iter().zip(&results.keeps) {
        let note = note(recheck, finding);
        if !note.is_empty() {
            let _ = writeln!(text, "- {:03}: {note}.", recheck.experiment);
        }
    }
    match note(&plan.sum, &results.sum) {
        note if note.is_empty() => {}
        note => text += &format!("- sum: {note}.\n"),
    }
    text
}

/// One line on a keep of a transfer; `None` for an experiment that it has not.
pub fn transferred(state: &State, record: &Record, experiment: ExperimentId) -> Option<String> {
    let place = record.plan.keeps.iter().position(|keep| keep.experiment == experiment)?;
    let results = Results::new(record, &audit::noise(state));
    let finding = results.keeps.get(place)?;
    let gain = finding.gain.map_or(String::new(), |gain| format!(", gain {}{}", signed(gain), between(finding)));
    Some(format!("{}: {}{gain}", record.plan.setting.shown(), finding.verdict.name()))
}

/// The gain of a keep in the run, by trials that did not choose it where there are such.
pub fn run_gain(state: &State, experiment: ExperimentId) -> Option<f64> {
    audit::keeps(state).into_iter().find(|keep| keep.experiment.id == experiment).map(|keep| keep.gain)
}

/// The gain of the incumbent over the baseline in the run.
pub fn whole_gain(state: &State) -> Option<f64> {
    let (baseline, incumbent) = (state.experiments.first()?, state.incumbent.as_ref()?);
    let best: Score = state.experiment(incumbent.experiment).and_then(Experiment::score)?;
    Some(state.header.as_ref()?.direction.gain(baseline.score()?, best))
}

/// The description of an experiment in one line; empty if there is none.
pub fn description(state: &State, experiment: ExperimentId) -> String {
    state.experiment(experiment).map_or(String::new(), |made| clean_line(&made.description))
}

/// The setting, short enough for a title.
fn title(record: &Record) -> String {
    clean_line(&record.plan.setting.shown())
}

fn cells(run_gain: Option<f64>, finding: &Finding) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), signed);
    let interval =
        finding.interval.map_or("-".to_owned(), |(low, high)| format!("{} to {}", signed(low), signed(high)));
    format!("{} | {} | {interval} | {}", number(run_gain), number(finding.gain), finding.verdict.name())
}

fn between(finding: &Finding) -> String {
    finding.interval.map_or(String::new(), |(low, high)| format!(" ({} to {})", signed(low), signed(high)))
}

fn note(recheck: &Recheck, finding: &Finding) -> String {
    let failure = finding.failure.as_ref().map(|why| format!("it gives no number: {why}"));
    clean_line(&failure.unwrap_or_else(|| recheck.note.clone()))
}

/// Counts the findings in one sentence, and says what the intervals promise.
fn tally(results: &Results) -> String {
    let number = |verdict| results.keeps.iter().filter(|finding| finding.verdict == verdict).count();
    let others =
        [Verdict::Worse, Verdict::NotShown, Verdict::NoNumber, Verdict::Replaced, Verdict::LeftOut, Verdict::Open];
    let others = others.into_iter().filter(|verdict| number(*verdict) > 0);
    let others: String = others.map(|verdict| format!(", {} {}", number(verdict), verdict.name())).collect();
    let (transferred, all) = (number(Verdict::Transferred), results.keeps.len());
    format!(
        "{transferred} of {all} keeps transferred{others}; the sum: {}. The intervals of the keeps hold together with {:.0} % (Bonferroni), \
         that of the sum with as much.",
        results.sum.verdict.name(),
        100.0 * (1.0 - LEVEL)
    )
}
