//! `[run]`, `[build]` and `[check]`: the commands.

use autoresearch_core::process::Cpus;
use serde::Deserialize;

use super::values::{self, Seconds};

/// `[run]`: the program that prints the metric.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSection {
    /// The command line.
    pub command: Vec<String>,
    /// Wall clock until it is killed, all repeats together; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
    /// The processors that it is pinned to; all of them if the list is empty.
    #[serde(default, deserialize_with = "values::cpus")]
    pub cpus: Cpus,
    /// Repeats of the command for one measurement; 1 by default.
    #[serde(default = "once", deserialize_with = "values::between::<1, 1000, _>")]
    pub repeats: u32,
}

fn once() -> u32 {
    1
}

/// `[build]`: the command that makes the program; none by default.
#[derive(Debug, Clone, Default, Deserialize)]
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

/// `[check]`: the command that a model's patch must pass before it costs an experiment; none by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSection {
    /// The command line; empty for no check.
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
}
