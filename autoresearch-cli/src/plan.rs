//! The workers of a run on this machine: what each has for itself, and which processors are left for builds.

use autoresearch_core::internal::process::Cpus;
use autoresearch_core::{Device, Workers};

use crate::config::workers::Resources;
use crate::config::{Config, KeyError};

/// The workers of a run on this machine.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// The workers as the lab takes them.
    pub workers: Workers,
    /// The devices of each worker; empty where one worker has everything, or all share it.
    pub devices: Vec<Device>,
    /// The processors for work beside the trials, those that belong to no worker; all of them if the set is empty.
    pub build_cpus: Cpus,
}

/// The kind of hardware that trials run on, as far as it decides the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// The class of hardware, empty where it has no name.
    pub class: String,
    /// Processors and GPUs of one worker.
    pub resources: Resources,
}

impl WorkerPlan {
    /// Finds out what the workers of a configuration have on this machine.
    pub fn new(config: &Config) -> Result<WorkerPlan, KeyError> {
        let section = &config.workers;
        let run_cpus = config.run.cpus;
        run_cpus.check().map_err(|why| KeyError::new("run.cpus", format!(": {why}")))?;
        let allowed = Cpus::allowed();
        let mut devices = section.devices()?;
        for device in &devices {
            device.cpus.check().map_err(|why| KeyError::new("workers.devices", format!(": {why}")))?;
        }
        let count = section.count();
        if devices.is_empty() && count > 1 {
            devices = divide(if run_cpus.is_empty() { allowed } else { run_cpus }, count)?;
        }
        let is_time = config.metric.is_time();
        if is_time && count > 1 && devices.is_empty() {
            let why = format!(
                "is {count}, and a time needs CPUs of its own, which this system cannot pin a command to; give one worker"
            );
            return Err(KeyError::new("workers.count", why));
        }

        let of_runs: Vec<usize> =
            devices.iter().map(|device| &device.cpus).chain([&run_cpus]).flat_map(Cpus::iter).collect();
        let left = Cpus::new(allowed.iter().filter(|cpu| !of_runs.contains(cpu)))
            .map_err(|why| KeyError::new("workers.devices", format!(": {why}")))?;
        let accelerated = !devices.is_empty() && devices.iter().all(|device| Resources::of(device).gpus > 0);
        let builders = section.builders.unwrap_or(if accelerated && !is_time { count } else { 0 });
        if is_time && builders > 0 && (of_runs.is_empty() || left.is_empty()) {
            let why = format!(
                "is {builders}, and a build would disturb the times that are measured meanwhile, since no CPU is left that \
                 belongs to no worker; leave builders out, or give the workers fewer CPUs"
            );
            return Err(KeyError::new("workers.builders", why));
        }
        // The proposer's own work disturbs a time as well; where there are several workers there is no other way.
        let ahead = count > 1 || (config.proposer.asks() && config.excursion.is_none() && !is_time);
        let mut workers = Workers::default();
        workers.classes = section.classes();
        workers.ahead = section.ahead.unwrap_or(ahead);
        workers.builders = builders;
        let build_cpus = if of_runs.is_empty() { Cpus::default() } else { left };
        Ok(WorkerPlan { workers, devices, build_cpus })
    }

    /// Returns whether anything is prepared while trials run.
    pub fn prepares_ahead(&self) -> bool {
        self.workers.ahead || self.workers.builders > 0
    }

    /// The kinds of hardware that trials run on, each once, in the order of the workers. Empty where workers have nothing
    /// for themselves.
    pub fn hardware(&self) -> Vec<Hardware> {
        let mut kinds: Vec<Hardware> = Vec::new();
        for (class, device) in self.workers.classes.iter().zip(&self.devices) {
            let kind = Hardware { class: class.clone(), resources: Resources::of(device) };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }
}

/// Divides processors evenly among workers, those of a core to the same worker as far as that goes. Some may be left over.
/// Empty where commands cannot be pinned.
fn divide(cpus: Cpus, count: usize) -> Result<Vec<Device>, KeyError> {
    if !Cpus::SUPPORTED {
        return Ok(Vec::new());
    }
    let mut numbers: Vec<usize> = cpus.iter().collect();
    let each = numbers.len() / count;
    if each == 0 {
        let why = format!(
            "is {count}, and there are only {} CPUs ({cpus}) for them; give fewer workers, or name the devices of each",
            numbers.len()
        );
        return Err(KeyError::new("workers.count", why));
    }
    numbers.sort_by_key(|cpu| (core_of(*cpu), *cpu));
    let sets = numbers.chunks(each).take(count);
    let device = |set: &[usize]| Device::parse(&format!("cpus:{}", Cpus::new(set.iter().copied())?));
    sets.map(|set| device(set).map_err(|why| KeyError::new("workers.count", format!(": {why}")))).collect()
}

/// The first processor of the core that a processor belongs to.
fn core_of(cpu: usize) -> usize {
    let list = std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"));
    let first = list.ok().and_then(|list| list.split(['-', ',', '\n']).next()?.parse().ok());
    first.unwrap_or(cpu)
}

#[cfg(test)]
mod tests;
