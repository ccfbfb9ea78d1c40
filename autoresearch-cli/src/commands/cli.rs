//! The command line: the subcommands and their arguments.

use clap::{Parser, Subcommand};

use super::apply::ApplyArgs;
use super::audit::AuditArgs;
use super::best::BestArgs;
use super::bundle::BundleArgs;
use super::completions::{CompletionsArgs, ManArgs};
use super::diff::DiffArgs;
use super::doctor::DoctorArgs;
use super::export::ExportArgs;
use super::gc::GcArgs;
use super::hint::HintArgs;
use super::import::ImportArgs;
use super::init::InitArgs;
use super::knobs::KnobsArgs;
use super::log::LogArgs;
use super::pictures::PicturesArgs;
use super::report::ReportArgs;
use super::rerun::RerunArgs;
use super::run::RunArgs;
use super::schema::SchemaArgs;
use super::show::ShowArgs;
use super::status::StatusArgs;
use super::stop::StopArgs;
use super::transfer::TransferArgs;
use super::verify::VerifyArgs;

/// The commands by their use. A test holds this list and the subcommands together.
const COMMANDS: &str = "\
Commands:
  begin:  init, doctor          set a repository up; check it
          knobs, import         the values that can be searched; read what another tool wrote
  run:    run, stop, hint       begin or go on; end it in order; tell the proposer something meanwhile
  look:   status, log, show     where a run is; its experiments; one of them
          diff, best, report    a change; the best so far; everything, with a plot
  check:  verify, audit, rerun  is it valid; are its gains real; measure the best again
          transfer              measure the kept changes under another setting
  use:    apply, bundle, gc     take the kept changes over; write a run as one file; remove old leftovers
  tools:  export, completions, man, schema";

/// Ratchet search: propose a change, measure it, keep it only if it is really better.
#[derive(Parser)]
#[command(
    name = "autoresearch",
    version,
    max_term_width = 100,
    before_help = COMMANDS,
    help_template = "{about}\n\n{usage-heading} {usage}\n\n{before-help}{options}{after-help}",
    after_help = "`autoresearch COMMAND --help` tells of one. Exit codes: 0 done, 1 error, 2 wrong command line,\n3 nothing to work on, 130 interrupted.\n\nExample:\n  autoresearch run --experiments 100"
)]
pub struct Cli {
    /// Print results, warnings and errors alone.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand with its arguments.
#[derive(Subcommand)]
pub enum Command {
    Init(InitArgs),
    Doctor(DoctorArgs),
    Run(RunArgs),
    Status(StatusArgs),
    Log(LogArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Best(BestArgs),
    Report(ReportArgs),
    Export(ExportArgs),
    Stop(StopArgs),
    Hint(HintArgs),
    Verify(VerifyArgs),
    Bundle(BundleArgs),
    Audit(AuditArgs),
    Rerun(RerunArgs),
    Transfer(TransferArgs),
    Apply(ApplyArgs),
    Gc(GcArgs),
    Import(ImportArgs),
    Knobs(KnobsArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Schema(SchemaArgs),
    /// Print this reference of all commands as Markdown.
    #[command(hide = true)]
    Reference,
    #[command(hide = true)]
    Pictures(PicturesArgs),
}
