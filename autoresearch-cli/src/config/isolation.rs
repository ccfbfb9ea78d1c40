//! `[isolation]`: walls around the commands of candidates.

use autoresearch_core::internal::isolation::{Isolation, IsolationLevel};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::schema;

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
    /// True if commands may use the network.
    #[serde(default)]
    pub network: bool,
}

impl IsolationSection {
    /// Finds keys that open a wall which is not there, and paths that are none.
    pub fn check(&self) -> Result<(), KeyError> {
        let given = [
            ("isolation.read", !self.read.is_empty()),
            ("isolation.write", !self.write.is_empty()),
            ("isolation.network", self.network),
        ];
        if let Some((key, _)) = given.iter().find(|(_, is_given)| *is_given)
            && self.level == IsolationLevel::None
        {
            let why =
                "opens a wall where there is none; give level = \"best-effort\" or \"strict\", too, or leave it out";
            return Err(KeyError::new(*key, why));
        }
        for (key, paths) in [("isolation.read", &self.read), ("isolation.write", &self.write)] {
            if let Some(path) = paths.iter().find(|path| !path.starts_with(['/', '~', '{'])) {
                let why = format!(
                    "has {path:?}, which is no whole path; give one as \"/data\", \"~/data\" or \"{{repo}}/data\""
                );
                return Err(KeyError::new(key, why));
            }
        }
        Ok(())
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
        isolation.network(self.network)
    }
}
