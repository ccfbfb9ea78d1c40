//! `[holdout]`: how a state is measured on data that no decision has seen.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Seconds;

/// The section; without a command there is no holdout.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldoutSection {
    /// The command line, which takes the place of the run's and prints the metric as it does; with `[evaluate]` that of the
    /// evaluation's, over what the run leaves.
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
    /// Variables for this command alone. A variable that is set outside wins.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}
