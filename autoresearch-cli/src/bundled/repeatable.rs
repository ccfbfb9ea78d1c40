//! The measurements of a bundled run that can be made again, and what that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use autoresearch_core::internal::journal::{Entry, Record};
use autoresearch_core::{ExperimentId, MachineId, Side, State, Status};

use super::unpacked::Unpacked;
use crate::policy;
use crate::removed;
use crate::text::{count, one_line};

/// Longest command line that is shown, in characters.
const SHOWN: usize = 160;

/// The measurements of a run, and what it takes to repeat them.
#[derive(Debug, Clone)]
pub struct Repeatable {
    /// Number of trials that gave a number.
    pub trials: usize,
    /// Number of those whose candidate is in the bundle.
    pub present: usize,
    /// The experiments whose candidates `gc` had removed.
    pub gone: BTreeSet<ExperimentId>,
    /// The command line of a trial.
    pub command: String,
    /// Longest time of a trial in seconds.
    pub seconds: f64,
    /// Number of trials by the machine that they ran on, as far as the journal has it.
    pub machines: BTreeMap<String, usize>,
    /// Needs beside the bundle, in words.
    pub needs: Vec<String>,
}

impl Repeatable {
    /// Finds out what can be repeated.
    pub fn of(bundle: &Unpacked, state: &State, entries: &[Entry]) -> Repeatable {
        let mut gone = removed::experiments(&bundle.run.folder);
        gone.retain(|id| state.experiment(*id).is_some_and(|made| made.status != Status::Keep));
        let (mut trials, mut present, mut machines) = (0, 0, BTreeMap::new());
        for entry in entries {
            let Record::TrialMeasured(trial) = &entry.record else { continue };
            if trial.result.is_err() {
                continue;
            }
            trials += 1;
            if trial.side == Side::Incumbent || !gone.contains(&trial.experiment) {
                present += 1;
            }
            if let Some(machine) = &trial.outcome.log().machine {
                *machines.entry(machine.to_string()).or_default() += 1;
            }
        }
        let config = &bundle.config;
        let command = shlex::try_join(config.run.command.iter().map(String::as_str)).unwrap_or_default();
        let seconds = config.run.limit_seconds.0.as_secs_f64();
        Repeatable { trials, present, gone, command, seconds, machines, needs: needs(bundle, state) }
    }

    /// Returns whether this machine is one that the run was measured on; `None` if the journal names none.
    pub fn is_here(&self) -> Option<bool> {
        (!self.machines.is_empty()).then(|| self.machines.contains_key(&MachineId::here().to_string()))
    }
}

/// Lists the needs of a repetition that no bundle meets.
fn needs(bundle: &Unpacked, state: &State) -> Vec<String> {
    let config = &bundle.config;
    let mut needs = Vec::new();
    let beside: Vec<&str> = config.workspace.share.iter().chain(&config.workspace.copy).map(String::as_str).collect();
    if !beside.is_empty() {
        needs.push(format!("files beside the commit, which [workspace] names: {}", beside.join(", ")));
    }
    let deciding: Vec<&str> = config.deciding_files().map(String::as_str).collect();
    if !deciding.is_empty() {
        let names = deciding.join(", ");
        needs.push(format!("the same files at the paths that `locked` and [evaluate] share name: {names}"));
    }
    let texts = config.build.command.iter().chain(&config.run.command).chain(config.environment.values());
    if texts.into_iter().any(|text| text.contains("{cache}")) {
        needs.push("the data in {cache}, which the configuration names".into());
    }
    if let Some(header) = &state.header {
        let is_known = |name: &&String| policy::value_then(&header.policy, &format!("run.pass.{name}")).is_some();
        let unknown: Vec<&str> = config.run.pass.iter().filter(|name| !is_known(name)).map(String::as_str).collect();
        if !unknown.is_empty() {
            needs.push(format!("variables that the run inherited, if they were set then: {}", unknown.join(", ")));
        }
        if let Some(hardware) = header.policy.get("workers.hardware") {
            needs.push(format!("hardware as that of the run's workers: {hardware}"));
        }
    }
    if config.metric.is_time() {
        needs.push("the same machine, since the number is a time".into());
    }
    needs
}

impl fmt::Display for Repeatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trials, present) = (count(self.trials, "trial"), self.present);
        let (seconds, command) = (self.seconds, one_line(&self.command, SHOWN));
        writeln!(f, "repeatable: {present} of {trials}, each with its seed and within {seconds} s, by `{command}`")?;
        if !self.gone.is_empty() {
            let gone: Vec<String> = self.gone.iter().map(ExperimentId::to_string).collect();
            writeln!(f, "not repeatable: experiments whose candidates were removed: {}", gone.join(", "))?;
        }
        for (machine, count) in &self.machines {
            writeln!(f, "measured on {machine}: {count}")?;
        }
        if self.is_here() == Some(false) {
            writeln!(f, "this machine is another one: {}", MachineId::here())?;
        }
        self.needs.iter().try_for_each(|need| writeln!(f, "a repetition needs {need}"))
    }
}
