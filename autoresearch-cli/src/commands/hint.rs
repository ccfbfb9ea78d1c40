//! `autoresearch hint`: tells the proposer something while the run goes on.

use std::process::ExitCode;

use autoresearch_core::State;
use autoresearch_core::internal::import::is_imported;
use clap::Args;

use crate::control;
use crate::error::CommandError;
use crate::repository::Repository;
use crate::text::terminal;

/// Give models and agents a hint while the run goes on: their next prompt, and every later one, has it.
#[derive(Debug, Args)]
#[command(
    after_help = "The run journals the hint before it asks for the next proposal. A later hint may take an earlier one\nback. Searchers over constants read none.\n\nExample:\n  autoresearch hint \"leave the learning rate alone, try the data layout\""
)]
pub struct HintArgs {
    /// The hint, in quotes or not.
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
}

/// Adds the hint to those of the run.
pub fn hint(repository: &Repository, args: HintArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag)?;
    let state: State = repository.state(&tag)?;
    if is_imported(&state) {
        return Err(CommandError::Imported(tag));
    }
    let text = args.text.join(" ");
    if text.trim().is_empty() {
        return Err(CommandError::Other("the hint is empty; say what to try, or what to leave alone".into()));
    }
    let folder = repository.run_folder(&tag);
    control::add_hint(&folder, text.trim())?;
    let process = control::process(&folder).filter(|_| repository.is_locked(&tag));
    let when = match process.map(|process| process.ignores_hints) {
        Some(false) => "the next prompt has it",
        Some(true) => "its proposer asks no model or agent, and reads none; it is kept for one that does",
        None => "the run has it when it goes on",
    };
    terminal::note(format_args!("hint for {tag}: {when}"));
    Ok(ExitCode::SUCCESS)
}
