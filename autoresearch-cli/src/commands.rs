//! The subcommands: one file for each.

mod args;
mod audit;
mod dry_run;
mod holdout;
mod import;
mod reference;
mod report;
mod rerun;
mod run;
mod signals;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::CommandError;
use crate::repository::Repository;

/// Ratchet search: propose a change, measure it, keep it only if it is really better.
#[derive(Parser)]
#[command(
    name = "autoresearch",
    version,
    max_term_width = 100,
    after_help = "Start in a git repository with a file autoresearch.toml; docs/configuration.md says what goes into it.\n\nExample:\n  autoresearch run --experiments 100"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand with its arguments.
#[derive(Subcommand)]
pub enum Command {
    Run(run::RunArgs),
    Report(report::ReportArgs),
    Verify(verify::VerifyArgs),
    Audit(audit::AuditArgs),
    Rerun(rerun::RerunArgs),
    Import(import::ImportArgs),
    /// Print this reference of all commands as Markdown.
    #[command(hide = true)]
    Reference,
}

/// Runs a subcommand in the repository around the current folder.
pub async fn dispatch(command: Command) -> Result<ExitCode, CommandError> {
    if let Command::Reference = command {
        crate::text::terminal::out(reference::markdown());
        return Ok(ExitCode::SUCCESS);
    }
    let repository = Repository::find()?;
    match command {
        Command::Run(args) => run::run(repository, args).await,
        Command::Report(args) => report::report(repository, args).await,
        Command::Verify(args) => verify::verify(repository, args),
        Command::Audit(args) => audit::audit(repository, args).await,
        Command::Rerun(args) => rerun::rerun(repository, args).await,
        Command::Import(args) => import::import(&repository, args),
        Command::Reference => Ok(ExitCode::SUCCESS),
    }
}
