//! JSON: lines of objects, with a line of configuration as pi-autoresearch writes it or without, and lists of objects.

use std::collections::{BTreeMap, BTreeSet};

use autoresearch_core::Direction;
use serde_json::{Map, Value};

use super::columns::Cells;
use super::found::{Found, FoundMetric, FoundRow};
use super::words::{suggested, word};
use crate::text::clean;

/// Reads lines of JSON, or one JSON value that holds a list of objects; `None` if the text is none of these.
pub fn read(text: &str, wanted: Option<&str>, segment: Option<usize>) -> Option<Found> {
    let objects = objects(text)?;
    if let Some((metric, direction)) = exported(text) {
        let mut found = flat(objects, Some(SCORE));
        for row in &mut found.rows {
            row.values.retain(|name, _| name == SCORE || *name != metric);
            if let Some(score) = row.values.remove(SCORE) {
                row.values.insert(metric.clone(), score);
            }
        }
        found.metrics.retain(|other| other.name != SCORE && other.name != metric);
        found.metrics.insert(0, FoundMetric { name: metric, direction });
        return Some(found);
    }
    let is_config = |object: &Map<String, Value>| object.get("type").is_some_and(|kind| kind == "config");
    let has_metric = |object: &Map<String, Value>| object.contains_key("metric") && object.contains_key("status");
    if objects.iter().any(|(_, object)| is_config(object)) || objects.iter().any(|(_, object)| has_metric(object)) {
        return Some(segments(objects, segment));
    }
    Some(flat(objects, wanted))
}

/// The field of an experiment's score in what `export` and `log` print.
const SCORE: &str = "score";

/// The metric and its direction, if a text is what `export` and `log` print.
fn exported(text: &str) -> Option<(String, Option<Direction>)> {
    let value: Value = serde_json::from_str(text).ok()?;
    let experiments = value["experiments"].as_array()?;
    let is_ours = value["version"].is_u64() && experiments.iter().any(|experiment| !experiment[SCORE].is_null());
    is_ours.then(|| Some((value["metric"].as_str()?.to_owned(), direction(value["direction"].as_str()?))))?
}

/// The objects of a text, each with its line or its number.
fn objects(text: &str) -> Option<Vec<(usize, Map<String, Value>)>> {
    let start = text.trim_start();
    if !start.starts_with(['{', '[']) {
        return None;
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let listed = |values: Vec<Value>| -> Vec<(usize, Map<String, Value>)> {
            let objects = (1..).zip(values).filter_map(|(number, value)| match value {
                Value::Object(object) => Some((number, object)),
                _ => None,
            });
            objects.collect()
        };
        return match value {
            Value::Array(values) => Some(listed(values)),
            // `{"experiments": [{…}]}` and its like.
            Value::Object(object) => {
                let lists = object.clone().into_iter().filter_map(|(_, value)| match value {
                    Value::Array(values) if values.iter().any(Value::is_object) => Some(values),
                    _ => None,
                });
                Some(lists.max_by_key(Vec::len).map_or_else(|| vec![(1, object)], listed))
            }
            _ => None,
        };
    }
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        // The last line may be torn, and another one no object.
        if let Ok(Value::Object(object)) = serde_json::from_str(line) {
            found.push((number, object));
        }
    }
    (!found.is_empty()).then_some(found)
}

/// A part of a file of pi-autoresearch: a configuration, and the runs until the next one.
#[derive(Default)]
struct Segment {
    metric: Option<String>,
    direction: Option<Direction>,
    runs: Vec<(usize, Map<String, Value>)>,
}

/// Reads the segment of this number, from 0: the last one that has runs by default. Their numbers do not compare.
fn segments(objects: Vec<(usize, Map<String, Value>)>, wanted: Option<usize>) -> Found {
    let mut all = vec![Segment::default()];
    for (line, object) in objects {
        if object.get("type").is_some_and(|kind| kind == "config") {
            let text = |names: &[&str]| names.iter().find_map(|name| object.get(*name)?.as_str()).map(str::to_owned);
            all.push(Segment {
                metric: text(&["metricName", "metric_name", "metric"]),
                direction: text(&["bestDirection", "best_direction", "direction"]).as_deref().and_then(direction),
                runs: Vec::new(),
            });
        } else if let Some(segment) = all.last_mut() {
            segment.runs.push((line, object));
        }
    }
    // Lines before the first configuration are a segment if there are any.
    if all.first().is_some_and(|first| first.runs.is_empty()) && all.len() > 1 {
        all.remove(0);
    }
    let mut found = Found::of("an autoresearch.jsonl");
    let count = all.len();
    let last = all.iter().rposition(|segment| !segment.runs.is_empty()).unwrap_or(0);
    let chosen = wanted.unwrap_or(last);
    let Some(segment) = all.into_iter().nth(chosen) else {
        found.problem(
            1,
            format!("there is no segment {chosen}; the file has those from 0 to {}", count.saturating_sub(1)),
        );
        return found;
    };
    if count > 1 && wanted.is_none() {
        let why = format!(
            "the file has {count} segments, whose numbers do not compare; this is the last, {chosen}: --segment takes another"
        );
        found.problem(segment.runs.first().map_or(1, |(line, _)| *line), why);
    }
    found.has_status = true;
    let metric = segment.metric.unwrap_or_else(|| "metric".into());
    found.add_metric(&metric, segment.direction);
    for (line, object) in segment.runs {
        let text = |name: &str| object.get(name).map_or(String::new(), shown);
        let mut row = FoundRow::at(line);
        row.recorded = text("status");
        row.word = word(&row.recorded);
        row.description = text("description");
        row.commit = Some(text("commit")).filter(|commit| !commit.is_empty()).unwrap_or_else(|| "-".into());
        for (name, value) in object.get("metrics").and_then(Value::as_object).into_iter().flatten() {
            row.values.insert(name.clone(), shown(value));
            found.add_metric(name, None);
        }
        row.values.insert(metric.clone(), text("metric"));
        found.rows.push(row);
    }
    found
}

/// Understands the direction of a configuration.
pub fn direction(text: &str) -> Option<Direction> {
    match text.to_lowercase().as_str() {
        "lower" | "min" | "minimize" | "minimise" | "lower_is_better" | "down" => Some(Direction::Minimise),
        "higher" | "max" | "maximize" | "maximise" | "higher_is_better" | "up" => Some(Direction::Maximise),
        _ => None,
    }
}

/// Reads objects as the rows of a table: a nested field by as much of its path as tells it from the others.
fn flat(objects: Vec<(usize, Map<String, Value>)>, wanted: Option<&str>) -> Found {
    let flattened = objects.into_iter().map(|(line, object)| {
        let mut cells = BTreeMap::new();
        flatten("", &object, &mut cells);
        (line, cells)
    });
    let flattened: Vec<(usize, BTreeMap<String, String>)> = flattened.collect();
    let paths: BTreeSet<String> = flattened.iter().flat_map(|(_, cells)| cells.keys().cloned()).collect();
    let mut columns: Vec<(String, &String)> = paths.iter().map(|path| (shortened(path, &paths), path)).collect();
    // The order of fields means nothing: what sounds like a metric comes first.
    columns.sort_by_key(|(name, _)| (suggested(name).is_none(), name.clone()));
    let row = |cells: &BTreeMap<String, String>| -> Vec<String> {
        columns.iter().map(|(_, path)| cells.get(*path).cloned().unwrap_or_default()).collect()
    };
    let rows = flattened.iter().map(|(line, cells)| (*line, row(cells))).collect();
    let header = columns.iter().map(|(name, _)| name.clone()).collect();
    Cells { header, rows, separator: " " }.read("JSON", wanted)
}

/// The shortest end of a path that no other one has.
fn shortened(path: &str, paths: &BTreeSet<String>) -> String {
    let starts = path.rmatch_indices('.').map(|(at, _)| at + 1).chain([0]);
    let ends = |other: &String, end: &str| other == end || other.ends_with(&format!(".{end}"));
    let mut shortest = starts.map(|start| &path[start..]);
    let found = shortest.find(|end| paths.iter().filter(|other| ends(other, end)).count() == 1);
    found.unwrap_or(path).to_owned()
}

/// Adds the fields of an object by their paths. Lists are passed over.
fn flatten(prefix: &str, object: &Map<String, Value>, into: &mut BTreeMap<String, String>) {
    for (name, value) in object {
        match value {
            Value::Object(inner) => flatten(&format!("{prefix}{name}."), inner, into),
            Value::Array(_) => {}
            value => drop(into.insert(format!("{prefix}{name}"), shown(value))),
        }
    }
}

/// A value as the text of a cell.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => clean(text).replace(char::is_control, " "),
        other => other.to_string(),
    }
}
