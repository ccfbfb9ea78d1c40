//! Evolutionary searches: the programs of OpenEvolve (a folder of JSON files) and of ShinkaEvolve (a database). In both a
//! higher `combined_score` is better by definition.

use std::fs;
use std::path::{Path, PathBuf};

use autoresearch_core::Direction;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::{Map, Value};

use super::found::{Found, FoundRow};
use super::sqlite::{columns, rows};
use super::words::Word;

const SCORE: &str = "combined_score";

/// The folder with the programs of OpenEvolve: that of a checkpoint, or of the last one.
fn programs(folder: &Path) -> Option<PathBuf> {
    let own = folder.join("programs");
    if own.is_dir() {
        return Some(own);
    }
    let all = [folder.to_owned(), folder.join("checkpoints"), folder.join("openevolve_output/checkpoints")];
    let checkpoints = all.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let numbered = checkpoints.filter_map(|entry| {
        let number: u64 = entry.file_name().to_str()?.strip_prefix("checkpoint_")?.parse().ok()?;
        Some((number, entry.path().join("programs")))
    });
    numbered.filter(|(_, programs)| programs.is_dir()).max().map(|(_, programs)| programs)
}

/// True if a folder holds programs of OpenEvolve.
pub fn is_openevolve(folder: &Path) -> bool {
    programs(folder).is_some()
}

/// Reads the programs of a folder in the order in which they were found.
pub fn openevolve(folder: &Path) -> Result<Found, String> {
    let mut found = Found::of("programs of OpenEvolve");
    found.add_metric(SCORE, Some(Direction::Maximise));
    let folder = programs(folder).ok_or("it has no folder programs")?;
    let mut all: Vec<(u64, f64, FoundRow)> = Vec::new();
    let files = fs::read_dir(&folder).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let Ok(Value::Object(program)) = serde_json::from_str(&text) else {
            found.problem(0, format!("{} is no JSON object; it is left out", path.display()));
            continue;
        };
        let iteration = program.get("iteration_found").and_then(Value::as_u64).unwrap_or_default();
        let time = program.get("timestamp").and_then(Value::as_f64).unwrap_or_default();
        let mut row = FoundRow::at(iteration as usize);
        let text = |name: &str| program.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        row.commit = text("id").chars().take(8).collect();
        let changes = program.get("metadata").and_then(|metadata| metadata["changes"].as_str());
        row.description = changes.map_or_else(|| format!("iteration {iteration}"), one_line);
        let metrics = program.get("metrics").and_then(Value::as_object);
        add_metrics(&mut found, &mut row, metrics);
        // A program without a score failed in its evaluation.
        let failed = metrics.is_none_or(|metrics| metrics.is_empty() || metrics.contains_key("error"));
        row.word = Some(if failed { Word::Crash } else { Word::Ran });
        row.recorded = if failed { "no metrics".into() } else { "evaluated".into() };
        all.push((iteration, time, row));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    found.rows = all.into_iter().map(|(_, _, row)| row).collect();
    average(&mut found);
    Ok(found)
}

/// True if a table `programs` is that of ShinkaEvolve.
pub fn is_shinka(columns: &[String]) -> bool {
    ["generation", SCORE, "correct"].iter().all(|name| columns.iter().any(|column| column == name))
}

/// Reads the programs of a database in the order of their generations.
pub fn shinka(database: &Connection) -> Result<Found, String> {
    let known = columns(database, "programs")?;
    let column = |name: &str| if known.iter().any(|column| column == name) { name.to_owned() } else { "NULL".into() };
    let query = format!(
        "SELECT id, generation, {SCORE}, correct, {}, {} FROM programs ORDER BY generation, {}",
        column("public_metrics"),
        column("metadata"),
        if known.iter().any(|column| column == "timestamp") { "timestamp" } else { "rowid" }
    );
    let mut found = Found::of("a database of ShinkaEvolve");
    found.add_metric(SCORE, Some(Direction::Maximise));
    let programs = rows(database, &query, [], |row| {
        let text = |at: usize| match row.get::<_, Sql>(at)? {
            Sql::Text(text) => Ok(text),
            _ => Ok::<_, rusqlite::Error>(String::new()),
        };
        let (id, metrics, metadata) = (text(0)?, text(4)?, text(5)?);
        Ok((id, row.get::<_, i64>(1)?, row.get::<_, Option<f64>>(2)?, row.get::<_, Option<i64>>(3)?, metrics, metadata))
    })?;
    for (id, generation, score, correct, metrics, metadata) in programs {
        let mut row = FoundRow::at(generation.max(0) as usize);
        row.commit = id.chars().take(8).collect();
        let metadata: Value = serde_json::from_str(&metadata).unwrap_or(Value::Null);
        let described = ["patch_name", "patch_description"].iter().find_map(|name| metadata[*name].as_str());
        row.description = described.map_or_else(|| format!("generation {generation}"), one_line);
        let metrics: Value = serde_json::from_str(&metrics).unwrap_or(Value::Null);
        add_metrics(&mut found, &mut row, metrics.as_object());
        row.values.insert(SCORE.into(), score.map_or(String::new(), |score| score.to_string()));
        let is_correct = correct.unwrap_or_default() != 0;
        row.word = Some(if is_correct { Word::Ran } else { Word::Crash });
        row.recorded = if is_correct { "correct".into() } else { "incorrect".into() };
        found.rows.push(row);
    }
    Ok(found)
}

fn add_metrics(found: &mut Found, row: &mut FoundRow, metrics: Option<&Map<String, Value>>) {
    for (name, value) in metrics.into_iter().flatten() {
        if let Some(number) = value.as_f64() {
            row.values.insert(name.clone(), number.to_string());
            found.add_metric(name, None);
        }
    }
}

/// OpenEvolve takes the mean of all metrics where there is no combined score.
fn average(found: &mut Found) {
    if found.rows.iter().any(|row| row.values.contains_key(SCORE)) {
        return;
    }
    for row in found.rows.iter_mut().filter(|row| !row.values.is_empty()) {
        let numbers: Vec<f64> = row.values.values().filter_map(|value| value.parse().ok()).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len().max(1) as f64;
        row.values.insert(SCORE.into(), mean.to_string());
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
