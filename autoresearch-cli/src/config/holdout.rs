//! `[holdout]`: how a state is measured on data that no decision has seen.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Seconds;

/// The section; without a command there is no holdout.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldoutSection {
    /// The command line, which prints the metric as the run does.
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
    /// Variables for this command alone. A variable that is set outside wins.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}
