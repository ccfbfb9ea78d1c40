//! The command line: the subcommands and their arguments.

use clap::{Parser, Subcommand};

use super::audit::AuditArgs;
use super::import::ImportArgs;
use super::pictures::PicturesArgs;
use super::report::ReportArgs;
use super::rerun::RerunArgs;
use super::run::RunArgs;
use super::verify::VerifyArgs;

/// Ratchet search: propose a change, measure it, keep it only if it is really better.
#[derive(Parser)]
#[command(
    name = "autoresearch",
    version,
    max_term_width = 100,
    after_help = "Start in a git repository with a file autoresearch.toml; docs/configuration.md says what goes into it.\n\nExit codes: 0 for work that is done, also when a run ends by [stop]; 1 for an error, or a violation that\nverify finds; 2 for a wrong command line; 130 for an interruption.\n\nExample:\n  autoresearch run --experiments 100"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand with its arguments.
#[derive(Subcommand)]
pub enum Command {
    Run(RunArgs),
    Report(ReportArgs),
    Verify(VerifyArgs),
    Audit(AuditArgs),
    Rerun(RerunArgs),
    Import(ImportArgs),
    /// Print this reference of all commands as Markdown.
    #[command(hide = true)]
    Reference,
    #[command(hide = true)]
    Pictures(PicturesArgs),
}
