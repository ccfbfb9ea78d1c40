//! Prepared data: what training and evaluation have in common, and what no experiment may change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::loader::Loader;
use crate::shards::Shard;

/// The manifest's name in the folder of prepared data. It is written last: without it the folder counts as empty.
pub const MANIFEST: &str = "workload.json";

/// A part of the documents: for training or for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For evaluation alone: pinned, and never trained on.
    Val,
}

/// The fixed numbers of a workload; karpathy's constants in his `prepare.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    /// The number of different tokens, special ones included.
    pub vocab_size: usize,
    /// The context length in tokens.
    pub max_seq_len: usize,
    /// Number of tokens that val_bpb is measured on.
    pub eval_tokens: usize,
    /// The training time in seconds, start-up and evaluation excluded.
    pub time_budget_seconds: f64,
    /// Number of first steps that do not count into the training time. karpathy's 11: there, they compile.
    pub untimed_steps: u64,
}

/// The manifest of prepared data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The manifest's format.
    pub version: u32,
    /// Origin of the documents.
    pub corpus: String,
    /// SHA-256 over all documents in their order, training first.
    pub corpus_sha256: String,
    /// Settings that it was prepared from: others make it stale.
    pub settings: String,
    /// The numbers that no experiment changes.
    #[serde(flatten)]
    pub fixed: Fixed,
    /// The token that every document begins with.
    pub bos_token: u16,
    /// Shards by file name.
    pub train: Vec<ShardEntry>,
    /// Shards by file name.
    pub val: Vec<ShardEntry>,
    #[serde(skip)]
    folder: PathBuf,
}

/// A shard in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Its name in the folder of its split.
    pub file: String,
    /// Number of tokens in it.
    pub tokens: usize,
    /// Number of documents in it.
    pub documents: usize,
    /// Length in bytes of the documents' text.
    pub bytes: usize,
}

impl Workload {
    #[allow(clippy::too_many_arguments, reason = "the fields of a manifest, named once")]
    pub(crate) fn new(
        folder: &Path,
        corpus: String,
        corpus_sha256: String,
        settings: String,
        fixed: Fixed,
        bos_token: u16,
        train: Vec<ShardEntry>,
        val: Vec<ShardEntry>,
    ) -> Workload {
        Workload {
            version: 1,
            corpus,
            corpus_sha256,
            settings,
            fixed,
            bos_token,
            train,
            val,
            folder: folder.to_owned(),
        }
    }

    /// Opens the folder that `AUTORESEARCH_DATA` names. `AUTORESEARCH_TIME_BUDGET` (seconds) replaces the training time,
    /// for smoke runs; `AUTORESEARCH_FIDELITY` is the share of it that this run is to take (1 without it), and the schedules,
    /// which follow the progress, shrink with it.
    pub fn from_env() -> Result<Workload, DataError> {
        let folder = std::env::var_os("AUTORESEARCH_DATA").unwrap_or_default();
        let mut workload = Workload::open(Path::new(&folder))?;
        if let Ok(text) = std::env::var("AUTORESEARCH_TIME_BUDGET") {
            let seconds = text.parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0);
            let wrong =
                || DataError::Setting(format!("AUTORESEARCH_TIME_BUDGET is `{text}`; give a number of seconds"));
            workload.fixed.time_budget_seconds = seconds.ok_or_else(wrong)?;
        }
        if let Ok(text) = std::env::var("AUTORESEARCH_FIDELITY") {
            workload.fixed.time_budget_seconds *= fidelity(&text)?;
        }
        Ok(workload)
    }

    /// Opens a folder of prepared data.
    pub fn open(folder: &Path) -> Result<Workload, DataError> {
        let path = folder.join(MANIFEST);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(DataError::NotPrepared(folder.to_owned()));
            }
            other => other.map_err(|e| DataError::read(&path, e))?,
        };
        let mut workload: Workload =
            serde_json::from_slice(&bytes).map_err(|e| DataError::corrupt(&path, e.to_string()))?;
        if workload.version != 1 {
            return Err(DataError::corrupt(&path, format!("its format {} is not known here", workload.version)));
        }
        workload.folder = folder.to_owned();
        Ok(workload)
    }

    /// The folder it was opened from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the validation split: beside that of everything else, so that a training can be kept from it.
    pub fn validation_folder(&self) -> PathBuf {
        validation_folder(&self.folder)
    }

    /// The shards of a split, opened and verified.
    pub fn shards(&self, split: Split) -> Result<Vec<Arc<Shard>>, DataError> {
        let (entries, folder) = match split {
            Split::Train => (&self.train, self.folder.clone()),
            Split::Val => (&self.val, self.validation_folder()),
        };
        let open = |entry: &ShardEntry| {
            let path = folder.join(&entry.file);
            let shard = Shard::open(&path)?;
            match (shard.tokens(), shard.documents()) == (entry.tokens, entry.documents) {
                true => Ok(Arc::new(shard)),
                false => Err(DataError::corrupt(&path, "it is not the shard that the manifest names")),
            }
        };
        entries.iter().map(open).collect()
    }

    /// A loader of rows of `seq_len` tokens, `batch` rows at a time, from the split's beginning.
    pub fn loader(&self, split: Split, batch: usize, seq_len: usize) -> Result<Loader, DataError> {
        Loader::new(self.shards(split)?, batch, seq_len)
    }

    /// Length in bytes of each token's text, by token; 0 for special tokens.
    pub fn token_bytes(&self) -> Result<Vec<i32>, DataError> {
        let path = self.folder.join("token_bytes.json");
        let bytes = std::fs::read(&path).map_err(|e| DataError::read(&path, e))?;
        let lengths: Vec<i32> = serde_json::from_slice(&bytes).map_err(|e| DataError::corrupt(&path, e.to_string()))?;
        match lengths.len() == self.fixed.vocab_size {
            true => Ok(lengths),
            false => Err(DataError::corrupt(
                &path,
                format!("it has {} lengths for {} tokens", lengths.len(), self.fixed.vocab_size),
            )),
        }
    }
}

/// The folder of the validation split of the data in `folder`: `data-val` for `data`.
pub(crate) fn validation_folder(folder: &Path) -> PathBuf {
    match folder.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push("-val");
            folder.with_file_name(name)
        }
        None => folder.join("val"),
    }
}

/// The share of the full budget that the lab gives a trial.
fn fidelity(text: &str) -> Result<f64, DataError> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| {
        DataError::Setting(format!("AUTORESEARCH_FIDELITY is `{text}`; give a share of the budget above 0, up to 1"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fidelity_is_a_share() {
        assert_eq!(["1", "0.2"].map(|text| fidelity(text).unwrap()), [1.0, 0.2]);
        for wrong in ["", "0", "-1", "1.5", "NaN", "20 %"] {
            let error = fidelity(wrong).unwrap_err().to_string();
            assert!(error.contains("AUTORESEARCH_FIDELITY") && error.contains("up to 1"), "{error}");
        }
    }
}
