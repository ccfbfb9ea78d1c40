//! Optuna: a study in a relational storage (SQLite), or in a journal file.

use std::collections::BTreeMap;

use autoresearch_core::Direction;
use rusqlite::Connection;
use serde_json::Value;

use super::found::{Found, FoundRow};
use super::sqlite::{choose, rows};
use super::words::Word;

/// A trial as both storages have it.
#[derive(Debug, Clone, Default)]
struct Trial {
    number: usize,
    state: State,
    values: Vec<Option<f64>>,
    parameters: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Complete,
    Pruned,
    Failed,
}

/// Reads a study of a database.
pub fn database(database: &Connection, name: Option<&str>) -> Result<Found, String> {
    let studies = rows(database, "SELECT study_name, study_id FROM studies ORDER BY study_id", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let study = choose("study", studies, name)?;
    let query = "SELECT direction FROM study_directions WHERE study_id = ?1 ORDER BY objective";
    let directions = rows(database, query, [study], |row| row.get::<_, String>(0))?;
    let directions = directions.iter().map(|direction| super::json::direction(direction)).collect();
    let query = "SELECT trial_id, number, state FROM trials WHERE study_id = ?1 ORDER BY number";
    let trials = rows(database, query, [study], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut read = Vec::new();
    for (id, number, state) in trials {
        let query = "SELECT objective, value FROM trial_values WHERE trial_id = ?1 ORDER BY objective";
        let values = rows(database, query, [id], |row| row.get::<_, Option<f64>>(1))?;
        let query = "SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id = ?1";
        let parameters = rows(database, query, [id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<f64>>(1)?, row.get::<_, String>(2)?))
        })?;
        let shown = |(name, value, distribution): (String, Option<f64>, String)| {
            let distribution = serde_json::from_str(&distribution).unwrap_or(Value::Null);
            (name, parameter(value.unwrap_or(f64::NAN), &distribution))
        };
        let state = match state.as_str() {
            "COMPLETE" => State::Complete,
            "PRUNED" => State::Pruned,
            "FAIL" => State::Failed,
            _ => State::Open,
        };
        let parameters = parameters.into_iter().map(shown).collect();
        read.push(Trial { number: number as usize, state, values, parameters });
    }
    Ok(found("a database of Optuna", directions, read))
}

/// A study of a journal file.
#[derive(Default)]
struct Study {
    name: String,
    directions: Vec<Option<Direction>>,
    trials: Vec<Trial>,
    /// True if it was deleted; its number is not given again.
    is_deleted: bool,
}

/// True if a text is a journal of Optuna.
pub fn is_journal(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.starts_with('{') && line.contains("\"op_code\""))
}

/// Reads a study of a journal file: one operation on each line, studies and trials numbered in the order of their making.
pub fn journal(text: &str, name: Option<&str>) -> Result<Found, String> {
    let mut studies: Vec<Study> = Vec::new();
    // The study of each trial, and its place there.
    let mut places: Vec<(usize, usize)> = Vec::new();
    for operation in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let number = |name: &str| operation[name].as_u64().map(|number| number as usize);
        match operation["op_code"].as_u64() {
            // Each process that goes on with a study asks for it anew, which makes none.
            Some(0) if studies.iter().any(|study| !study.is_deleted && operation["study_name"] == *study.name) => {}
            Some(0) => studies.push(Study {
                name: operation["study_name"].as_str().unwrap_or_default().to_owned(),
                directions: list(&operation["directions"])
                    .map(|direction| match direction.as_u64() {
                        Some(1) => Some(Direction::Minimise),
                        Some(2) => Some(Direction::Maximise),
                        _ => None,
                    })
                    .collect(),
                trials: Vec::new(),
                is_deleted: false,
            }),
            Some(1) => {
                if let Some(study) = number("study_id").and_then(|at| studies.get_mut(at)) {
                    study.is_deleted = true;
                }
            }
            Some(4) => {
                let Some(at) = number("study_id").filter(|at| *at < studies.len()) else { continue };
                let trial = Trial { number: studies[at].trials.len(), ..Trial::default() };
                places.push((at, trial.number));
                studies[at].trials.push(trial);
                // A trial that was added whole.
                apply_state(&mut studies, &places, places.len() - 1, &operation);
                if let Some(distributions) = operation["distributions"].as_object() {
                    for (name, distribution) in distributions {
                        let distribution = distribution.as_str().and_then(|text| serde_json::from_str(text).ok());
                        let value = operation["params"][name].as_f64().unwrap_or(f64::NAN);
                        let shown = parameter(value, &distribution.unwrap_or(Value::Null));
                        studies[at].trials.last_mut().map(|trial| trial.parameters.insert(name.clone(), shown));
                    }
                }
            }
            Some(5) => {
                let Some((study, trial)) = number("trial_id").and_then(|at| places.get(at)) else { continue };
                let distribution = operation["distribution"].as_str().and_then(|text| serde_json::from_str(text).ok());
                let value = operation["param_value_internal"].as_f64().unwrap_or(f64::NAN);
                let name = operation["param_name"].as_str().unwrap_or_default().to_owned();
                let shown = parameter(value, &distribution.unwrap_or(Value::Null));
                studies[*study].trials[*trial].parameters.insert(name, shown);
            }
            Some(6) => {
                if let Some(at) = number("trial_id") {
                    apply_state(&mut studies, &places, at, &operation);
                }
            }
            _ => {}
        }
    }
    let named =
        studies.into_iter().filter(|study| !study.is_deleted).map(|study| (study.name.clone(), study)).collect();
    let study = choose("study", named, name)?;
    Ok(found("a journal of Optuna", study.directions, study.trials))
}

fn apply_state(studies: &mut [Study], places: &[(usize, usize)], at: usize, operation: &Value) {
    let trial = places.get(at).and_then(|(study, trial)| studies.get_mut(*study)?.trials.get_mut(*trial));
    let Some(trial) = trial else { return };
    trial.state = match operation["state"].as_u64() {
        Some(1) => State::Complete,
        Some(2) => State::Pruned,
        Some(3) => State::Failed,
        _ => State::Open,
    };
    let values: Vec<Option<f64>> = list(&operation["values"]).map(Value::as_f64).collect();
    if !values.is_empty() {
        trial.values = values;
    } else if let Some(value) = operation["value"].as_f64() {
        trial.values = vec![Some(value)];
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A parameter as a person reads it: of a choice that value, of a whole number no fraction.
fn parameter(value: f64, distribution: &Value) -> String {
    let attributes = &distribution["attributes"];
    match distribution["name"].as_str() {
        Some("CategoricalDistribution") => match &attributes["choices"][value as usize] {
            Value::String(choice) => choice.clone(),
            other => other.to_string(),
        },
        _ => value.to_string(),
    }
}

fn found(format: &str, directions: Vec<Option<Direction>>, trials: Vec<Trial>) -> Found {
    let mut found = Found::of(format);
    found.has_status = false;
    let single = directions.len() <= 1;
    let name = |objective: usize| if single { "value".to_owned() } else { format!("value_{objective}") };
    for (objective, direction) in directions.iter().enumerate() {
        found.add_metric(&name(objective), *direction);
    }
    for trial in trials {
        let mut row = FoundRow::at(trial.number);
        let parameters: Vec<String> =
            trial.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        row.description = parameters.join(", ");
        row.commit = format!("trial-{}", trial.number);
        (row.word, row.recorded) = match trial.state {
            State::Open => (Some(Word::Open), "RUNNING".into()),
            State::Complete => (Some(Word::Ran), "COMPLETE".into()),
            State::Pruned => (Some(Word::Discard), "PRUNED".into()),
            State::Failed => (Some(Word::Crash), "FAIL".into()),
        };
        for (objective, value) in trial.values.iter().enumerate() {
            // The value that a pruned trial reported is no final value.
            let value = value.filter(|_| trial.state == State::Complete);
            row.values.insert(name(objective), value.map_or(String::new(), |value| value.to_string()));
        }
        found.rows.push(row);
    }
    found
}
