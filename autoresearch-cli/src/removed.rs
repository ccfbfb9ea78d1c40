//! The note of what `gc` has removed of a run: without it `verify` would miss the candidates.

use std::collections::BTreeSet;
use std::path::Path;

use autoresearch_core::internal::results::write_atomically;
use autoresearch_core::{ExperimentId, SandboxError};
use serde::{Deserialize, Serialize};

const FILE: &str = "removed.json";

#[derive(Default, Serialize, Deserialize)]
struct Note {
    /// The experiments whose candidates are gone.
    experiments: BTreeSet<ExperimentId>,
}

/// The experiments of the run in `folder` whose candidates are gone.
pub fn experiments(folder: &Path) -> BTreeSet<ExperimentId> {
    let note = std::fs::read(folder.join(FILE)).ok().and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok());
    note.unwrap_or_default().experiments
}

/// Adds experiments to the note.
pub fn add(folder: &Path, more: &BTreeSet<ExperimentId>) -> Result<(), SandboxError> {
    let note = Note { experiments: experiments(folder).union(more).copied().collect() };
    let text = serde_json::to_vec(&note).map_err(|error| SandboxError::Other(format!("a note is no JSON: {error}")))?;
    write_atomically(&folder.join(FILE), &text)
}
