//! Writes packed rows of prepared data to a file, as 16-bit tokens, little endian, one row of `max_seq_len + 1` after the
//! other: what the trainer sees, in its order, for programs in other languages.
//!
//! `cargo run -p autoresearch-llm --example rows -- FOLDER train|val TOKENS FILE`, with as many rows as TOKENS inputs fill.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use autoresearch_llm::{Split, Workload};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, split, tokens, file] = &arguments[..] else {
        return Err("give FOLDER train|val TOKENS FILE".into());
    };
    let split = match split.as_str() {
        "train" => Split::Train,
        "val" => Split::Val,
        other => return Err(format!("there is no split `{other}`; give train or val").into()),
    };
    let workload = Workload::open(Path::new(folder))?;
    let seq_len = workload.fixed.max_seq_len;
    // The order of rows does not depend on how many make a batch.
    let mut loader = workload.loader(split, 1, seq_len)?;
    let (mut inputs, mut targets) = (vec![0; seq_len], vec![0; seq_len]);
    let mut out = BufWriter::new(File::create(file)?);
    for _ in 0..tokens.parse::<usize>()? / seq_len {
        loader.next_batch(&mut inputs, &mut targets)?;
        for token in inputs.iter().chain(targets.last()) {
            out.write_all(&u16::try_from(*token)?.to_le_bytes())?;
        }
    }
    out.flush()?;
    Ok(())
}
