//! The subcommands: one file for each.

mod args;
mod audit;
mod cli;
mod dry_run;
mod holdout;
mod import;
mod pictures;
mod reference;
mod report;
mod rerun;
mod run;
mod signals;
mod verify;

use std::process::ExitCode;

pub use cli::Cli;
use cli::Command;

use crate::error::CommandError;
use crate::repository::Repository;

/// Runs a subcommand in the repository around the current folder.
pub async fn dispatch(command: Command) -> Result<ExitCode, CommandError> {
    match &command {
        Command::Reference => {
            crate::text::terminal::out(reference::markdown());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Pictures(args) => return pictures::pictures(args),
        _ => {}
    }
    let repository = Repository::find()?;
    match command {
        Command::Run(args) => run::run(repository, args).await,
        Command::Report(args) => report::report(repository, args).await,
        Command::Verify(args) => verify::verify(repository, args),
        Command::Audit(args) => audit::audit(repository, args).await,
        Command::Rerun(args) => rerun::rerun(repository, args).await,
        Command::Import(args) => import::import(&repository, args),
        Command::Reference | Command::Pictures(_) => Ok(ExitCode::SUCCESS),
    }
}
