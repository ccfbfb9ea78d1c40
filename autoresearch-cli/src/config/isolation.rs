//! `[isolation]`: walls around the commands of candidates.

use std::sync::Arc;

use autoresearch_core::internal::isolation::{Container, Hosts, Isolation, IsolationLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::KeyError;
use super::schema;
use crate::proxy::{Host, serve};

/// The section; without it commands may do what the user may do.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IsolationSection {
    /// How much of the isolation must be there.
    #[serde(default)]
    #[schemars(with = "schema::IsolationLevel")]
    pub level: IsolationLevel,
    /// Files and folders that commands may also read and execute, as paths of their own.
    #[serde(default)]
    pub read: Vec<String>,
    /// Files and folders that commands may also write.
    #[serde(default)]
    pub write: Vec<String>,
    /// Folders that each candidate finds as the baseline's build left them and changes for itself alone, as paths of their own.
    #[serde(default)]
    pub pristine: Vec<String>,
    /// The container engine that has the walls: `podman`, `docker` or `apptainer`, or a path to one of them. By default the walls are
    /// the lab's own.
    pub container: Option<String>,
    /// The image in which commands run, as the engine names it: of apptainer the path of a file.
    pub image: Option<String>,
    /// False for none, true for the machine's network, or the hosts that commands may reach, as `pypi.org`, `*.crates.io` or
    /// `127.0.0.1:8000`.
    #[serde(default)]
    pub network: NetworkSetting,
}

/// The network of commands, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "the network is true, false or a list of hosts as [\"pypi.org\", \"*.crates.io\"]")]
pub enum NetworkSetting {
    /// All of the machine's, or none.
    Machine(bool),
    /// Some hosts, through a proxy of the lab's.
    Hosts(Vec<String>),
}

impl Default for NetworkSetting {
    fn default() -> NetworkSetting {
        NetworkSetting::Machine(false)
    }
}

impl NetworkSetting {
    /// The same where an empty list is none.
    pub fn plain(&self) -> NetworkSetting {
        if self.hosts().is_empty() { NetworkSetting::Machine(self.is_machines()) } else { self.clone() }
    }

    /// Returns true for the machine's network.
    pub fn is_machines(&self) -> bool {
        *self == NetworkSetting::Machine(true)
    }

    /// The hosts that commands may reach.
    pub fn hosts(&self) -> &[String] {
        if let NetworkSetting::Hosts(hosts) = self { hosts } else { &[] }
    }
}

impl IsolationSection {
    /// Finds keys that open a wall which is not there, and paths that are none.
    pub fn check(&self) -> Result<(), KeyError> {
        let given = [
            ("isolation.read", !self.read.is_empty()),
            ("isolation.write", !self.write.is_empty()),
            ("isolation.network", self.network.plain() != NetworkSetting::default()),
        ];
        let is_without = self.level == IsolationLevel::None;
        if is_without && !self.pristine.is_empty() {
            let why = "keeps a folder from the changes of candidates, which needs walls; give level = \"best-effort\" or \"strict\", \
                       too, or leave it out";
            return Err(KeyError::new("isolation.pristine", why));
        }
        match (&self.container, &self.image) {
            (None, None) => {}
            _ if is_without => {
                let why = "names the walls, and level is \"none\"; give level = \"best-effort\" or \"strict\", too";
                return Err(KeyError::new("isolation.container", why));
            }
            (None, Some(_)) => {
                return Err(KeyError::new("isolation.image", "is for a container; give container = \"podman\", too"));
            }
            (Some(_), None) => {
                let why = "runs commands in an image; name it: image = \"localhost/trainer\"";
                return Err(KeyError::new("isolation.container", why));
            }
            (Some(_), Some(_)) => drop(self.engine()?),
        }
        if let Some(path) = self.pristine.iter().find(|path| self.write.contains(path)) {
            let why = format!(
                "has {path:?}, which stands in write, too: a candidate's changes stay or go; name it in one of them"
            );
            return Err(KeyError::new("isolation.pristine", why));
        }
        if let Some((key, _)) = given.iter().find(|(_, is_given)| *is_given)
            && is_without
        {
            let why =
                "opens a wall where there is none; give level = \"best-effort\" or \"strict\", too, or leave it out";
            return Err(KeyError::new(*key, why));
        }
        let hosts = self.network.hosts();
        if let Some((host, why)) = hosts.iter().find_map(|host| Some((host, Host::read(host).err()?))) {
            return Err(KeyError::new("isolation.network", format!("has {host:?}, which {why}")));
        }
        if self.container.is_some() && !hosts.is_empty() {
            let why = "names hosts, and the network of a container is its engine's: give true and filter by the engine, or leave container \
                       out";
            return Err(KeyError::new("isolation.network", why));
        }
        let named =
            [("isolation.read", &self.read), ("isolation.write", &self.write), ("isolation.pristine", &self.pristine)];
        for (key, paths) in named {
            if let Some(path) = paths.iter().find(|path| !path.starts_with(['/', '~', '{'])) {
                let why = format!(
                    "has {path:?}, which is no whole path; give one as \"/data\", \"~/data\" or \"{{repo}}/data\""
                );
                return Err(KeyError::new(key, why));
            }
        }
        Ok(())
    }

    fn engine(&self) -> Result<Option<Container>, KeyError> {
        let (Some(program), Some(image)) = (&self.container, &self.image) else { return Ok(None) };
        let engine = Container::new(program, image).map_err(|why| KeyError::new("isolation.container", why))?;
        Ok(Some(engine))
    }

    /// The isolation as the executor takes it. `fill` makes a path of what is written; `shared` are further ones to read.
    pub fn isolation(&self, fill: impl Fn(&str) -> std::path::PathBuf, shared: Vec<std::path::PathBuf>) -> Isolation {
        let mut isolation = match self.level {
            IsolationLevel::None => return Isolation::default(),
            IsolationLevel::BestEffort => Isolation::best_effort(),
            IsolationLevel::Strict => Isolation::strict(),
        };
        isolation.read = self.read.iter().map(|path| fill(path)).chain(shared).collect();
        isolation.write = self.write.iter().map(|path| fill(path)).collect();
        isolation.pristine = self.pristine.iter().map(|path| fill(path)).collect();
        // One that is none was told when the file was read.
        isolation.container = self.engine().ok().flatten();
        let names = self.network.hosts();
        // As above: all of them were read.
        let hosts: Arc<[Host]> = names.iter().filter_map(|host| Host::read(host).ok()).collect();
        match hosts.is_empty() {
            true => isolation.network(self.network.is_machines()),
            false => isolation.hosts(Hosts::new(names.to_vec(), move |listener| serve(hosts.clone(), listener))),
        }
    }
}
