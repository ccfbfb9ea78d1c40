//! `autoresearch export`: the experiments of a run as JSON, CSV or karpathy's table.

use std::process::ExitCode;

use autoresearch_core::State;
use autoresearch_core::internal::results;
use clap::{Args, ValueEnum};

use crate::error::CommandError;
use crate::json::{self, ExperimentAnswer, LogAnswer};
use crate::repository::Repository;
use crate::text::{clean, clean_line, terminal};

/// A form of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Csv,
    Tsv,
}

/// Print all experiments of a run: as JSON, as CSV, or as a results.tsv in karpathy's columns.
#[derive(Debug, Args)]
#[command(
    after_help = "docs/json.md has the fields of json and csv.\n\nExample:\n  autoresearch export --format csv > mar8.csv"
)]
pub struct ExportArgs {
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// The form.
    #[arg(long, value_enum, default_value = "json", hide_possible_values = true, value_name = "json|csv|tsv")]
    format: Format,
}

/// Prints the experiments.
pub fn export(repository: &Repository, args: ExportArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag)?;
    let state = repository.state(&tag)?;
    let text = match args.format {
        Format::Json => json::text(&LogAnswer::new(&tag, &state, &state.experiments))? + "\n",
        Format::Csv => csv(&state),
        Format::Tsv => results::table(&state),
    };
    terminal::raw(clean(&text).as_bytes()).map_err(CommandError::Other)?;
    Ok(ExitCode::SUCCESS)
}

/// The columns of a CSV file, before those of the secondary metrics.
const COLUMNS: [&str; 18] = [
    "experiment",
    "status",
    "score",
    "before",
    "gain",
    "description",
    "reason",
    "commit",
    "parent",
    "memory_gb",
    "trials",
    "started",
    "finished",
    "seconds",
    "proposer",
    "dollars",
    "tokens",
    "calls",
];

/// Formats all experiments as CSV: the metrics of all of them are columns behind the others.
fn csv(state: &State) -> String {
    let rows: Vec<ExperimentAnswer> =
        state.experiments.iter().map(|made| ExperimentAnswer::decided(state, made)).collect();
    let mut metrics: Vec<&str> = rows.iter().flat_map(|row| row.metrics.keys().map(String::as_str)).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let header: Vec<String> = COLUMNS.iter().chain(&metrics).map(|name| (*name).to_owned()).collect();
    let cells = rows.iter().map(|row| {
        let known = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let mut cells = vec![
            row.experiment.to_string(),
            row.status.clone(),
            known(row.score),
            known(row.before),
            known(row.gain),
            row.description.clone(),
            row.reason.clone(),
            row.commit.clone(),
            row.parent.clone().unwrap_or_default(),
            row.memory_gb.to_string(),
            row.trials.to_string(),
            row.started.clone(),
            row.finished.clone().unwrap_or_default(),
            row.seconds.to_string(),
            row.proposer.clone(),
            row.dollars.to_string(),
            row.tokens.to_string(),
            row.calls.to_string(),
        ];
        cells.extend(metrics.iter().map(|name| known(row.metrics.get(*name).copied())));
        cells
    });
    std::iter::once(header).chain(cells).map(|cells| line(&cells)).collect()
}

/// A line of CSV (RFC 4180), each cell in one line.
fn line(cells: &[String]) -> String {
    let quoted = cells.iter().map(|cell| match clean_line(cell) {
        cell if cell.contains([',', '"']) => format!("\"{}\"", cell.replace('"', "\"\"")),
        cell => cell,
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}
