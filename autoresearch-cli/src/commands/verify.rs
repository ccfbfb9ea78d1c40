//! `autoresearch verify`: checks that a run is valid, in its repository or in a bundle.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoresearch_core::Journal;
use clap::Args;

use super::args::WorkersArgs;
use super::verify_bundle::{self, BundleArgs};
use crate::bundle::is_bundle;
use crate::config::Config;
use crate::error::CommandError;
use crate::json;
use crate::repository::Repository;
use crate::session::Session;
use crate::text::terminal;
use crate::verification::{self, Judge, StoredRun};

/// Check that a run is valid: its journal, its commits, its results.tsv; also one that came as a bundle.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  autoresearch verify mar8.bundle.tar --rerun best,baseline")]
pub struct VerifyArgs {
    /// A run's tag, or the file of a bundle, which needs no repository [default: the latest run]
    #[arg(value_name = "TAG|FILE", conflicts_with = "tag")]
    target: Option<PathBuf>,
    /// The run.
    #[arg(long, hide = true)]
    tag: Option<String>,
    /// The run's configuration, to judge every decision again; a bundle has it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The preset that lay over it.
    #[arg(long, value_name = "NAME", requires = "config")]
    preset: Option<String>,
    #[command(flatten)]
    workers: WorkersArgs,
    /// Take lines out of the journal that something else wrote. A copy of the file is kept.
    #[arg(long)]
    set_aside: bool,
    #[command(flatten)]
    bundle: BundleArgs,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// Checks a run and prints what was found.
pub async fn verify(args: VerifyArgs) -> Result<ExitCode, CommandError> {
    match args.target.as_deref() {
        Some(file) if is_file(file, &args) => {
            let own = args.config.is_some() || args.set_aside || !args.workers.table().is_empty();
            if own {
                let why = "--config, --preset, --workers, --devices and --set-aside are for a run in its repository; leave them out, since a bundle has its configuration";
                return Err(CommandError::Other(why.into()));
            }
            verify_bundle::verify(file, args.bundle, args.json).await
        }
        _ => verify_run(args),
    }
}

/// Tells a bundle from a tag: by its first bytes, by what only a bundle can be asked for, and by what no tag can be. A folder or a
/// file that has the name of a run of this repository stands for the run.
fn is_file(target: &Path, args: &VerifyArgs) -> bool {
    let is_run = |tag: &str| Repository::find().is_ok_and(|repository| repository.journal_path(tag).is_file());
    let has_folder = target.parent().is_some_and(|folder| !folder.as_os_str().is_empty());
    is_bundle(target)
        || args.bundle.is_used()
        || has_folder
        || (target.is_file() || target.extension().is_some_and(|end| end == "tar"))
            && !target.to_str().is_some_and(is_run)
}

fn verify_run(args: VerifyArgs) -> Result<ExitCode, CommandError> {
    if args.bundle.is_used() {
        let why =
            "--signature, --signers, --rerun and --isolation are for a bundle; give its file: autoresearch verify FILE";
        return Err(CommandError::Other(why.into()));
    }
    let repository = Repository::find()?;
    let target = args.target.map(|target| target.to_string_lossy().into_owned());
    let tag = repository.tag_or_latest(args.tag.or(target))?;
    let path = repository.journal(&tag)?;
    if args.set_aside
        && let Some(copy) = Journal::set_aside(&path)?
    {
        terminal::note(format_args!("set aside: the journal as it was is {}", copy.display()));
    }
    let read = |path: PathBuf| Config::read(&path, args.preset.as_deref(), &args.workers.table());
    let config = args.config.map(read).transpose()?;
    let session = config.map(|config| Session::new(repository.clone(), config, tag.clone())).transpose()?;
    let judge = session.as_ref().map_or(Judge::Nobody, Judge::Own);
    let report = verification::check(&StoredRun::here(&repository, &tag), judge)?;
    match args.json {
        true => json::print(&json::verify_answer(&report, &tag))?,
        false => terminal::out(&report),
    }
    Ok(if report.violations() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
