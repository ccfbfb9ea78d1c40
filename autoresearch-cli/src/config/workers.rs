//! `[workers]`: the workers of a run and their devices.

use autoresearch_core::Device;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::values;

/// The most workers that may be asked for; more are a slip of the finger.
const MAX_WORKERS: u32 = 1000;

/// The section.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkersSection {
    /// The number of workers; by default one for each entry of `devices`, else one.
    #[serde(default, deserialize_with = "workers")]
    #[schemars(with = "Option<usize>", range(min = 1, max = 1000))]
    count: Option<usize>,
    /// The devices of each worker, one entry for each.
    #[serde(default)]
    #[schemars(with = "Vec<Written>")]
    devices: Vec<DeviceEntry>,
    /// Makes proposals while experiments run; by default with several workers, or with a model or an agent.
    pub ahead: Option<bool>,
    /// Builds that may go on beside the trials.
    #[serde(default, deserialize_with = "builders")]
    #[schemars(with = "Option<usize>", range(max = 1000))]
    pub builders: Option<usize>,
}

/// The devices of one worker: a text as `cuda:0`, or a table with the class of its hardware as well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
struct DeviceEntry {
    device: String,
    class: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a device is a text as 'cuda:0', or a table { device = 'cuda:0', class = 'h100' }")]
enum Written {
    Text(String),
    Table(Table),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    device: String,
    class: String,
}

impl From<Written> for DeviceEntry {
    fn from(written: Written) -> DeviceEntry {
        match written {
            Written::Text(device) => DeviceEntry { device, class: String::new() },
            Written::Table(Table { device, class }) => DeviceEntry { device, class },
        }
    }
}

fn workers<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    values::between::<1, MAX_WORKERS, D>(from).map(|count| Some(count as usize))
}

fn builders<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    values::between::<0, MAX_WORKERS, D>(from).map(|count| Some(count as usize))
}

/// Splits a list of devices whose entries may have commas, too: `cpus:0,2,cpus:1,3` has two entries.
pub fn split_devices(list: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for part in list.split(',').map(str::trim) {
        match entries.last_mut() {
            Some(entry) if part.starts_with(|first: char| first.is_ascii_digit()) => *entry += &format!(",{part}"),
            _ => entries.push(part.to_owned()),
        }
    }
    entries
}

/// The kinds of hardware that one worker's trials use. Trials of workers with different resources do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Processors that it has for itself.
    pub cpus: usize,
    /// GPUs that it has for itself.
    pub gpus: usize,
}

impl Resources {
    /// Counts the processors and GPUs of a device.
    pub fn of(device: &Device) -> Resources {
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

impl WorkersSection {
    /// The number of workers.
    pub fn count(&self) -> usize {
        self.count.unwrap_or(self.devices.len().max(1))
    }

    /// The devices of each worker; empty where none are named.
    pub fn devices(&self) -> Result<Vec<Device>, KeyError> {
        let parsed = self.devices.iter().map(|entry| Device::parse(&entry.device));
        let devices: Result<Vec<Device>, String> = parsed.collect();
        let checked = devices.and_then(|devices| Device::check(&devices).map(|()| devices));
        checked.map_err(|why| KeyError::new("workers.devices", format!(": {why}")))
    }

    /// The class of hardware of each worker, empty where it has no name.
    pub fn classes(&self) -> Vec<String> {
        let named = self.devices.iter().map(|entry| entry.class.clone());
        if self.devices.is_empty() { vec![String::new(); self.count()] } else { named.collect() }
    }

    /// Finds what is wrong with the section alone, as far as that can be told without this machine.
    pub fn check(&self) -> Result<(), KeyError> {
        let count = self.count();
        if !self.devices.is_empty() && self.devices.len() != count {
            let why = format!(
                "is {count}, and devices names {}; name the devices of each worker, or leave one of the two out",
                self.devices.len()
            );
            return Err(KeyError::new("workers.count", why));
        }
        let (devices, classes) = (self.devices()?, self.classes());
        for (worker, (device, class)) in devices.iter().zip(&classes).enumerate() {
            let first = classes.iter().position(|other| other == class).unwrap_or(worker);
            let (first_has, has) =
                (devices.get(first).map_or_else(|| Resources::of(device), Resources::of), Resources::of(device));
            if first_has != has {
                let why = format!(
                    ": worker {first} has {first_has} and worker {worker} has {has}, so what they measure does not compare; \
                     give both the same, or name their classes of hardware as {{ device = '…', class = '…' }}"
                );
                return Err(KeyError::new("workers.devices", why));
            }
        }
        if self.ahead == Some(false) && count > 1 {
            let why = format!(
                "is false, and there are {count} workers: without proposals ahead only one would have work; leave ahead out, \
                 or give one worker"
            );
            return Err(KeyError::new("workers.ahead", why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_of_a_list_may_have_commas() {
        assert_eq!(
            split_devices("cpus:0,2, cpus:1,3,cuda:0+1/cpus:4-5"),
            ["cpus:0,2", "cpus:1,3", "cuda:0+1/cpus:4-5"]
        );
        assert_eq!(split_devices("cuda:GPU-1,cuda:2"), ["cuda:GPU-1", "cuda:2"]);
    }
}
