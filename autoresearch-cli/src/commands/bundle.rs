//! `autoresearch bundle`: writes a run into one file that others can check.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::args::ConfigArgs;
use crate::bundle::{self, sign, signature_of};
use crate::bundled::{Collected, collect};
use crate::error::CommandError;
use crate::json::{self, BundleAnswer};
use crate::repository::Repository;
use crate::text::{count, terminal};

/// Write a run into one file that others can check with `autoresearch verify FILE`.
#[derive(Debug, Args)]
#[command(
    after_help = "Holds the journal, the commits with their history, the configuration, results.tsv and the machine. A run that\ngoes on is bundled up to its latest record.\n\nExample:\n  autoresearch bundle mar8 --sign ~/.ssh/id_ed25519"
)]
pub struct BundleArgs {
    /// The run [default: the latest one]
    tag: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// The file to write [default: TAG.bundle.tar]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sign it with this SSH key, into FILE.sig.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// Writes the bundle of a run.
pub fn bundle(repository: Repository, args: &BundleArgs) -> Result<ExitCode, CommandError> {
    let session = args.config.session(repository, args.tag.clone())?;
    let file = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.bundle.tar", session.tag)));
    for path in [Some(file.clone()), args.sign.is_some().then(|| signature_of(&file))].into_iter().flatten() {
        if path.exists() {
            let why = format!("{} is there already; move it away, or give another name: --output FILE", path.display());
            return Err(CommandError::Other(why));
        }
    }
    let beside = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Collected { folder, notes } = collect(&session, beside)?;
    let made = folder.path().join("bundle");
    let (manifest, digest) = bundle::write(folder.path(), &session.tag, &session.config.preset, &made)?;
    std::fs::rename(&made, &file)
        .map_err(|error| CommandError::Other(format!("{} cannot be written: {error}", file.display())))?;
    let signature = args.sign.as_deref().map(|key| sign(&file, key)).transpose()?;
    let bytes = file.metadata().map_or(0, |found| found.len());
    if args.json {
        json::print(&BundleAnswer::new(&file, bytes, &manifest, digest, signature.as_deref(), notes))?;
        return Ok(ExitCode::SUCCESS);
    }
    for note in notes {
        terminal::err(format_args!("warning: {note}"));
    }
    let members = count(manifest.members.len(), "member");
    terminal::out(format_args!("{}: {members}, {bytes} bytes, blake3:{digest}", file.display()));
    if let Some(signature) = signature {
        terminal::out(format_args!("signed: {}", signature.display()));
    }
    Ok(ExitCode::SUCCESS)
}
