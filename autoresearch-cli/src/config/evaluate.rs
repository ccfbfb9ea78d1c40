//! `[evaluate]`: a command that measures what the run of a candidate left.

use autoresearch_core::Evaluation;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;
use super::values::Seconds;
use super::workspace::check_paths;

/// The section. Without it the metric reads what the run prints.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSection {
    /// The command line. It runs in the files of the commit that the run of the search started from, never in a candidate's.
    #[serde(default)]
    pub command: Vec<String>,
    /// Files that a candidate's run leaves for it, by their paths; `*`, `?` and `**` as in `editable`.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Files and folders that it alone sees, beside those of `[workspace]`, such as the data that it measures on.
    #[serde(default)]
    pub share: Vec<String>,
    /// Wall clock until it is killed; ten minutes by default.
    #[serde(default)]
    pub limit_seconds: Seconds,
}

impl EvaluateSection {
    /// Finds a section that names no program or nothing to evaluate, and paths that name nothing.
    pub fn check(&self) -> Result<(), KeyError> {
        if self.command.is_empty() {
            let why =
                "is empty; give the program that measures, as [\"python3\", \"evaluate.py\"], or leave [evaluate] out";
            return Err(KeyError::new("evaluate.command", why));
        }
        if self.inputs.is_empty() {
            let why = "is empty; name the files that the run leaves and the evaluation reads, as [\"model.bin\"]";
            return Err(KeyError::new("evaluate.inputs", why));
        }
        let is_outside = |path: &&String| path.starts_with('/') || path.split('/').any(|part| part == "..");
        if let Some(path) = self.inputs.iter().find(is_outside) {
            let why =
                format!("has {path:?}; give paths below the candidate's folder, in which the run leaves its files");
            return Err(KeyError::new("evaluate.inputs", why));
        }
        check_paths("evaluate.share", &self.share)
    }

    /// The evaluation as the sandbox takes it, without what is shared. `fill` replaces the placeholders of a command line.
    pub fn evaluation(&self, fill: impl Fn(&[String]) -> Vec<String>) -> Evaluation {
        Evaluation::new(fill(&self.command), self.inputs.iter().cloned(), self.limit_seconds.0)
    }
}
