//! The subcommands: one file for each.

mod apply;
mod args;
mod audit;
mod best;
mod bundle;
mod cli;
mod completions;
mod diff;
mod doctor;
mod dry_run;
mod export;
mod gc;
mod hint;
mod holdout;
mod import;
mod init;
mod knobs;
mod log;
mod pictures;
mod reference;
mod report;
mod rerun;
mod run;
mod schema;
mod show;
mod signals;
mod status;
mod stop;
mod transfer;
mod verify;
mod verify_bundle;

use std::process::ExitCode;

use clap::CommandFactory;

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
        Command::Completions(args) => return Ok(completions::completions(args, Cli::command())),
        Command::Man(args) => return completions::man(args, Cli::command()),
        Command::Schema(args) => return schema::schema(args),
        _ => {}
    }
    // They have something to say without a repository, too.
    let command = match command {
        Command::Doctor(args) => return doctor::doctor(args).await,
        Command::Verify(args) => return verify::verify(args).await,
        command => command,
    };
    let repository = Repository::find()?;
    match command {
        Command::Init(args) => init::init(repository, args).await,
        Command::Run(args) => run::run(repository, args).await,
        Command::Report(args) => report::report(repository, args).await,
        Command::Bundle(args) => bundle::bundle(repository, &args),
        Command::Audit(args) => audit::audit(repository, args).await,
        Command::Rerun(args) => rerun::rerun(repository, args).await,
        Command::Transfer(args) => transfer::transfer(repository, args).await,
        Command::Import(args) => import::import(&repository, &args),
        Command::Status(args) => status::status(&repository, args).await,
        Command::Log(args) => log::log(&repository, &args),
        Command::Show(args) => show::show(&repository, &args),
        Command::Diff(args) => diff::diff(&repository, &args),
        Command::Best(args) => best::best(&repository, &args),
        Command::Export(args) => export::export(&repository, args),
        Command::Stop(args) => stop::stop(&repository, args).await,
        Command::Hint(args) => hint::hint(&repository, args),
        Command::Apply(args) => apply::apply(&repository, &args),
        Command::Gc(args) => gc::gc(&repository, &args),
        Command::Knobs(args) => knobs::knobs(&repository, args),
        Command::Doctor(_)
        | Command::Verify(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Schema(_)
        | Command::Reference
        | Command::Pictures(_) => Ok(ExitCode::SUCCESS),
    }
}
