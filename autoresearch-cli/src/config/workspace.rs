//! `[workspace]`: what a candidate needs beside the files of the commit.

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::KeyError;

/// The section; without it a candidate has the files of its commit and nothing else.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceSection {
    /// Files and folders that all candidates share: below the repository's root by a symbolic link, others at their own path.
    #[serde(default)]
    pub share: Vec<String>,
    /// Files and folders below the repository's root of which each trial gets a copy of its own.
    #[serde(default)]
    pub copy: Vec<String>,
    /// True if a candidate's folder is a git repository in which its commit is checked out, for programs that ask git.
    #[serde(default)]
    pub git: bool,
}

impl WorkspaceSection {
    /// Finds paths that name nothing, or lead out of the repository.
    pub fn check(&self) -> Result<(), KeyError> {
        check_paths("workspace.share", &self.share)?;
        check_paths("workspace.copy", &self.copy)?;
        match self.copy.iter().find(|path| is_outside(path)) {
            Some(path) => {
                let why = format!(
                    "has {path:?}, which is not below the repository's root; candidates reach it by that path, so name it in \
                     [workspace] share"
                );
                Err(KeyError::new("workspace.copy", why))
            }
            None => Ok(()),
        }
    }
}

/// Finds paths of what is shared that name nothing, or lead out of the repository.
pub(super) fn check_paths(key: &str, paths: &[String]) -> Result<(), KeyError> {
    for path in paths {
        let parts = || path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let why = if parts().next().is_none() {
            "which names no file below the repository's root; name files and folders, as [\"data\", \".venv\"]"
        } else if parts().any(|part| part == "..") {
            "which leads out of the repository; give the whole path, as \"/data/sets\" or \"~/data\""
        } else if parts().any(|part| part == ".git" || part == ".autoresearch") {
            "which belongs to git or to the runs, and no candidate may see it; leave it out"
        } else {
            continue;
        };
        return Err(KeyError::new(key, format!("has {path:?}, {why}")));
    }
    Ok(())
}

/// Returns whether a path is written as one that is not relative to the repository's root.
fn is_outside(path: &str) -> bool {
    path.starts_with(['/', '~']) || path.starts_with("{cache}") || path.starts_with("{target}")
}
