//! The policy of a run: every setting that decides the number, under names that never change.
//!
//! A run is continued only under the policy that it began with. The names in [`Document`] are written into
//! journals: renaming anything in this program must leave them as they are.

use std::collections::BTreeMap;

use autoresearch_core::internal::isolation::IsolationLevel;
use autoresearch_core::internal::{Difference, Policy, digest};
use serde_json::Value;

use crate::config::{Config, ConfigError};
use crate::error::CommandError;
use crate::placeholders::Placeholders;
use crate::plan::WorkerPlan;

mod document;

use document::{
    Build, Document, Evaluate, Excursion, Guard, Hardware, Isolation, Limits, Metric, Run, Screening, Workers,
    Workspace,
};

/// A value that another machine has and this one need not.
const UNKNOWN: &str = "?";
/// The beginning of a value that is journaled as a hash.
const HASHED: &str = "blake3:";

/// The settings that depend on a machine and its environment.
#[derive(Default)]
struct Surroundings<'a> {
    pass: BTreeMap<&'a str, String>,
    environment: BTreeMap<&'a str, String>,
    locked: BTreeMap<&'a str, String>,
    sharing: Option<usize>,
    hardware: Option<Vec<Hardware>>,
}

/// Collects the settings of a configuration on this machine. Reads the files that `locked` names.
pub fn policy(config: &Config, placeholders: &Placeholders, plan: &WorkerPlan) -> Result<Policy, CommandError> {
    let mut locked = BTreeMap::new();
    for name in config.deciding_files() {
        let path = placeholders.place(name);
        let digest = digest(&path).map_err(|source| ConfigError::Unreadable { path, source })?;
        locked.insert(name.as_str(), digest);
    }
    let hardware: Vec<Hardware> = plan.hardware().into_iter().map(Hardware::from).collect();
    let count = plan.workers.classes.len();
    let surroundings = Surroundings {
        pass: passed(&config.run.pass),
        environment: environment(&config.environment, placeholders),
        locked,
        sharing: (hardware.is_empty() && count > 1).then_some(count),
        hardware: (!hardware.is_empty()).then_some(hardware),
    };
    assembled(config, surroundings)
}

/// Lists the differences between a journaled policy and a configuration, on a machine where the run was not made: of variables
/// and locked files the names alone are compared, of workers nothing.
pub fn elsewhere(config: &Config, journaled: &Policy) -> Result<Vec<Difference>, CommandError> {
    let surroundings = Surroundings {
        environment: config.environment.keys().map(|name| (name.as_str(), UNKNOWN.to_owned())).collect(),
        locked: config.deciding_files().map(|name| (name.as_str(), UNKNOWN.to_owned())).collect(),
        ..Surroundings::default()
    };
    let now = assembled(config, surroundings)?;
    let counts = |difference: &Difference| {
        let name = difference.name.as_str();
        if let Some(passed) = name.strip_prefix("run.pass.") {
            return !config.run.pass.iter().any(|allowed| allowed == passed);
        }
        if name.starts_with("environment.") || name.starts_with("locked.") {
            return journaled.get(name).is_none() || now.get(name).is_none();
        }
        !name.starts_with("workers.")
    };
    Ok(journaled.differences(&now).into_iter().filter(counts).collect())
}

fn assembled(config: &Config, surroundings: Surroundings<'_>) -> Result<Policy, CommandError> {
    let Config { build, run, metric, isolation, limits, .. } = config;
    let document = Document {
        editable: &config.editable_paths,
        build: Build {
            command: &build.command,
            limit_seconds: build.limit_seconds.0.as_secs_f64(),
            keeps: &build.keeps,
        },
        run: Run {
            command: &run.command,
            limit_seconds: run.limit_seconds.0.as_secs_f64(),
            cpus: run.cpus.iter().collect(),
            repeats: run.repeats,
            pass: surroundings.pass,
        },
        workspace: Workspace {
            share: &config.workspace.share,
            copy: &config.workspace.copy,
            git: config.workspace.git,
        },
        evaluate: config.evaluate.as_ref().map(|evaluate| Evaluate {
            command: &evaluate.command,
            inputs: &evaluate.inputs,
            share: &evaluate.share,
            limit_seconds: evaluate.limit_seconds.0.as_secs_f64(),
        }),
        guard: config.guard.as_ref().map(|guard| Guard {
            commands: guard.written().map(|(_, command)| command.as_slice()).collect(),
            when: guard.when.name(),
            limit_seconds: guard.limit_seconds.0.as_secs_f64(),
        }),
        // Not the level: what is not allowed fails under either.
        isolation: (isolation.level != IsolationLevel::None).then_some(Isolation {
            read: &isolation.read,
            write: &isolation.write,
            pristine: &isolation.pristine,
            image: isolation.image.as_deref(),
            network: isolation.network.plain(),
        }),
        limits: Limits { memory: limits.memory, file_size: limits.file_size, processes: limits.processes },
        environment: surroundings.environment,
        metric: Metric {
            direction: metric.direction_name(),
            kind: metric.kind.name(),
            repeats_of: metric.repeats_of(run.repeats),
            source: metric.own(),
            composite: metric.composite.as_deref(),
            parts: &metric.parts,
            statistic: metric.statistic_name(),
            clock: metric.clock_name(),
            samples: metric.samples,
        },
        ratchet: &config.ratchet,
        constants: &config.constants,
        screening: config.screening.as_ref().map(|section| section.screening().into()),
        excursion: config.excursion.as_ref().map(|section| section.rule().into()),
        workers: Workers { sharing: surroundings.sharing, hardware: surroundings.hardware },
        locked: surroundings.locked,
    };
    let value = serde_json::to_value(&document)
        .map_err(|e| CommandError::Other(format!("the configuration has a value that JSON cannot hold: {e}")))?;
    let mut entries = BTreeMap::new();
    flatten("", value, &mut entries);
    Ok(entries.into_iter().fold(Policy::new(), |policy, (name, value)| policy.with(name, value)))
}

/// The values that win: those of the outer environment where a variable is set there.
fn environment<'a>(variables: &'a BTreeMap<String, String>, placeholders: &Placeholders) -> BTreeMap<&'a str, String> {
    let value = |name: &str, written: &str| {
        // A path stays as it is written, so that a repository may move.
        match std::env::var(name) {
            Ok(outer) if outer != placeholders.fill(written) => outer,
            _ => written.to_owned(),
        }
    };
    variables.iter().map(|(name, written)| (name.as_str(), journaled(name, value(name, written)))).collect()
}

/// The values of variables that a run inherits by name, as far as they are set.
fn passed(names: &[String]) -> BTreeMap<&str, String> {
    let set = names.iter().filter_map(|name| Some((name.as_str(), std::env::var(name).ok()?)));
    set.map(|(name, value)| (name, journaled(name, value))).collect()
}

/// The value of a variable as a journal may hold it: that of a secret is hashed.
pub fn journaled(name: &str, value: String) -> String {
    if is_secret(name) { format!("{HASHED}{}", hash(value.as_bytes())) } else { value }
}

/// Returns whether a variable has the name of a secret.
pub fn is_secret(name: &str) -> bool {
    let upper = name.to_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|word| upper.contains(word))
}

/// The value that a variable had when a run began, by the name of its entry; `None` if it was not set, or is a secret.
pub fn value_then<'a>(journaled: &'a Policy, entry: &str) -> Option<&'a str> {
    journaled.get(entry).and_then(Value::as_str).filter(|value| !value.starts_with(HASHED))
}

/// The files outside of the commit that are not what they were when a run began, as they are written.
pub fn locked_differences(config: &Config, placeholders: &Placeholders, journaled: &Policy) -> Vec<String> {
    let differs = |name: &&String| {
        let now = digest(&placeholders.place(name)).ok();
        now.as_deref() != journaled.get(&format!("locked.{name}")).and_then(Value::as_str)
    };
    config.deciding_files().filter(differs).cloned().collect()
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// Puts the values of nested tables under names with dots, and leaves out what is not set.
fn flatten(name: &str, value: Value, entries: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                flatten(&name, value, entries);
            }
        }
        Value::Null => {}
        Value::Array(list) if list.is_empty() => {}
        Value::String(text) if text.is_empty() && !name.starts_with("environment.") => {}
        value => {
            entries.insert(name.to_owned(), value);
        }
    }
}

impl From<crate::plan::Hardware> for Hardware {
    fn from(hardware: crate::plan::Hardware) -> Hardware {
        let resources = hardware.resources;
        Hardware { class: hardware.class, cpus: resources.cpus, gpus: resources.gpus }
    }
}

impl From<autoresearch_core::Screening> for Screening {
    fn from(of: autoresearch_core::Screening) -> Screening {
        let autoresearch_core::Screening { rungs, margin, second_margin, allowance, repeats, control, class, .. } = of;
        Screening { rungs, margin, second_margin, allowance, repeats, control, class }
    }
}

impl From<autoresearch_core::ExcursionRule> for Excursion {
    fn from(of: autoresearch_core::ExcursionRule) -> Excursion {
        Excursion { after: of.after, steps: of.steps, tolerance: of.tolerance }
    }
}

#[cfg(test)]
mod tests;
