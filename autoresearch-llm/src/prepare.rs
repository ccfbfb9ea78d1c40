//! Documents to token shards: done once, before the first experiment, and again only when something changed.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::corpus::{self, Part, public::Public};
use crate::error::DataError;
use crate::shards::{self, Shard};
use crate::tokenizer::Tokenizer;
use crate::workload::{self, Fixed, MANIFEST, ShardEntry, Split, Workload};

/// Largest number of bytes of documents that the tokenizer is trained on.
const TRAINED_BYTES: usize = 1 << 30;
/// Number of documents that are tokenised at a time.
const CHUNK: usize = 4096;

/// The origin of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corpus {
    /// The offline default.
    Crates,
    /// A public data set: its name, the number of training shards, and a mirror instead of the public server.
    Public(Public, usize, Option<String>),
    /// Files for training, and for validation.
    Files(Vec<PathBuf>, Vec<PathBuf>),
}

impl Corpus {
    fn settings(&self) -> Result<String, DataError> {
        match self {
            Corpus::Crates => Ok(corpus::crates::settings()),
            Corpus::Public(set, shards, base) => Ok(format!("{set:?} {shards} {base:?}")),
            Corpus::Files(paths, val) => corpus::local::settings(paths, val),
        }
    }

    fn name(&self) -> String {
        match self {
            Corpus::Crates => "crates".into(),
            Corpus::Public(set, ..) => format!("{set:?}").to_lowercase(),
            Corpus::Files(paths, _) => paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" "),
        }
    }

    fn parts(&self) -> Result<Vec<Part>, DataError> {
        match self {
            Corpus::Crates => corpus::crates::parts(),
            Corpus::Public(set, shards, base) => {
                set.parts(&corpus::cache_folder()?.join("downloads"), *shards, base.as_deref())
            }
            Corpus::Files(paths, val) => corpus::local::parts(paths, val),
        }
    }
}

/// Prepares `folder`, or finds that it is ready. `say` is told what is being done.
pub fn prepare(folder: &Path, corpus: &Corpus, fixed: &Fixed, say: &dyn Fn(&str)) -> Result<Workload, DataError> {
    let Fixed { vocab_size, max_seq_len, eval_tokens, time_budget_seconds, .. } = fixed;
    if *max_seq_len == 0 || *eval_tokens < *max_seq_len || *time_budget_seconds <= 0.0 || time_budget_seconds.is_nan() {
        return Err(DataError::Setting(
            "max_seq_len must be at least 1, eval_tokens at least max_seq_len, and time_budget_seconds positive".into(),
        ));
    }
    let settings = format!("{} vocab {vocab_size}", corpus.settings()?);
    if let Some(workload) = ready(folder, &settings, fixed)? {
        say("data: ready");
        return Ok(workload);
    }
    let val_folder = workload::validation_folder(folder);
    for folder in [folder, &val_folder] {
        std::fs::create_dir_all(folder).map_err(|e| DataError::write(folder, e))?;
    }
    // Without the manifest the folder counts as empty, also when this preparation fails.
    let manifest = folder.join(MANIFEST);
    match std::fs::remove_file(&manifest) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(DataError::write(&manifest, e)),
        _ => {}
    }
    remove_validation(folder)?;

    say(&format!("data: collecting {}", corpus.name()));
    let parts = corpus.parts()?;
    say(&format!("data: training a tokenizer of {vocab_size} tokens"));
    let tokenizer = train(&parts, *vocab_size, &corpus.name())?;
    write_file(&folder.join("tokenizer.json"), tokenizer.to_json()?.as_bytes())?;
    write_file(&folder.join("token_bytes.json"), format!("{:?}", tokenizer.token_bytes()?).as_bytes())?;
    if tokenizer.vocab_size() != *vocab_size {
        return Err(DataError::Setting(format!(
            "the corpus is too small for a vocabulary of {vocab_size} tokens, it gave {}; ask for fewer with --vocab-size",
            tokenizer.vocab_size()
        )));
    }

    let (mut train, mut val) = (Vec::new(), Vec::new());
    let mut hash = Sha256::new();
    for (index, part) in parts.iter().enumerate() {
        say(&format!("data: tokenising part {} of {}", index + 1, parts.len()));
        let (for_train, for_val) = part.load()?;
        let splits = [("train", folder, for_train, &mut train), ("val", &val_folder, for_val, &mut val)];
        for (split, folder, documents, entries) in splits {
            if documents.is_empty() {
                continue;
            }
            documents.iter().for_each(|text| hash.update(Sha256::digest(text)));
            let file = format!("{split}-{}.bin", part.name);
            entries.push(tokenise(&folder.join(&file), file, &documents, &tokenizer)?);
        }
    }
    for (entries, what) in [(&train, "training"), (&val, "validation")] {
        if entries.is_empty() {
            return Err(DataError::Empty(format!("the {what} split of {}", corpus.name())));
        }
    }
    let sha = corpus::hex(&hash.finalize());
    let workload = Workload::new(folder, corpus.name(), sha, settings, fixed.clone(), tokenizer.bos(), train, val);
    let json = serde_json::to_vec_pretty(&workload).map_err(|e| DataError::Setting(e.to_string()))?;
    write_file(&manifest, &json)?;
    Ok(workload)
}

/// Removes validation shards that lie among those for training, where earlier versions put them.
fn remove_validation(folder: &Path) -> Result<(), DataError> {
    let entries = std::fs::read_dir(folder).map_err(|e| DataError::read(folder, e))?;
    let is_validation = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("val-") && name.ends_with(".bin")
    };
    let mut old = entries.flatten().map(|entry| entry.path()).filter(is_validation);
    old.try_for_each(|path| std::fs::remove_file(&path).map_err(|e| DataError::write(&path, e)))
}

/// The folder as it is, if it was prepared from the same and nothing in it is damaged.
fn ready(folder: &Path, settings: &str, fixed: &Fixed) -> Result<Option<Workload>, DataError> {
    let mut workload = match Workload::open(folder) {
        Ok(workload) if workload.settings == settings => workload,
        _ => return Ok(None),
    };
    let whole =
        workload.shards(Split::Train).is_ok() && workload.shards(Split::Val).is_ok() && workload.token_bytes().is_ok();
    if !whole || Tokenizer::load(&folder.join("tokenizer.json")).is_err() {
        return Ok(None);
    }
    if &workload.fixed == fixed {
        return Ok(Some(workload));
    }
    // Other numbers over the same tokens: only the manifest changes.
    workload.fixed = fixed.clone();
    let json = serde_json::to_vec_pretty(&workload).map_err(|e| DataError::Setting(e.to_string()))?;
    write_file(&folder.join(MANIFEST), &json)?;
    Ok(Some(workload))
}

fn train(parts: &[Part], vocab_size: usize, name: &str) -> Result<Tokenizer, DataError> {
    let mut documents = Vec::new();
    let mut bytes = 0;
    for part in parts {
        let (train, _) = part.load()?;
        bytes += train.iter().map(String::len).sum::<usize>();
        documents.extend(train);
        if bytes >= TRAINED_BYTES {
            break;
        }
    }
    if documents.is_empty() {
        return Err(DataError::Empty(format!("the training split of {name}")));
    }
    Tokenizer::train(documents.iter().map(String::as_str), vocab_size)
}

fn tokenise(path: &Path, file: String, documents: &[String], tokenizer: &Tokenizer) -> Result<ShardEntry, DataError> {
    let mut encoded = Vec::with_capacity(documents.len());
    for chunk in documents.chunks(CHUNK) {
        let texts: Vec<&str> = chunk.iter().map(String::as_str).collect();
        encoded.extend(tokenizer.encode_documents(&texts)?);
    }
    shards::write(path, &encoded)?;
    let shard = Shard::open(path)?;
    let bytes = documents.iter().map(String::len).sum();
    Ok(ShardEntry { file, tokens: shard.tokens(), documents: shard.documents(), bytes })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let failed = |e| DataError::write(path, e);
    let temporary = path.with_extension("tmp");
    let put = || {
        let mut file = std::fs::File::create(&temporary)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    put().map_err(failed)
}
