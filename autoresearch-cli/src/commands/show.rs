//! `autoresearch show`: everything about one experiment.

use std::fmt::Write as _;
use std::process::ExitCode;

use autoresearch_core::internal::journal::{Record, TrialResult};
use autoresearch_core::{Experiment, Outcome, Score, Side};
use clap::Args;

use super::args::{ReadArgs, ReadRun};
use crate::error::CommandError;
use crate::json::{self, Detail, ExperimentAnswer, ShowAnswer};
use crate::report;
use crate::repository::Repository;
use crate::text::{clean, clean_line, significant, terminal};
use crate::transfer;

/// Show one experiment: its change, its trials, the decision, and the end of its log.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  autoresearch show 12")]
pub struct ShowArgs {
    /// Number of the experiment; 0 is the baseline.
    #[arg(value_name = "N")]
    experiment: u32,
    #[command(flatten)]
    read: ReadArgs,
}

/// Prints an experiment.
pub fn show(repository: &Repository, args: &ShowArgs) -> Result<ExitCode, CommandError> {
    let run = args.read.read(repository)?;
    let made = run.experiment(args.experiment)?;
    let decided = run.state.experiment(made.id).is_some();
    let experiment = if decided { ExperimentAnswer::decided(&run.state, made) } else { ExperimentAnswer::open(made) };
    let detail = detail(repository, &run, made);
    if args.read.json {
        let (metric, direction) = json::header(&run.state);
        let answer = ShowAnswer { version: json::VERSION, tag: run.tag.clone(), metric, direction, experiment, detail };
        json::print(&answer)?;
    } else {
        let line = if decided { report::line(&run.state, made) } else { format!("Experiment {:03} is open", made.id) };
        terminal::out(format!("{line}\n{}", text(&experiment, &detail)));
    }
    Ok(ExitCode::SUCCESS)
}

fn detail(repository: &Repository, run: &ReadRun, made: &Experiment) -> Detail {
    // The state has the logs of the latest experiments alone, the journal those of all.
    let last = run.entries.iter().rev().find_map(|entry| match &entry.record {
        Record::TrialMeasured(TrialResult { experiment, side: Side::Candidate, outcome, .. })
            if *experiment == made.id =>
        {
            Some(outcome)
        }
        _ => None,
    });
    let log = last.map(Outcome::log);
    let transfers = transfer::Record::all(repository, &run.tag);
    Detail {
        hypothesis: made.hypothesis.clone(),
        scores: made.arm.measurements.iter().map(|measurement| measurement.score.get()).collect(),
        audits: made.audit.iter().map(|audit| Score::get(audit.score)).collect(),
        transfers: transfers.iter().filter_map(|record| report::transferred(&run.state, record, made.id)).collect(),
        change: made.change.clone(),
        log: log.and_then(|log| log.path.as_ref()).map(|path| path.display().to_string()),
        tail: log.map_or(String::new(), |log| log.tail.clone()),
    }
}

fn text(experiment: &ExperimentAnswer, detail: &Detail) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name}: {value}");
        }
    };
    let list = |scores: &[f64]| scores.iter().map(|score| significant(*score)).collect::<Vec<_>>().join(" ");
    line("decision", format!("{} {}", experiment.status, parenthesised(&clean_line(&experiment.reason))));
    line("hypothesis", clean(detail.hypothesis.trim()).into_owned());
    line("trials", list(&detail.scores));
    line("audits", list(&detail.audits));
    for transfer in &detail.transfers {
        line("transfer", transfer.clone());
    }
    for (name, value) in &experiment.metrics {
        line(name, significant(*value));
    }
    line("commit", experiment.commit.clone());
    line("parent", experiment.parent.clone().unwrap_or_default());
    line("proposer", experiment.proposer.clone());
    if experiment.calls > 0 || experiment.tokens > 0 {
        let ExperimentAnswer { dollars, calls, tokens, .. } = experiment;
        line("cost", format!("${dollars:.4}, {calls} calls, {tokens} tokens"));
    }
    line("log", detail.log.clone().unwrap_or_default());
    if !detail.tail.trim().is_empty() {
        let _ = write!(text, "\n{}\n", detail.tail.trim_end());
    }
    text
}

fn parenthesised(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!("({reason})") }
}
