//! `autoresearch stop`: ends a run that goes on in another process.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::control::{self, When};
use crate::error::CommandError;
use crate::repository::Repository;
use crate::text::terminal;

/// Ask a run in another process to stop after the experiments in flight; `run` goes on with it later.
#[derive(Debug, Args)]
#[command(
    after_help = "The request is for the process that drives the run now, and for no later one. Exits with 3 if there is\nnone.\n\nExample:\n  autoresearch stop --wait"
)]
pub struct StopArgs {
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// Stop at once: trials in flight are cancelled, and made again when the run goes on.
    #[arg(long)]
    now: bool,
    /// Wait until the run has stopped.
    #[arg(long)]
    wait: bool,
}

/// Asks the process to stop.
pub async fn stop(repository: &Repository, args: StopArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag)?;
    repository.journal(&tag)?;
    let folder = repository.run_folder(&tag);
    let process = control::process(&folder).filter(|_| repository.is_locked(&tag));
    let Some(process) = process else { return Err(CommandError::NotInProgress(tag)) };
    let when = if args.now { When::Now } else { When::AfterExperiment };
    control::request_stop(&folder, &process, when)?;
    terminal::note(match when {
        When::Now => format!("the run {tag} is asked to stop now"),
        When::AfterExperiment => format!("the run {tag} is asked to stop after the experiments in flight"),
    });
    while args.wait && repository.is_locked(&tag) && control::process(&folder).is_some_and(|now| now.id == process.id) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(ExitCode::SUCCESS)
}
