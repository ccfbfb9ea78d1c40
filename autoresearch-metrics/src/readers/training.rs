//! Logs and files of training frameworks: a series for each metric.

use autoresearch_core::MetricError;
use autoresearch_core::internal::metric::{parse_number, read};
use serde_json::Value;

use super::entry::{Entry, number};
use crate::file::{Format, json as parsed};
use crate::files::Written;
use crate::found::found;

/// MLPerf's lines `:::MLLOG {"key": "eval_accuracy", "value": 0.75, …}`, and the time from `run_start` to `run_stop` in seconds
/// as `time_to_train`.
pub(super) fn mlperf(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, line) in text.lines().enumerate() {
        let Some((_, json)) = line.split_once(":::MLLOG") else { continue };
        let Ok(event) = parsed(json.trim()) else { continue };
        let Some(key) = event.get("key").and_then(Value::as_str) else { continue };
        let time = event.get("time_ms").and_then(Value::as_f64);
        if let Some(value) = event.get("value").and_then(number) {
            found.push(Entry::new(key, value, "", format!("{key} in line {}", at + 1)));
        }
        match (key, start, time) {
            ("run_start", _, time) => start = time,
            ("run_stop", Some(from), Some(to)) => {
                let seconds: f64 = (to - from) / 1000.0;
                found.push(Entry::new(
                    "time_to_train",
                    seconds,
                    "s",
                    format!("run_start to run_stop, line {}", at + 1),
                ));
            }
            _ => {}
        }
    }
    found
}

/// Hugging Face's `trainer_state.json`: the series of its `log_history`, and `best_metric`.
pub(super) fn trainer_state(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for (at, entry) in value.get("log_history").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let step = entry.get("step").and_then(Value::as_u64).map_or(String::new(), |step| format!(", step {step}"));
        for (name, value) in entry.as_object().into_iter().flatten() {
            if let Some(number) = number(value) {
                found.push(Entry::new(name, number, "", format!("{name} in log_history/{at}{step}")));
            }
        }
    }
    if let Some(best) = value.get("best_metric").and_then(Value::as_f64) {
        found.push(Entry::new("best_metric", best, "", "best_metric"));
    }
    found
}

/// Lines of Lightning and Keras, as any printed number: `val_loss` among `loss: 0.4 - val_loss: 0.5`.
pub(super) fn lines(output: &str, name: &str) -> Result<Vec<Entry>, MetricError> {
    match read(output, name, "", None) {
        Ok(reading) => Ok(vec![Entry::new(name, reading.value, &reading.unit, reading.source)]),
        Err(error @ (MetricError::Missing(_) | MetricError::NotNamed { .. })) => {
            let others = found(output).into_iter().map(|one| Entry::new(one.name, one.value, &one.unit, one.line));
            let others: Vec<Entry> = others.collect();
            // With one result alone the reader would take it for the metric, which has another name here.
            if others.len() < 2 { Err(error) } else { Ok(others) }
        }
        Err(error) => Err(error),
    }
}

/// The file of a CSV logger: a series for each column.
pub(super) fn csv(file: &Written) -> Result<Vec<Entry>, String> {
    let rows = Format::Csv.rows(&file.bytes)?;
    let mut found = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        for (name, cell) in row.as_object().into_iter().flatten() {
            let cell = cell.as_str().unwrap_or_default();
            match parse_number(cell) {
                Ok((value, _)) => {
                    found.push(Entry::new(name, value, "", format!("{name} in {}, row {}", file.path, at + 1)))
                }
                Err(_) if cell.is_empty() => {}
                // Left out, an older number would count in the place of the last one.
                Err(_) => {
                    let source = format!("{cell} as {name} in {}, row {}", file.path, at + 1);
                    found.push(Entry::new(name, f64::NAN, "", source));
                }
            }
        }
    }
    Ok(found)
}

/// A file of an MLflow run: lines of time, value and step. The name is the path below `metrics`.
pub(super) fn mlflow(text: &str, path: &str) -> Result<Vec<Entry>, String> {
    let name = path.rsplit_once("/metrics/").map_or(path, |(_, name)| name);
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = words.get(1).and_then(|value| value.parse::<f64>().ok());
        let Some(value) = value else { return Err(format!("has no number in line {}: `{line}`", at + 1)) };
        let step = words.get(2).and_then(|step| step.parse::<i64>().ok()).unwrap_or_default();
        found.push((step, Entry::new(name, value, "", format!("{path}, step {step}"))));
    }
    found.sort_by_key(|(step, _)| *step);
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}
