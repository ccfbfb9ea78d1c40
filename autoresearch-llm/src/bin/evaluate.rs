//! Measures val_bpb of the model that a run left, without trusting its program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use autoresearch_llm::Workload;
use autoresearch_llm::strict::error::StrictError;
use autoresearch_llm::strict::evaluate::{Settings, evaluate};
use clap::Parser;

/// Measure val_bpb of the model that a run left (AUTORESEARCH_STRICT=1), and write it into AUTORESEARCH_RESULT.
#[derive(Parser)]
struct Arguments {
    /// The prepared data.
    #[arg(long)]
    data: PathBuf,
    /// The folder with the model and its server.
    #[arg(long)]
    inputs: PathBuf,
    /// Sequences of a batch.
    #[arg(long, default_value_t = 8)]
    rows: usize,
    /// Number of sequences that are asked about again, to catch a model that looks ahead or keeps state.
    #[arg(long, default_value_t = 128)]
    probes: usize,
    /// Largest difference between two answers that must be the same, in nats of a token.
    #[arg(long, default_value_t = 1e-3)]
    tolerance: f64,
    /// Seconds until the server must have its weights, and until it must have answered a batch.
    #[arg(long, default_value_t = 60.0)]
    limit: f64,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), StrictError> {
    let Arguments { data, inputs, rows, probes, tolerance, limit } = arguments;
    let limit = Duration::try_from_secs_f64(limit)
        .map_err(|_| StrictError::Machine(format!("--limit is {limit}; give a number of seconds")))?;
    let workload = Workload::open(&data)?;
    let report = evaluate(&workload, &Settings { inputs, rows, probes, tolerance, limit })?;
    print!("{report}");
    let Some(path) = std::env::var_os("AUTORESEARCH_RESULT") else { return Ok(()) };
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut result| writeln!(result, "val_bpb: {}", report.val_bpb));
    written.map_err(|e| {
        StrictError::Machine(format!("cannot write the result to {}: {e}", PathBuf::from(&path).display()))
    })
}
