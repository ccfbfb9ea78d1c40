//! `[guard]`: commands that a candidate must pass beside its measurement, such as its tests.

use autoresearch_core::{Guard, GuardTime};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::values::Seconds;

/// The section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardSection {
    /// One command line.
    #[serde(default)]
    pub command: Vec<String>,
    /// Several command lines, which run in this order after `command`.
    #[serde(default)]
    pub commands: Vec<Vec<String>>,
    /// Their place in a trial; after the measurement by default.
    #[serde(default)]
    pub when: When,
    /// Wall clock of each until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
}

/// The place of guards in a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// A candidate that fails is not measured.
    Before,
    /// The tests cannot disturb the measurement.
    #[default]
    After,
}

impl When {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            When::Before => "before",
            When::After => "after",
        }
    }
}

impl GuardSection {
    /// Finds a section or a command that names no program.
    pub fn check(&self) -> Result<(), KeyError> {
        if self.command.is_empty() && self.commands.is_empty() {
            return Err(KeyError::new(
                "guard",
                "names no command; give command = [\"pytest\", \"-q\"], or leave it out",
            ));
        }
        match self.commands.iter().any(Vec::is_empty) {
            true => Err(KeyError::new("guard.commands", "has an empty command; give its program, or leave it out")),
            false => Ok(()),
        }
    }

    /// The command lines as they are written, in their order, with the key that each stands under.
    pub fn written(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let single = (!self.command.is_empty()).then_some(("guard.command", &self.command));
        single.into_iter().chain(self.commands.iter().map(|command| ("guard.commands", command)))
    }

    /// The guards as the sandbox takes them. `fill` replaces the placeholders of a command line.
    pub fn guards(&self, fill: impl Fn(&[String]) -> Vec<String>) -> Vec<Guard> {
        let when = match self.when {
            When::Before => GuardTime::Before,
            When::After => GuardTime::After,
        };
        self.written().map(|(_, command)| Guard::new(fill(command), when, self.limit_seconds.0)).collect()
    }
}
