//! `autoresearch.toml`: what is run, how it is measured, and when to stop; a preset lays over it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoresearch_agents::model::Caps;
use autoresearch_core::process::{Cpus, Limits};
use autoresearch_core::{Budget, EditablePaths, Score, Stop};
use serde::Deserialize;
use thiserror::Error;

use crate::detours::{ExcursionConfig, ScreeningConfig};
use crate::holdout::HoldoutConfig;
use crate::metric::{Kind, MetricConfig};
use crate::places::Places;
use crate::proposer::{ProposerConfig, dollars};
use crate::ratchet::{RatchetConfig, Rule};
use crate::workers::{self, Plan, WorkersArgs, WorkersConfig};

/// Stands in the run's command for the folder with what the build keeps; the sandbox fills it in.
const BUILT: &str = "{built}";

/// The whole file. Unknown keys are errors: a misspelt limit must not be a limit that is silently missing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The human's programme, relative to the repository's root.
    #[serde(default = "program_md")]
    pub program: PathBuf,
    /// What proposals may change.
    pub editable: EditablePaths,
    /// The build; none if it is missing.
    #[serde(default)]
    pub build: BuildConfig,
    /// The run.
    pub run: RunConfig,
    /// What a model's patch must pass before it costs an experiment; nothing if it is missing.
    #[serde(default)]
    pub check: CommandConfig,
    /// What each of both may use.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Variables for both. One that is set outside already wins, as in cargo's `[env]`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files outside the repository that decide the number, such as the data's manifest.
    #[serde(default)]
    pub locked: Vec<String>,
    /// The preset's name, which placeholders may use.
    #[serde(skip)]
    pub preset: String,
    /// The number.
    pub metric: MetricConfig,
    /// The rule of acceptance.
    #[serde(default)]
    pub ratchet: RatchetConfig,
    /// Data that no decision sees; none if it is missing.
    #[serde(default)]
    pub holdout: HoldoutConfig,
    /// What runs at the same time; one thing after the other if it is missing.
    #[serde(default)]
    pub workers: WorkersConfig,
    /// Short runs before the full budget; none if it is missing.
    pub screening: Option<ScreeningConfig>,
    /// When the search leaves its incumbent for a while; never if it is missing.
    pub excursion: Option<ExcursionConfig>,
    /// Constants of the editable files that the search starts from, as literals.
    #[serde(default)]
    pub constants: BTreeMap<String, String>,
    /// Search ranges by constant, instead of those in the source. The programme's own come before these.
    #[serde(default)]
    pub knobs: BTreeMap<String, String>,
    /// Who has the ideas.
    #[serde(default)]
    pub proposer: ProposerConfig,
    /// When to end.
    #[serde(default)]
    pub stop: StopConfig,
    /// Belongs to the preparation of the data.
    #[serde(default, rename = "workload")]
    _workload: toml::Table,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed.
    #[serde(default = "ten_minutes")]
    pub limit_seconds: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildConfig {
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed.
    #[serde(default = "ten_minutes")]
    pub limit_seconds: f64,
    /// Files that it leaves outside the candidate's folder and that the run needs.
    #[serde(default)]
    pub keeps: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed, all repeats together.
    #[serde(default = "ten_minutes")]
    pub limit_seconds: f64,
    /// The processors that it is pinned to; all if there are none.
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// How often it is run for one measurement.
    #[serde(default = "once")]
    pub repeats: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// GiB of data of each process.
    pub memory_gb: Option<f64>,
    /// GiB of each file that is written.
    pub file_gb: Option<f64>,
    /// Processes and threads of the user altogether.
    pub processes: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopConfig {
    pub experiments: Option<usize>,
    pub hours: Option<f64>,
    pub target: Option<f64>,
    pub plateau: Option<usize>,
    /// US dollars that all proposals together may cost.
    pub dollars: Option<f64>,
    /// Tokens that they may take.
    pub tokens: Option<u64>,
    /// Calls of models that they may make.
    pub calls: Option<u64>,
}

fn program_md() -> PathBuf {
    "program.md".into()
}

pub fn ten_minutes() -> f64 {
    600.0
}

fn once() -> u32 {
    1
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("there is no preset `{name}` beside {config}; there are: {known}")]
    NoPreset { name: String, config: PathBuf, known: String },
    #[error("{path} is not valid: {why}")]
    Invalid { path: PathBuf, why: String },
    #[error("no home directory is known; set AUTORESEARCH_CACHE to a folder for data and builds")]
    NoCache,
    #[error("{0}")]
    Workers(String),
}

impl Config {
    /// Reads `path` and lays `presets/<preset>.toml` beside it over it, and what the command line says of workers over that.
    pub fn read(path: &Path, preset: Option<&str>, workers: &WorkersArgs) -> Result<Config, ConfigError> {
        let mut table = read_table(path)?;
        if let Some(name) = preset {
            let folder = path.with_file_name("presets");
            let file = folder.join(format!("{name}.toml"));
            if !file.is_file() {
                return Err(ConfigError::NoPreset { name: name.into(), config: path.into(), known: presets(&folder) });
            }
            overlay(&mut table, read_table(&file)?);
        }
        let mut config: Config = table.try_into().map_err(|error: toml::de::Error| invalid(path, error.to_string()))?;
        workers.lay_over(&mut config.workers);
        config.check().map_err(|why| invalid(path, why))?;
        config.preset = preset.unwrap_or_default().to_owned();
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let Config { build, run, check, holdout, metric, ratchet, .. } = self;
        if run.command.is_empty() {
            return Err("[run] command is empty; give the program that prints the metric".into());
        }
        for (name, command, limit) in [
            ("build", &build.command, build.limit_seconds),
            ("run", &run.command, run.limit_seconds),
            ("check", &check.command, check.limit_seconds),
            ("holdout", &holdout.command, holdout.limit_seconds),
        ] {
            let unused = command.is_empty();
            let positive = limit > 0.0 && limit < 1e9;
            if !unused && !positive {
                return Err(format!("[{name}] limit_seconds is {limit}; give a positive number of seconds"));
            }
        }
        if !(1..=1000).contains(&run.repeats) {
            return Err(format!("[run] repeats is {}; give a number from 1 to 1000", run.repeats));
        }
        Cpus::new(run.cpus.iter().copied()).map_err(|why| format!("[run] cpus: {why}"))?;
        if build.keeps.is_empty()
            && let Some((name, _)) = [("run", &run.command), ("holdout", &holdout.command)]
                .into_iter()
                .find(|(_, command)| command.iter().any(|argument| argument.contains(BUILT)))
        {
            return Err(format!("[{name}] command has {BUILT}, the folder with what [build] keeps, and that is empty"));
        }
        metric.check()?;
        if ratchet.rule == Rule::Ladder && metric.kind != Kind::Items {
            return Err("[ratchet] rule = 'ladder' compares item by item; give [metric] kind = 'items'".into());
        }
        for (name, value) in [("memory_gb", self.limits.memory_gb), ("file_gb", self.limits.file_gb)] {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && *value < 1e6)) {
                return Err(format!("[limits] {name} is {value}; give a positive number of GiB"));
            }
        }
        if let Some(screening) = &self.screening {
            screening.screening().check().map_err(|why| format!("[screening] {why}"))?;
        }
        if let Some(excursion) = &self.excursion {
            excursion.excursion().check().map_err(|why| format!("[excursion] {why}"))?;
        }
        workers::check(self)?;
        dollars("[stop]", self.stop.dollars)?;
        self.proposer.check(&self.environment)?;
        ratchet.check()
    }

    /// What each command may use of the machine.
    pub fn limits(&self) -> Limits {
        let bytes = |gigabytes: f64| (gigabytes * f64::from(1u32 << 30)) as u64;
        let LimitsConfig { memory_gb, file_gb, processes } = self.limits;
        Limits { memory: memory_gb.map(bytes), file_size: file_gb.map(bytes), processes, ..Limits::default() }
    }

    /// The limits of each run.
    pub fn budget(&self) -> Budget {
        let seconds = |limit: f64| Duration::try_from_secs_f64(limit).unwrap_or(Duration::from_secs(600));
        Budget { run: seconds(self.run.limit_seconds), build: seconds(self.build.limit_seconds) }
    }

    /// A hash of everything that decides the number, which may not change within a run.
    pub fn policy(&self, places: &Places) -> Result<String, ConfigError> {
        let Config { editable, build, run, environment, metric, ratchet, constants, limits, .. } = self;
        let BuildConfig { command, limit_seconds, keeps } = build;
        let build = CommandConfig { command: command.clone(), limit_seconds: *limit_seconds };
        let mut hash = blake3::Hasher::new();
        hash.update(
            format!("{editable:?}{build:?}{run:?}{environment:?}{metric:?}{ratchet:?}{constants:?}{limits:?}")
                .as_bytes(),
        );
        // Only where there are any: what decided the number before there could be is unchanged without them.
        if let Some(screening) = &self.screening {
            let screening = format!("{:?}", screening.screening());
            hash.update(screening.replace(", class: None", "").as_bytes());
        }
        if let Some(excursion) = &self.excursion {
            hash.update(format!("{:?}", excursion.excursion()).as_bytes());
        }
        if !keeps.is_empty() {
            hash.update(format!("{keeps:?}").as_bytes());
        }
        hash.update(self.plan()?.policy().as_bytes());
        for name in &self.locked {
            let path = PathBuf::from(places.fill(name));
            let bytes = std::fs::read(&path).map_err(|source| ConfigError::Unreadable { path, source })?;
            hash.update(&bytes);
        }
        Ok(hash.finalize().to_hex()[..16].to_owned())
    }

    /// The workers on this machine.
    pub fn plan(&self) -> Result<Plan, ConfigError> {
        Plan::of(self).map_err(ConfigError::Workers)
    }

    /// What all proposals together may cost.
    pub fn caps(&self) -> Caps {
        let StopConfig { dollars, tokens, calls, .. } = self.stop;
        Caps { dollars, tokens, calls }
    }

    /// When to end.
    pub fn stop(&self) -> Stop {
        let mut stop = Stop::default();
        stop.experiments = self.stop.experiments;
        stop.wall = self.stop.hours.and_then(|hours| Duration::try_from_secs_f64(hours * 3600.0).ok());
        stop.target = self.stop.target.and_then(Score::new);
        stop.plateau = self.stop.plateau;
        stop.dollars = self.stop.dollars;
        stop.tokens = self.stop.tokens;
        stop.calls = self.stop.calls;
        stop
    }
}

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    text.parse().map_err(|error: toml::de::Error| invalid(path, error.to_string()))
}

fn invalid(path: &Path, why: String) -> ConfigError {
    ConfigError::Invalid { path: path.into(), why: why.trim().to_owned() }
}

/// Lays one table over another: tables are merged, everything else is replaced.
fn overlay(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => overlay(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn presets(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = files.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let mut names: Vec<String> =
        named.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
