//! `[run]`, `[build]` and `[check]`: the commands.

use autoresearch_core::internal::process::Cpus;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::values::{self, Seconds};

/// `[run]`: the program that prints the metric.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSection {
    /// The command line.
    pub command: Vec<String>,
    /// Wall clock until it is killed, all repeats together; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
    /// The processors that it is pinned to; all of them if the list is empty.
    #[serde(default, deserialize_with = "values::cpus")]
    #[schemars(with = "Vec<usize>")]
    pub cpus: Cpus,
    /// Repeats of the command for one measurement; 1 by default.
    #[serde(default = "once", deserialize_with = "values::between::<1, 1000, _>")]
    #[schemars(range(min = 1, max = 1000))]
    pub repeats: u32,
    /// Names of further variables of the outer environment that the build and the run inherit, where they are set.
    #[serde(default)]
    pub pass: Vec<String>,
}

impl RunSection {
    /// Finds names that no variable can have.
    pub fn check(&self) -> Result<(), KeyError> {
        match self.pass.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            Some(name) => {
                let why = format!("has {name:?}, which is no name of a variable; give names alone, as [\"HF_HOME\"]");
                Err(KeyError::new("run.pass", why))
            }
            None => Ok(()),
        }
    }
}

fn once() -> u32 {
    1
}

/// `[build]`: the command that makes the program; none by default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildSection {
    /// The command line; empty for no build.
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
    /// Files that the build leaves outside the candidate's folder and that the run needs.
    #[serde(default)]
    pub keeps: Vec<String>,
}

/// `[check]`: the command that a patch of a model or an agent must pass before it costs an experiment; none by default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSection {
    /// The command line; empty for no check.
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
}
