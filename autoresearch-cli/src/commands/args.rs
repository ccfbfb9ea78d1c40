//! Arguments that several subcommands share.

use std::path::PathBuf;

use autoresearch_core::internal::journal::Entry;
use autoresearch_core::{Experiment, ExperimentId, State};
use clap::Args;
use toml::{Table, Value};

use crate::config::workers::split_devices;
use crate::config::{Config, ConfigError};
use crate::error::CommandError;
use crate::repository::Repository;
use crate::session::Session;

/// The configuration and what lies over it.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "autoresearch.toml")]
    pub config: PathBuf,
    /// Lay presets/NAME.toml, beside the configuration, over it.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    #[command(flatten)]
    pub workers: WorkersArgs,
}

/// The run that a reading command is about, and the form of its answer.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// The run [default: the latest one]
    #[arg(long)]
    pub tag: Option<String>,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    pub json: bool,
}

/// A run as a reading command sees it.
pub struct ReadRun {
    pub tag: String,
    pub entries: Vec<Entry>,
    pub state: State,
}

impl ReadArgs {
    /// Reads the run. Takes no lock, so that it works while the run goes on.
    pub fn read(&self, repository: &Repository) -> Result<ReadRun, CommandError> {
        let tag = repository.tag_or_latest(self.tag.clone())?;
        let entries = repository.entries(&tag)?;
        let state = State::replay(&entries)?;
        Ok(ReadRun { tag, entries, state })
    }
}

impl ReadRun {
    /// Finds an experiment of this number, decided or open.
    pub fn experiment(&self, number: u32) -> Result<&Experiment, CommandError> {
        let id = ExperimentId(number);
        let found = self.state.experiment(id).or_else(|| self.state.open(id).map(|open| &open.experiment));
        found.ok_or_else(|| match self.state.next_experiment().0.checked_sub(1) {
            Some(last) => CommandError::NoExperiment { tag: self.tag.clone(), number, last },
            None => CommandError::NothingMeasured(self.tag.clone()),
        })
    }
}

/// Arguments that replace keys of `[workers]`.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkersArgs {
    /// Run N experiments at the same time. Without --devices they share the CPUs evenly.
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
    /// The devices of each worker: cuda:0,cuda:1 or cpus:0-3,cpus:4-7 or cuda:0/cpus:0-7.
    #[arg(long, value_name = "LIST")]
    pub devices: Option<String>,
}

impl WorkersArgs {
    /// The arguments as keys of a configuration.
    pub fn table(&self) -> Table {
        let mut workers = Table::new();
        if let Some(devices) = &self.devices {
            let devices = split_devices(devices);
            // The number of workers follows from these devices, not from those of the configuration.
            workers.insert("count".into(), Value::Integer(devices.len() as i64));
            workers.insert("devices".into(), devices.into_iter().map(Value::String).collect::<Vec<_>>().into());
        }
        if let Some(count) = self.workers {
            workers.insert("count".into(), Value::Integer(count.into()));
        }
        match workers.is_empty() {
            true => Table::new(),
            false => Table::from_iter([("workers".to_owned(), Value::Table(workers))]),
        }
    }
}

impl ConfigArgs {
    /// Reads the configuration.
    pub fn read(&self) -> Result<Config, ConfigError> {
        self.read_with(Table::new())
    }

    /// Reads the configuration with further keys of the command line over it.
    pub fn read_with(&self, mut arguments: Table) -> Result<Config, ConfigError> {
        arguments.extend(self.workers.table());
        Config::read(&self.config, self.preset.as_deref(), &arguments)
    }

    /// Opens a session for `tag`, or for the latest run without one.
    pub fn session(&self, repository: Repository, tag: Option<String>) -> Result<Session, CommandError> {
        let config = self.read()?;
        let tag = repository.tag_or_latest(tag)?;
        Session::new(repository, config, tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_before_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("autoresearch.toml");
        let text = "editable = ['a']\n[run]\ncommand = ['./run']\n[metric]\nname = 'ms'\ndirection = 'minimise'\n\
                    [workers]\ndevices = ['cuda:0', 'cuda:1']\n";
        std::fs::write(&path, text).unwrap();
        let count = |workers: Option<u32>, devices: Option<&str>| {
            let workers = WorkersArgs { workers, devices: devices.map(str::to_owned) };
            let args = ConfigArgs { config: path.clone(), preset: None, workers };
            args.read().map(|config| config.workers.count()).map_err(|error| error.to_string())
        };
        assert_eq!((count(None, None), count(None, Some("cuda:3"))), (Ok(2), Ok(1)));
        let error = count(Some(4), None).unwrap_err();
        assert!(error.contains("the command line: [workers] count is 4, and devices names 2"), "{error}");
        assert!(count(Some(0), None).unwrap_err().contains("count is 0; give a number from 1 to 1000"));
    }
}
