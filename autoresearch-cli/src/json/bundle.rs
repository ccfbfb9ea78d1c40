//! The answer of `bundle`, and the part of the answer of `verify` that is about a bundle.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::version::VERSION;
use crate::bundle::Manifest;
use crate::bundled::{Repeatable, Repetition, Unpacked, Which};

/// The answer of `bundle`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BundleAnswer {
    /// Version of this form.
    version: u32,
    /// The run.
    tag: String,
    /// Path of the bundle's file.
    file: String,
    /// Its size.
    bytes: u64,
    /// The BLAKE3 of everything before its last member.
    digest: String,
    /// Its members.
    members: Vec<MemberAnswer>,
    /// The file of its signature.
    signature: Option<String>,
    /// Notes on what others can read in it.
    notes: Vec<String>,
}

/// A member of a bundle.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MemberAnswer {
    /// Its name.
    name: String,
    /// Its size.
    bytes: u64,
    /// The BLAKE3 of its content.
    blake3: String,
}

/// The part of the answer of `verify` that is about a bundle.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BundleChecked {
    /// Path of the bundle's file.
    file: String,
    /// The BLAKE3 of everything before its last member.
    digest: String,
    /// The program that wrote it.
    program: String,
    /// The machine that it was written on.
    machine: String,
    /// The signer, where a signature was checked.
    signer: Option<String>,
    /// Measurements that can be repeated; nothing if there is a violation.
    repeatable: Option<RepeatableAnswer>,
    /// The measurements that were repeated.
    reruns: Vec<RerunAnswer>,
}

/// Measurements that can be repeated.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RepeatableAnswer {
    /// Number of trials that gave a number.
    trials: usize,
    /// Number of those whose candidate is there.
    present: usize,
    /// Experiments whose candidates were removed.
    gone: Vec<u32>,
    /// The command line of a trial.
    command: String,
    /// Longest time of a trial.
    seconds: f64,
    /// Number of trials by machine, as far as the journal has it.
    machines: BTreeMap<String, usize>,
    /// Needs beside the bundle.
    needs: Vec<String>,
}

/// A measurement that was repeated.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerunAnswer {
    /// `best` or `baseline`.
    measured: &'static str,
    /// The experiment.
    experiment: u32,
    /// The seed, which is that of the journal.
    seed: u64,
    /// The score in the journal.
    journaled: Option<f64>,
    /// The score now.
    score: f64,
}

impl BundleAnswer {
    pub fn new(
        file: &Path,
        bytes: u64,
        manifest: &Manifest,
        digest: String,
        signature: Option<&Path>,
        notes: Vec<String>,
    ) -> BundleAnswer {
        let members = manifest.members.iter().map(|member| MemberAnswer {
            name: member.name.clone(),
            bytes: member.bytes,
            blake3: member.blake3.clone(),
        });
        BundleAnswer {
            version: VERSION,
            tag: manifest.tag.clone(),
            file: file.display().to_string(),
            bytes,
            digest,
            members: members.collect(),
            signature: signature.map(|path| path.display().to_string()),
            notes,
        }
    }
}

impl BundleChecked {
    pub fn new(
        bundle: &Unpacked,
        signer: Option<String>,
        repeatable: Option<&Repeatable>,
        reruns: &[Repetition],
    ) -> BundleChecked {
        let repeatable = repeatable.map(|found| RepeatableAnswer {
            trials: found.trials,
            present: found.present,
            gone: found.gone.iter().map(|id| id.0).collect(),
            command: found.command.clone(),
            seconds: found.seconds,
            machines: found.machines.clone(),
            needs: found.needs.clone(),
        });
        let reruns = reruns.iter().map(|made| RerunAnswer {
            measured: match made.which {
                Which::Best => "best",
                Which::Baseline => "baseline",
            },
            experiment: made.experiment.0,
            seed: made.seed,
            journaled: made.journaled,
            score: made.score,
        });
        BundleChecked {
            file: bundle.path.display().to_string(),
            digest: bundle.contents.digest.clone(),
            program: bundle.contents.manifest.program.clone(),
            machine: bundle.machine.clone(),
            signer,
            repeatable,
            reruns: reruns.collect(),
        }
    }
}
