//! The identity of the machine that a number was measured on: times compare only on one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

/// Identifies a machine: its processor's model, its number of processors, and a hash that tells it from others of the same kind.
///
/// The hash is of the system's own identity (`/etc/machine-id`), or where there is none of the host's name, together with a
/// word of ours: neither can be read from it. Containers without that file are as lasting as their host names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineId(Arc<str>);

impl MachineId {
    /// Identifies this machine.
    ///
    /// ```
    /// use autoresearch_core::MachineId;
    /// let here = MachineId::here();
    /// assert!(here.to_string().contains("processors"), "{here}");
    /// assert_eq!(here, MachineId::here());
    /// ```
    pub fn here() -> MachineId {
        static HERE: OnceLock<MachineId> = OnceLock::new();
        HERE.get_or_init(find).clone()
    }

    /// Identifies another machine, for sandboxes that run elsewhere, by any name that tells it from others.
    pub fn named(name: impl Into<String>) -> MachineId {
        MachineId(name.into().into())
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn find() -> MachineId {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Not those that this process may use: how many it may is no property of the machine.
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let count = if count > 0 { count } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let model = model(&processors).unwrap_or(std::env::consts::ARCH);
    MachineId::named(format!("{model}, {count} processors, {}", hash(&identity())))
}

/// Finds the processor's model, as the systems name it on their architectures.
fn model(processors: &str) -> Option<&str> {
    let field = |name: &str| {
        let mut pairs = processors.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    ["model name", "cpu model", "Model", "CPU part"].into_iter().find_map(field)
}

/// Reads an identity that tells this machine from others of its kind, and stays when it is started again.
fn identity() -> String {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"];
    let read = |path: &&str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let name =
        || std::process::Command::new("uname").arg("-n").output().ok().and_then(|o| String::from_utf8(o.stdout).ok());
    let found = files.iter().filter_map(read).find(|text| !text.is_empty() && text != "uninitialized");
    found.or_else(name).or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_default()
}

/// Hashes an identity to twelve digits: enough to tell machines apart, and one-way.
fn hash(identity: &str) -> String {
    blake3::hash(format!("autoresearch machine\0{identity}").as_bytes()).to_hex().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_on_several_architectures() {
        assert_eq!(model("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\n"), Some("AMD EPYC 7B13"));
        assert_eq!(model("processor\t: 0\nCPU part\t: 0xd0c\n"), Some("0xd0c"));
        assert_eq!(model(""), None);
    }

    #[test]
    fn identities_stay_secret_and_apart() {
        let (one, other) = (hash("secret-host"), hash("other-host"));
        assert!(one.len() == 12 && one != other && one == hash("secret-host"));
        let here = MachineId::here().to_string();
        assert!(!here.contains(&identity()), "{here}");
        let json = serde_json::to_string(&MachineId::here()).unwrap();
        assert_eq!(serde_json::from_str::<MachineId>(&json).unwrap(), MachineId::here());
    }
}
