//! Prepares the data of a workload: documents, tokenizer, token shards.

use std::path::PathBuf;
use std::process::ExitCode;

use autoresearch_llm::DataError;
use autoresearch_llm::corpus::{cache_folder, public::Public};
use autoresearch_llm::prepare::{Corpus, prepare};
use autoresearch_llm::workload::{Fixed, Workload};
use clap::Parser;
use serde::Deserialize;

/// Prepare documents, a tokenizer and token shards for training. A second call finds everything ready.
#[derive(Parser)]
struct Arguments {
    /// A preset, whose table `workload` gives what the other options leave open.
    #[arg(long)]
    preset: PathBuf,
    /// Folder for the prepared data [default: data/nanochat-PRESET in the cache].
    #[arg(long)]
    out: Option<PathBuf>,
    /// crates (the offline default), climbmix, fineweb-edu, tinystories or tinyshakespeare.
    #[arg(long)]
    corpus: Option<String>,
    /// Text, JSON Lines or parquet files, or folders of them, instead of a corpus.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Files or folders for validation; without them about one document in thirty is held out.
    #[arg(long, requires = "data")]
    val: Vec<PathBuf>,
    /// The number of tokens, special ones included.
    #[arg(long)]
    vocab_size: Option<usize>,
    /// The context length in tokens.
    #[arg(long)]
    max_seq_len: Option<usize>,
    /// Number of tokens that val_bpb is measured on.
    #[arg(long)]
    eval_tokens: Option<usize>,
    /// Number of training shards of a public data set to download.
    #[arg(long)]
    num_shards: Option<usize>,
    /// A mirror of the public data set's server.
    #[arg(long)]
    base_url: Option<String>,
}

#[derive(Deserialize)]
struct Preset {
    workload: Defaults,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    corpus: String,
    #[serde(default = "ten")]
    num_shards: usize,
    vocab_size: usize,
    max_seq_len: usize,
    eval_tokens: usize,
    time_budget_seconds: f64,
    untimed_steps: u64,
}

fn ten() -> usize {
    10
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(workload) => {
            report(&workload);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Workload, DataError> {
    let path = &arguments.preset;
    let text = std::fs::read_to_string(path)
        .map_err(|e| DataError::Setting(format!("cannot read the preset {}: {e}", path.display())))?;
    let preset: Preset = toml::from_str(&text)
        .map_err(|e| DataError::Setting(format!("the preset {} is not valid: {e}", path.display())))?;
    let Defaults { corpus, num_shards, vocab_size, max_seq_len, eval_tokens, time_budget_seconds, untimed_steps } =
        preset.workload;
    let fixed = Fixed {
        vocab_size: arguments.vocab_size.unwrap_or(vocab_size),
        max_seq_len: arguments.max_seq_len.unwrap_or(max_seq_len),
        eval_tokens: arguments.eval_tokens.unwrap_or(eval_tokens),
        time_budget_seconds,
        untimed_steps,
    };
    let name = arguments.corpus.unwrap_or(corpus);
    let corpus = match (arguments.data.is_empty(), name.as_str(), Public::named(&name)) {
        (false, ..) => Corpus::Files(arguments.data, arguments.val),
        (_, "crates", _) => Corpus::Crates,
        (_, _, Some(set)) => Corpus::Public(set, arguments.num_shards.unwrap_or(num_shards), arguments.base_url),
        (_, _, None) => {
            return Err(DataError::Setting(format!(
                "there is no corpus `{name}`; there are crates, climbmix, fineweb-edu, tinystories and tinyshakespeare, or give --data"
            )));
        }
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = match arguments.out {
        Some(folder) => folder,
        None => cache_folder()?.join("data").join(format!("nanochat-{stem}")),
    };
    prepare(&folder, &corpus, &fixed, &|line| eprintln!("{line}"))
}

fn report(workload: &Workload) {
    println!("data: {}", workload.folder().display());
    for (name, entries) in [("train", &workload.train), ("val", &workload.val)] {
        let sum = |of: fn(&autoresearch_llm::workload::ShardEntry) -> usize| entries.iter().map(of).sum::<usize>();
        let (tokens, bytes) = (sum(|e| e.tokens), sum(|e| e.bytes));
        println!(
            "{name}: {} documents, {bytes} bytes, {tokens} tokens, {:.2} bytes per token",
            sum(|e| e.documents),
            bytes as f64 / tokens as f64
        );
    }
    println!("vocabulary: {}; corpus sha256: {}", workload.fixed.vocab_size, workload.corpus_sha256);
}
