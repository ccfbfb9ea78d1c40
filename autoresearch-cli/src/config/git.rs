//! `[git]`: the names that a run has in the repository.

use autoresearch_core::internal::git::is_branch_name;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;

/// The place of the run's name in the branch's.
const TAG: &str = "{tag}";

/// The section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitSection {
    /// The branch of a run, with `{tag}` for the run's name; `autoresearch/{tag}` by default.
    #[serde(default = "usual")]
    branch: String,
}

impl Default for GitSection {
    fn default() -> GitSection {
        GitSection { branch: usual() }
    }
}

impl GitSection {
    /// The branch of the run `tag`.
    pub fn branch(&self, tag: &str) -> String {
        self.branch.replace(TAG, tag)
    }

    /// Finds names that two runs would share, or that no branch can have.
    pub fn check(&self) -> Result<(), KeyError> {
        let branch = &self.branch;
        let why = match (branch.contains(TAG), is_branch_name(&self.branch("t"))) {
            (true, true) => return Ok(()),
            (false, _) => {
                format!("is {branch:?}, so that all runs would share one branch; give it a place for the run's name")
            }
            (true, false) => {
                format!("is {branch:?}, which git takes for no name of a branch; give letters, digits, - and /")
            }
        };
        Err(KeyError::new("git.branch", format!("{why}, as \"research/{TAG}\"")))
    }
}

fn usual() -> String {
    format!("autoresearch/{TAG}")
}
