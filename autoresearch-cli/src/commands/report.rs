//! `autoresearch report`: prints the report of a run, and writes it with its plot.

use std::process::ExitCode;

use autoresearch_core::State;
use autoresearch_core::internal::journal::Entry;
use clap::Args;

use super::args::ConfigArgs;
use super::holdout;
use super::signals::cancel_on_signal;
use crate::error::CommandError;
use crate::json::{self, ReportAnswer};
use crate::repository::Repository;
use crate::text::terminal;
use crate::{plot, report, transfer};

/// Print the report of a run, and write it with its plot.
#[derive(Debug, Args)]
#[command(
    after_help = "The files report.md, progress.svg and progress.png lie beside the run's journal. Works also while\nthe run goes on.\n\nExample:\n  autoresearch report --tag mar8"
)]
pub struct ReportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// Measure baseline and incumbent on the sealed holdout first. Do it once, at the end.
    #[arg(long)]
    open_holdout: bool,
    /// Answer as JSON (docs/json.md), and write nothing.
    #[arg(long)]
    json: bool,
}

/// Prints and writes the report.
pub async fn report(repository: Repository, args: ReportArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag)?;
    // Only an opening needs the configuration.
    if args.open_holdout {
        holdout::open(&args.config.session(repository.clone(), Some(tag.clone()))?, &cancel_on_signal()).await?;
    }
    let entries = repository.entries(&tag)?;
    let state = State::replay(&entries)?;
    let transfers = transfer::Record::all(&repository, &tag);
    if args.json {
        json::print(&ReportAnswer::new(&tag, &state, &transfers))?;
        return Ok(ExitCode::SUCCESS);
    }
    let transfers = report::transfers(&state, &transfers);
    terminal::out(report::terminal(&state) + &report::workers(&state, &entries) + &transfers);
    // The files repeat what is printed.
    if let Err(error) = write_report(&repository, &tag, &tag, &state, &entries) {
        let folder = repository.run_folder(&tag);
        terminal::err(format_args!(
            "warning: the report is printed and not written: {error}; to write it, make {} writable",
            folder.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the report and its plot beside the results.
pub fn write_report(
    repository: &Repository,
    tag: &str,
    title: &str,
    state: &State,
    entries: &[Entry],
) -> Result<(), CommandError> {
    let folder = repository.run_folder(tag);
    let (svg, png, markdown) = (folder.join("progress.svg"), folder.join("progress.png"), folder.join("report.md"));
    plot::staircase(state, &svg, &png)?;
    let transfers = report::transfers(state, &transfer::Record::all(repository, tag));
    let text = report::markdown(state, entries, title, "progress.svg") + &transfers;
    autoresearch_core::internal::results::write_atomically(&markdown, text.as_bytes())?;
    terminal::note(format_args!("report: {}", markdown.display()));
    terminal::note(format_args!("plot: {}", png.display()));
    Ok(())
}
