//! `[workers]`: what runs at the same time, and what each worker has of the machine.

use autoresearch_core::process::Cpus;
use autoresearch_core::{Device, Workers};
use serde::Deserialize;

use crate::config::Config;

/// More workers than this are a slip of the finger.
const MOST: usize = 1000;

/// The section, over which `--workers` and `--devices` come.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersConfig {
    /// How many; as many as there are devices, else one, if it is missing.
    pub count: Option<usize>,
    /// What each has for itself, one entry for each worker.
    #[serde(default)]
    pub devices: Vec<DeviceConfig>,
    /// Whether proposals are made while experiments run.
    pub ahead: Option<bool>,
    /// How many builds may go on beside the runs.
    pub builders: Option<usize>,
}

/// What one worker has for itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct DeviceConfig {
    device: String,
    class: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a device is a text as 'cuda:0', or a table { device = 'cuda:0', class = 'h100' }")]
enum Written {
    Text(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    device: String,
    class: String,
}

impl From<Written> for DeviceConfig {
    fn from(written: Written) -> DeviceConfig {
        match written {
            Written::Text(device) => DeviceConfig { device, class: String::new() },
            Written::Table(Table { device, class }) => DeviceConfig { device, class },
        }
    }
}

/// `--workers` and `--devices`, which come before the configuration's.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WorkersArgs {
    /// So many experiments run at the same time. Without --devices they share the CPUs evenly.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// What each worker has for itself, one entry for each: cuda:0,cuda:1 or cpus:0-3,cpus:4-7 or cuda:0/cpus:0-7.
    #[arg(long, value_name = "LIST")]
    devices: Option<String>,
}

impl WorkersArgs {
    /// Lays these over the configuration's.
    pub fn lay_over(&self, config: &mut WorkersConfig) {
        if let Some(devices) = &self.devices {
            config.devices = entries(devices).into_iter().map(|text| Written::Text(text).into()).collect();
            config.count = None;
        }
        config.count = self.workers.or(config.count);
    }
}

/// The entries of a list whose entries may have commas, too: `cpus:0,2,cpus:1,3` has two.
fn entries(list: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for part in list.split(',').map(str::trim) {
        match entries.last_mut() {
            Some(entry) if part.starts_with(|first: char| first.is_ascii_digit()) => *entry += &format!(",{part}"),
            _ => entries.push(part.to_owned()),
        }
    }
    entries
}

/// What a worker's runs may use. Runs of different kinds do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resources {
    cpus: usize,
    gpus: usize,
}

impl Resources {
    fn of(device: &Device) -> Resources {
        let visible = device.environment.iter().find(|(name, _)| name == "CUDA_VISIBLE_DEVICES");
        let visible = visible.map_or_else(Default::default, |(_, gpus)| gpus.to_string_lossy());
        let gpus = visible.split(',').filter(|gpu| !gpu.is_empty()).count();
        Resources { cpus: device.cpus.iter().count(), gpus }
    }
}

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [(self.cpus, "CPU"), (self.gpus, "GPU")].into_iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> =
            parts.map(|(number, what)| format!("{number} {what}{}", if number == 1 { "" } else { "s" })).collect();
        f.write_str(&parts.join(" and "))
    }
}

/// What is wrong with the section, as far as that can be told without this machine.
pub fn check(config: &Config) -> Result<(), String> {
    let section = &config.workers;
    let count = section.count();
    if !(1..=MOST).contains(&count) {
        return Err(format!("[workers] count is {count}; give a number from 1 to {MOST}"));
    }
    if !section.devices.is_empty() && section.devices.len() != count {
        return Err(format!(
            "[workers] count is {count}, and devices names {}; name the devices of each worker, or leave one of the two out",
            section.devices.len()
        ));
    }
    if let Some(builders) = section.builders.filter(|builders| *builders > MOST) {
        return Err(format!("[workers] builders is {builders}; give a number up to {MOST}"));
    }
    let devices = section.devices()?;
    let classes = section.classes();
    for (worker, (device, class)) in devices.iter().zip(&classes).enumerate() {
        let first = classes.iter().position(|other| other == class).unwrap_or(worker);
        let (first_has, has) = (Resources::of(&devices[first]), Resources::of(device));
        if first_has != has {
            return Err(format!(
                "[workers] devices: worker {first} has {first_has} and worker {worker} has {has}, so what they measure does \
                 not compare; give both the same, or name their classes of hardware as {{ device = '…', class = '…' }}"
            ));
        }
    }
    check_classes(config, &classes)?;
    let unpinned = devices.iter().any(|device| device.cpus.is_empty());
    if config.metric.is_time() && count > 1 && unpinned {
        return Err(
            "[workers] devices: a time is disturbed by whatever else runs on its CPUs; name CPUs of its own for each \
                    worker, as 'cpus:0' or 'cuda:0/cpus:0-7'"
                .into(),
        );
    }
    if !config.run.cpus.is_empty() && devices.iter().any(|device| !device.cpus.is_empty()) {
        return Err("[run] cpus and [workers] devices both name CPUs; leave [run] cpus out".into());
    }
    if section.ahead == Some(false) && count > 1 {
        return Err(format!(
            "[workers] ahead is false, and there are {count} workers: without proposals ahead only one would have work; \
             leave ahead out, or give one worker"
        ));
    }
    if config.excursion.is_some() {
        let so = "since a side line is gone one step at a time; leave it out, or [excursion]";
        if count > 1 {
            return Err(format!("[excursion] needs one worker, and [workers] count or devices gives {count}, {so}"));
        }
        if section.ahead == Some(true) {
            return Err(format!("[excursion] needs [workers] ahead = false, {so}"));
        }
    }
    Ok(())
}

fn check_classes(config: &Config, classes: &[String]) -> Result<(), String> {
    let known = || {
        let mut known: Vec<&str> = classes.iter().map(String::as_str).filter(|class| !class.is_empty()).collect();
        known.dedup();
        if known.is_empty() { "none".into() } else { known.join(", ") }
    };
    let short = config.screening.as_ref().and_then(|screening| screening.class.as_ref());
    if let Some(class) = short.filter(|class| !classes.contains(class)) {
        return Err(format!(
            "[screening] class is '{class}', and no worker is of that class (there are: {}); name it in [workers] devices as \
             {{ device = '…', class = '{class}' }}",
            known()
        ));
    }
    match classes.iter().find(|class| **class != classes[0] && short != Some(class)) {
        Some(class) => Err(format!(
            "[workers] devices: nothing runs on the class '{class}': full runs are for the class of the first worker, '{}'; \
             give [screening] class = '{class}', or leave its workers out",
            classes[0]
        )),
        None => Ok(()),
    }
}

impl WorkersConfig {
    fn count(&self) -> usize {
        self.count.unwrap_or(self.devices.len().max(1))
    }

    fn devices(&self) -> Result<Vec<Device>, String> {
        let parsed = self.devices.iter().map(|device| Device::parse(&device.device));
        let devices: Result<Vec<Device>, String> = parsed.collect();
        devices.and_then(|devices| Device::check(&devices).map(|()| devices)).map_err(|why| format!("[workers] {why}"))
    }

    fn classes(&self) -> Vec<String> {
        let named = self.devices.iter().map(|device| device.class.clone());
        if self.devices.is_empty() { vec![String::new(); self.count()] } else { named.collect() }
    }
}

/// The workers of a night on this machine.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For the lab.
    pub workers: Workers,
    /// What each has for itself; empty where one worker has everything, or all share it.
    pub devices: Vec<Device>,
    /// The processors for work beside the runs, those that belong to no worker; all of them if the set is empty.
    pub build_cpus: Cpus,
}

impl Plan {
    /// Finds out what the workers of a configuration have here. The error says what to change.
    pub fn of(config: &Config) -> Result<Plan, String> {
        let section = &config.workers;
        let run_cpus = Cpus::new(config.run.cpus.iter().copied()).map_err(|why| format!("[run] cpus: {why}"))?;
        let allowed = Cpus::allowed();
        let mut devices = section.devices()?;
        for device in &devices {
            device.cpus.check().map_err(|why| format!("[workers] devices: {why}"))?;
        }
        let count = section.count();
        if devices.is_empty() && count > 1 {
            devices = divide(if run_cpus.is_empty() { allowed } else { run_cpus }, count)?;
        }
        if config.metric.is_time() && count > 1 && devices.is_empty() {
            return Err(
                "[workers] a time needs CPUs of its own, and this system cannot pin a command to CPUs; give one \
                        worker"
                    .into(),
            );
        }

        let accelerated = !devices.is_empty() && devices.iter().all(|device| Resources::of(device).gpus > 0);
        let usual = if accelerated && !config.metric.is_time() { count } else { 0 };
        let builders = section.builders.unwrap_or(usual);
        let of_runs: Vec<usize> =
            devices.iter().map(|device| &device.cpus).chain([&run_cpus]).flat_map(Cpus::iter).collect();
        let left = Cpus::new(allowed.iter().filter(|cpu| !of_runs.contains(cpu)))?;
        if config.metric.is_time() && builders > 0 && (of_runs.is_empty() || left.is_empty()) {
            return Err("[workers] builders: a build would disturb the times that are measured meanwhile, since no CPU is left \
                        that belongs to no worker; leave builders out, or give the workers fewer CPUs"
                .into());
        }
        // The proposer's own work disturbs a time as well; where there are several workers there is no other way.
        let usual = count > 1 || (config.proposer.asks() && config.excursion.is_none() && !config.metric.is_time());
        let mut workers = Workers::default();
        (workers.classes, workers.ahead, workers.builders) =
            (section.classes(), section.ahead.unwrap_or(usual), builders);
        let build_cpus = if of_runs.is_empty() { Cpus::default() } else { left };
        Ok(Plan { workers, devices, build_cpus })
    }

    /// What decides the number: what each run has, not on which worker it happens to take place. Empty for one worker that
    /// has everything.
    pub fn policy(&self) -> String {
        let classes = &self.workers.classes;
        if self.devices.is_empty() {
            let count = classes.len();
            return if count > 1 { format!("{count} workers share the machine") } else { String::new() };
        }
        let mut kinds: Vec<String> = Vec::new();
        for (class, device) in classes.iter().zip(&self.devices) {
            let Resources { cpus, gpus } = Resources::of(device);
            let kind = format!("{class:?}: {cpus} CPUs, {gpus} GPUs");
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join("; ")
    }
}

/// Gives each worker as many of these processors as every other, those of a core to the same worker as far as that goes.
/// Some may be left over. Nothing where commands cannot be pinned.
fn divide(cpus: Cpus, count: usize) -> Result<Vec<Device>, String> {
    if !Cpus::SUPPORTED {
        return Ok(Vec::new());
    }
    let mut numbers: Vec<usize> = cpus.iter().collect();
    let each = numbers.len() / count;
    if each == 0 {
        return Err(format!(
            "[workers] count is {count}, and there are only {} CPUs ({cpus}) for them; give fewer workers, or name the \
             devices of each",
            numbers.len()
        ));
    }
    numbers.sort_by_key(|cpu| (core_of(*cpu), *cpu));
    let sets = numbers.chunks(each).take(count);
    sets.map(|set| Device::parse(&format!("cpus:{}", Cpus::new(set.iter().copied())?))).collect()
}

/// The first processor of the core that this one belongs to.
fn core_of(cpu: usize) -> usize {
    let list = std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"));
    let first = list.ok().and_then(|list| list.split(['-', ',', '\n']).next()?.parse().ok());
    first.unwrap_or(cpu)
}

#[cfg(test)]
mod tests;
