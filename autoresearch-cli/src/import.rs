//! Reads what other tools wrote as a run: one file for each format, and one for the decisions that all of them leave to make.

mod columns;
mod decide;
mod evolve;
mod found;
mod json;
mod mlflow;
mod number;
mod optuna;
mod records;
mod sqlite;
mod text;
mod words;

use std::path::{Path, PathBuf};

pub use decide::{Choices, Imported};
use found::Found;
pub use records::records;

/// The formats that are known, for a message.
pub const KNOWN: &str = "\
results.tsv and other tables (tabs, commas, semicolons, Markdown), with or without a status
  autoresearch.jsonl (pi-autoresearch), JSON lines, a JSON list of objects
  Optuna: a SQLite storage, or a journal file
  MLflow: a folder mlruns, or its SQLite database
  Weights & Biases: a table exported as CSV
  OpenEvolve: a checkpoint folder; ShinkaEvolve: its SQLite database";

/// Reads files that together are one run, in their order.
pub fn read(paths: &[PathBuf], choices: Choices<'_>) -> Result<Imported, String> {
    let mut all: Option<Found> = None;
    for path in paths {
        let found = read_one(path, choices).map_err(|why| format!("{}: {why}", path.display()))?;
        all = Some(match all {
            None => found,
            Some(before) => join(before, found, path),
        });
    }
    let all = all.ok_or("no file is given")?;
    let shown = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    decide::decide(all, choices).map_err(|why| format!("{shown}: {why}"))
}

/// Adds the rows of a further file, such as that of the next phase.
fn join(mut before: Found, next: Found, path: &Path) -> Found {
    before.rows.extend(next.rows);
    // The metric is one that all files have.
    before.metrics.retain(|metric| next.metrics.iter().any(|other| other.name == metric.name));
    before.has_status |= next.has_status;
    let named = next.problems.into_iter().map(|mut problem| {
        problem.why = format!("{}: {}", path.display(), problem.why);
        problem
    });
    before.problems.extend(named);
    before
}

fn read_one(path: &Path, choices: Choices<'_>) -> Result<Found, String> {
    let unknown = || format!("this is no format that is known; known are\n  {KNOWN}");
    if path.is_dir() {
        return match path {
            path if mlflow::is_store(path) => mlflow::store(path, choices.name),
            path if evolve::is_openevolve(path) => evolve::openevolve(path),
            _ => Err(unknown()),
        };
    }
    let bytes = std::fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.starts_with(sqlite::MAGIC) {
        return database(path, choices).and_then(|found| found.ok_or_else(unknown));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8; save it as UTF-8 and import it again".to_owned())?;
    read_text(&text, choices).and_then(|found| found.ok_or_else(unknown))
}

/// Reads a text in any of the formats that are text.
fn read_text(text: &str, choices: Choices<'_>) -> Result<Option<Found>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if optuna::is_journal(text) {
        return optuna::journal(text, choices.name).map(Some);
    }
    let json = json::read(text, choices.metric, choices.segment);
    Ok(json.or_else(|| text::read(text, choices.metric)))
}

fn database(path: &Path, choices: Choices<'_>) -> Result<Option<Found>, String> {
    let database = sqlite::open(path)?;
    let tables = sqlite::tables(&database)?;
    let has = |names: &[&str]| names.iter().all(|name| tables.iter().any(|table| table == name));
    if has(&["studies", "trials", "trial_values"]) {
        return optuna::database(&database, choices.name).map(Some);
    }
    if has(&["experiments", "runs", "latest_metrics"]) {
        return mlflow::database(&database, choices.name).map(Some);
    }
    if has(&["programs"]) && evolve::is_shinka(&sqlite::columns(&database, "programs")?) {
        return evolve::shinka(&database).map(Some);
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
