//! MLflow: the runs of an experiment, in a folder `mlruns` or in a database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::found::{Found, FoundRow};
use super::sqlite::{choose, rows};
use super::words::Word;

/// A run as both stores have it.
#[derive(Debug, Default)]
struct Run {
    id: String,
    name: String,
    status: String,
    started: i64,
    metrics: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

/// Reads an experiment of a database.
pub fn database(database: &Connection, name: Option<&str>) -> Result<Found, String> {
    let query = "SELECT e.name, e.experiment_id FROM experiments e WHERE EXISTS \
                 (SELECT 1 FROM runs r WHERE r.experiment_id = e.experiment_id) ORDER BY e.experiment_id";
    let experiments = rows(database, query, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let experiment = choose("experiment", experiments, name)?;
    let query = "SELECT run_uuid, name, status, start_time FROM runs \
                 WHERE experiment_id = ?1 AND lifecycle_stage = 'active' ORDER BY start_time";
    let mut runs = rows(database, query, [experiment], |row| {
        Ok(Run {
            id: row.get(0)?,
            name: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            status: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            started: row.get::<_, Option<i64>>(3)?.unwrap_or_default(),
            ..Run::default()
        })
    })?;
    for run in &mut runs {
        let query = "SELECT key, value FROM latest_metrics WHERE run_uuid = ?1 AND is_nan = 0";
        let metrics = rows(database, query, [&run.id], |row| Ok((row.get(0)?, row.get::<_, f64>(1)?.to_string())))?;
        run.metrics = metrics.into_iter().collect();
        let query = "SELECT key, value FROM params WHERE run_uuid = ?1";
        let parameters = rows(database, query, [&run.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        run.parameters = parameters.into_iter().collect();
    }
    Ok(found("a database of MLflow", runs))
}

/// The experiments of a folder `mlruns`: each a folder with a file `meta.yaml` and one folder for each run.
fn experiments(folder: &Path) -> Vec<(String, PathBuf)> {
    let inner = folder.join("mlruns");
    let folder = if inner.is_dir() { inner } else { folder.to_owned() };
    // The folder of one experiment does as well.
    let mut folders: Vec<PathBuf> = std::iter::once(folder.clone()).chain(folders(&folder)).collect();
    folders.retain(|folder| folder.join("meta.yaml").is_file() && !runs_of(folder).is_empty());
    folders.into_iter().map(|folder| (meta(&folder).remove("name").unwrap_or_default(), folder)).collect()
}

fn runs_of(experiment: &Path) -> Vec<PathBuf> {
    let mut runs = folders(experiment);
    // A run that failed early has no metrics.
    runs.retain(|run| ["run_id", "run_uuid"].iter().any(|name| meta(run).contains_key(*name)));
    runs
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// True if a folder is a store of MLflow.
pub fn is_store(folder: &Path) -> bool {
    !experiments(folder).is_empty()
}

/// Reads an experiment of a folder.
pub fn store(folder: &Path, name: Option<&str>) -> Result<Found, String> {
    let experiment = choose("experiment", experiments(folder), name)?;
    let mut runs: Vec<Run> = runs_of(&experiment).iter().map(|folder| run(folder)).collect();
    runs.retain(|run| run.status != "deleted");
    runs.sort_by_key(|run| run.started);
    Ok(found("a store of MLflow", runs))
}

fn run(folder: &Path) -> Run {
    let mut meta = meta(folder);
    let mut field = |name: &str| meta.remove(name).unwrap_or_default();
    // The store numbers its states.
    let status = match (field("lifecycle_stage").as_str(), field("status").as_str()) {
        ("deleted", _) => "deleted".to_owned(),
        (_, "3") => "FINISHED".to_owned(),
        (_, "4") => "FAILED".to_owned(),
        (_, "5") => "KILLED".to_owned(),
        (_, "1" | "2") => "RUNNING".to_owned(),
        (_, other) => other.to_owned(),
    };
    let name = Some(field("run_name")).filter(|name| !name.is_empty());
    let name = name.or_else(|| fs::read_to_string(folder.join("tags/mlflow.runName")).ok()).unwrap_or_default();
    let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let started = field("start_time").parse().unwrap_or_default();
    let (mut metrics, mut parameters) = (BTreeMap::new(), BTreeMap::new());
    texts(&folder.join("metrics"), "", &mut metrics);
    texts(&folder.join("params"), "", &mut parameters);
    // `time value step` on each line; the last one counts.
    for history in metrics.values_mut() {
        let last = history.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        *history = last.split_whitespace().nth(1).unwrap_or_default().to_owned();
    }
    Run { id, name: name.trim().to_owned(), status, started, metrics, parameters }
}

/// The texts of all files below a folder, by their paths.
fn texts(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => texts(&entry.path(), &format!("{name}/"), into),
            false => drop(fs::read_to_string(entry.path()).map(|text| into.insert(name, text.trim_end().to_owned()))),
        }
    }
}

/// The fields of `meta.yaml`, which has one to a line and nothing nested.
fn meta(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join("meta.yaml")).unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned())).collect()
}

fn found(format: &str, runs: Vec<Run>) -> Found {
    let mut found = Found::of(format);
    for (number, run) in runs.into_iter().enumerate() {
        let mut row = FoundRow::at(number);
        let parameters: Vec<String> = run.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let parts = [run.name, parameters.join(", ")];
        row.description = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(": ");
        row.commit = run.id.chars().take(7).collect();
        row.word = match run.status.as_str() {
            "FINISHED" => Some(Word::Ran),
            "FAILED" | "KILLED" => Some(Word::Crash),
            _ => Some(Word::Open),
        };
        row.recorded = run.status;
        for name in run.metrics.keys() {
            found.add_metric(name, None);
        }
        row.values = run.metrics;
        found.rows.push(row);
    }
    // The metrics of all runs come first: a metric of few runs is hardly what decides.
    let count = |name: &String| found.rows.iter().filter(|row| row.values.contains_key(name)).count();
    let mut metrics = std::mem::take(&mut found.metrics);
    metrics.sort_by_key(|metric| std::cmp::Reverse(count(&metric.name)));
    found.metrics = metrics;
    found
}
