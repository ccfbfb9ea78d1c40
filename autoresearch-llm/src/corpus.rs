//! Where documents come from: the offline default, files of one's own, and public data sets.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::DataError;

pub mod crates;
pub mod local;
pub mod public;
pub mod read;

/// Documents that will become one shard of each split that they go to.
#[derive(Debug, Clone)]
pub struct Part {
    /// A name for the shard.
    pub name: String,
    /// The split that the documents go to.
    pub goes: Goes,
    /// The documents.
    pub source: Source,
}

/// The choice of the split for documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// All documents go to training.
    Train,
    /// All documents go to validation.
    Val,
    /// About one document in thirty goes to validation, chosen by a hash of the document itself: the same document always goes the
    /// same way, whatever else is in the corpus.
    ByContent,
}

/// The place and format of documents.
#[derive(Debug, Clone)]
pub enum Source {
    /// Documents in memory.
    Memory(Vec<String>),
    /// The column `text` of a parquet file.
    Parquet(PathBuf),
    /// The field `text` of each line.
    JsonLines(PathBuf),
    /// A text file, cut into documents where that makes sense.
    Text(PathBuf),
}

impl Part {
    /// Reads the documents: those for training, and those for validation.
    pub fn load(&self) -> Result<(Vec<String>, Vec<String>), DataError> {
        let documents = match &self.source {
            Source::Memory(documents) => documents.clone(),
            Source::Parquet(path) => read::parquet(path)?,
            Source::JsonLines(path) => read::json_lines(path)?,
            Source::Text(path) => read::text(path)?,
        };
        let documents: Vec<String> = documents.into_iter().filter(|text| !text.trim().is_empty()).collect();
        Ok(match self.goes {
            Goes::Train => (documents, Vec::new()),
            Goes::Val => (Vec::new(), documents),
            Goes::ByContent => documents.into_iter().partition(|text| Sha256::digest(text)[0] >= 8),
        })
    }
}

/// The folder for downloads, data and builds: `$AUTORESEARCH_CACHE`, else `autoresearch` in the user's cache folder.
pub fn cache_folder() -> Result<PathBuf, DataError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("AUTORESEARCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("autoresearch")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/autoresearch")))
        .ok_or_else(|| DataError::Setting("no home directory is known; set AUTORESEARCH_CACHE to a folder".into()))
}

/// Formats bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computes the SHA-256 of a file, read in pieces.
pub(crate) fn file_sha256(path: &Path) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path).map_err(|e| DataError::read(path, e))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(|e| DataError::read(path, e))? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hex(&hash.finalize()))
}
