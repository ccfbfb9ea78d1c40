//! `autoresearch best`: the best of a run so far.

use std::process::ExitCode;

use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::RunHeader;
use autoresearch_core::{Score, Status};
use clap::Args;

use super::args::ReadArgs;
use crate::error::CommandError;
use crate::json::{self, BestAnswer, ExperimentAnswer};
use crate::report;
use crate::repository::Repository;
use crate::text::{significant, terminal};

/// Show the best of a run so far, and what it gained over the baseline.
#[derive(Debug, Args)]
#[command(after_help = "`autoresearch apply` takes it over.\n\nExample:\n  autoresearch best --json")]
pub struct BestArgs {
    #[command(flatten)]
    read: ReadArgs,
}

/// Prints the incumbent.
pub fn best(repository: &Repository, args: &BestArgs) -> Result<ExitCode, CommandError> {
    let run = args.read.read(repository)?;
    let (state, tag) = (&run.state, &run.tag);
    let Some(incumbent) = &state.incumbent else { return Err(CommandError::NothingMeasured(tag.clone())) };
    let made = run.experiment(incumbent.experiment.0)?;
    let (baseline, score) = report::scores(state);
    let direction = state.header.as_ref().map(|header| header.direction);
    let gain = direction.zip(baseline).zip(score).map(|((direction, from), to)| direction.gain(from, to));
    let keeps = state.experiments.iter().filter(|made| !made.id.is_baseline() && made.status == Status::Keep).count();
    let branch = state.header.as_ref().map(RunHeader::branch).unwrap_or_default();
    if args.read.json {
        let (metric, direction) = json::header(state);
        let experiment = ExperimentAnswer::decided(state, made);
        let (baseline, score) = (baseline.map(Score::get), score.map(Score::get));
        let version = json::VERSION;
        let tag = tag.clone();
        json::print(&BestAnswer { version, tag, metric, direction, baseline, score, gain, keeps, branch, experiment })?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal::out(report::line(state, made));
    if let (Some(from), Some(to)) = (baseline, score) {
        let (metric, _) = json::header(state);
        let (from, to) = (significant(from.get()), significant(to.get()));
        terminal::out(format_args!("{metric}: {from} -> {to} by {keeps} kept changes"));
    }
    match is_imported(state) {
        true => terminal::out("the run was imported: it has no branch here"),
        false => terminal::out(format_args!("commit: {} on the branch {branch}", incumbent.revision)),
    }
    Ok(ExitCode::SUCCESS)
}
