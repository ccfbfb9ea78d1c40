//! `autoresearch verify FILE`: checks a run in a bundle, without the repository that it was made in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoresearch_core::{Journal, State};
use clap::Args;

use super::signals::cancel_on_signal;
use crate::bundle::{signature_of, verify_signature};
use crate::bundled::{Repeatable, Repetition, Unpacked, Walls, Which, repeat};
use crate::error::CommandError;
use crate::json::{self, BundleChecked};
use crate::text::{count, significant, terminal};
use crate::verification::{self, Judge};

/// Options that only a bundle has.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// The signature of the bundle [default: FILE.sig, if --signers is given]
    #[arg(long, value_name = "FILE", requires = "signers")]
    signature: Option<PathBuf>,
    /// The keys that may have signed it, in ssh-keygen's form: NAME KEY.
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
    /// Measure best, baseline or both again: executes the bundle's commands, foreign code.
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', hide_possible_values = true)]
    rerun: Vec<Which>,
    /// The walls around it: best-effort (the default), strict, or bundle, its own.
    #[arg(long, value_name = "LEVEL", value_enum, requires = "rerun", hide_possible_values = true)]
    isolation: Option<Walls>,
}

impl BundleArgs {
    /// True if something is given.
    pub fn is_used(&self) -> bool {
        self.signature.is_some() || self.signers.is_some() || !self.rerun.is_empty() || self.isolation.is_some()
    }
}

/// Checks a bundle and prints what was found.
pub async fn verify(file: &Path, args: BundleArgs, is_json: bool) -> Result<ExitCode, CommandError> {
    let signer = match &args.signers {
        Some(signers) => {
            let signature = args.signature.unwrap_or_else(|| signature_of(file));
            Some(verify_signature(file, &signature, signers)?)
        }
        None => None,
    };
    let bundle = Unpacked::open(file)?;
    let report = verification::check(&bundle.run, Judge::Bundled(&bundle.config))?;
    let is_sound = report.violations() == 0;
    let members = bundle.contents.manifest.members.len();
    if !is_json {
        if let Some(signer) = &signer {
            terminal::out(format_args!("signature: good, by {signer}"));
        }
        let digest = &bundle.contents.digest;
        terminal::out(format_args!("bundle: run {}, {}, blake3:{digest}", bundle.run.tag, count(members, "member")));
        terminal::out(&report);
    }
    let entries = match is_sound {
        true => Journal::read(&bundle.run.journal())?,
        false => Vec::new(),
    };
    let state = State::replay(&entries)?;
    let repeatable = is_sound.then(|| Repeatable::of(&bundle, &state, &entries));
    if let (Some(repeatable), false) = (&repeatable, is_json) {
        terminal::note(format_args!("bundled on {}", bundle.machine));
        terminal::note(repeatable);
    }
    let mut repetitions = Vec::new();
    if !is_sound && !args.rerun.is_empty() {
        terminal::err("nothing was measured again, since the bundle is not sound");
    }
    if is_sound && !args.rerun.is_empty() {
        let walls = args.isolation.unwrap_or(Walls::BestEffort);
        let cancel = cancel_on_signal();
        repetitions = repeat(&bundle, (&state, &entries), (&args.rerun, walls), &cancel).await?;
    }
    if is_json {
        let checked = BundleChecked::new(&bundle, signer, repeatable.as_ref(), &repetitions);
        json::print(&json::verify_answer(&report, &bundle.run.tag).of_bundle(checked))?;
    } else {
        repetitions.iter().for_each(|made| show(made, &bundle.config.metric.name));
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(made: &Repetition, metric: &str) {
    let name = match made.which {
        Which::Best => "",
        Which::Baseline => "baseline ",
    };
    let then = made.journaled.map_or("nothing".into(), significant);
    let (now, experiment, seed) = (significant(made.score), made.experiment, made.seed);
    terminal::out(format_args!("{name}{metric}: {now} (journal: {then}; experiment {experiment}, seed {seed})"));
}
