//! On which machine a number was measured: times compare only on one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use git2::{ObjectType, Oid};
use serde::{Deserialize, Serialize};

/// A machine: its processor's model, its number of processors, and a hash that tells it from others of the same kind.
///
/// The hash is of the system's own identity (`/etc/machine-id`), or where there is none of the host's name, together with a
/// word of ours: neither can be read from it. Containers without that file are as lasting as their host names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Machine(Arc<str>);

impl Machine {
    /// This machine.
    ///
    /// ```
    /// use autoresearch_core::Machine;
    /// let here = Machine::here();
    /// assert!(here.to_string().contains("processors"), "{here}");
    /// assert_eq!(here, Machine::here());
    /// ```
    pub fn here() -> Machine {
        static HERE: OnceLock<Machine> = OnceLock::new();
        HERE.get_or_init(find).clone()
    }

    /// Another machine, for sandboxes that run elsewhere: whatever tells it from others.
    pub fn named(name: impl Into<String>) -> Machine {
        Machine(name.into().into())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Machine {
    fn from(name: String) -> Machine {
        Machine::named(name)
    }
}

impl From<Machine> for String {
    fn from(machine: Machine) -> String {
        machine.0.as_ref().to_owned()
    }
}

fn find() -> Machine {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Not those that this process may use: how many it may is no property of the machine.
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let count = if count > 0 { count } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let model = model(&processors).unwrap_or(std::env::consts::ARCH);
    Machine::named(format!("{model}, {count} processors, {}", hash(&identity())))
}

/// The processor's model, as the systems name it on their architectures.
fn model(processors: &str) -> Option<&str> {
    let field = |name: &str| {
        let mut pairs = processors.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    ["model name", "cpu model", "Model", "CPU part"].into_iter().find_map(field)
}

/// What tells this machine from others of its kind, and stays when it is started again.
fn identity() -> String {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"];
    let read = |path: &&str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let name =
        || std::process::Command::new("uname").arg("-n").output().ok().and_then(|o| String::from_utf8(o.stdout).ok());
    let found = files.iter().filter_map(read).find(|text| !text.is_empty() && text != "uninitialized");
    found.or_else(name).or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_default()
}

/// Twelve digits: enough to tell machines apart. SHA-1 is at hand in git, and one-way for this.
fn hash(identity: &str) -> String {
    let text = format!("autoresearch machine\0{identity}");
    let id = Oid::hash_object(ObjectType::Blob, text.as_bytes()).map(|id| id.to_string()).unwrap_or_default();
    id.chars().take(12).collect()
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
        let here = Machine::here().to_string();
        assert!(!here.contains(&identity()), "{here}");
        let json = serde_json::to_string(&Machine::here()).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), Machine::here());
    }
}
