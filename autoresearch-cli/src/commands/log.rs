//! `autoresearch log`: lists the experiments of a run.

use std::process::ExitCode;

use autoresearch_core::{Experiment, Status};
use clap::Args;

use super::args::ReadArgs;
use crate::error::CommandError;
use crate::json::{self, LogAnswer};
use crate::report;
use crate::repository::Repository;
use crate::text::terminal::{self, Style};

/// List the experiments of a run.
#[derive(Debug, Args)]
#[command(
    after_help = "Several of --kept, --discarded and --crashed together show each of them.\n\nExample:\n  autoresearch log --kept --limit 10"
)]
pub struct LogArgs {
    #[command(flatten)]
    read: ReadArgs,
    /// Only those that were kept, the baseline among them.
    #[arg(long)]
    kept: bool,
    /// Only those that were discarded.
    #[arg(long)]
    discarded: bool,
    /// Only those that crashed.
    #[arg(long)]
    crashed: bool,
    /// Only those from number N on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    since: u32,
    /// Only the last N of these.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Prints the experiments that the filters let through.
pub fn log(repository: &Repository, args: &LogArgs) -> Result<ExitCode, CommandError> {
    let run = args.read.read(repository)?;
    let wanted: Vec<&Experiment> = run.state.experiments.iter().filter(|made| args.lets_through(made)).collect();
    let skipped = args.limit.map_or(0, |limit| wanted.len().saturating_sub(limit));
    let shown = wanted.get(skipped..).unwrap_or_default();
    if args.read.json {
        json::print(&LogAnswer::new(&run.tag, &run.state, shown.iter().copied()))?;
    } else {
        for made in shown {
            terminal::out_styled(&report::line(&run.state, made), style(made.status));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl LogArgs {
    fn lets_through(&self, made: &Experiment) -> bool {
        let by_status = match made.status {
            Status::Keep => self.kept,
            Status::Discard => self.discarded,
            Status::Crash => self.crashed,
        };
        made.id.0 >= self.since && (by_status || !(self.kept || self.discarded || self.crashed))
    }
}

fn style(status: Status) -> Option<Style> {
    match status {
        Status::Keep => Some(Style::Green),
        Status::Discard => None,
        Status::Crash => Some(Style::Red),
    }
}
