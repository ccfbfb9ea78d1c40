//! The settings of git that hold in a repository, as its command sees them.

use std::collections::HashMap;
use std::path::PathBuf;

use git2::{Config, Repository};

use super::error::{GitError, OrGit};
use super::program::git;

/// The settings. libgit2 reads the usual files; those that a variable such as `GIT_CONFIG_GLOBAL` or `GIT_CONFIG_COUNT` names
/// it does not know, so then the command is asked.
pub(super) enum Settings {
    Files(Config),
    Told(HashMap<String, String>),
}

impl Settings {
    /// Reads the settings of a repository.
    pub(super) fn of(repository: &Repository) -> Result<Settings, GitError> {
        let is_elsewhere = std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("GIT_CONFIG"));
        let mut command = git();
        command.arg("--git-dir").arg(repository.path()).args(["config", "--list", "-z"]);
        // Without a git command nothing is checked out by it either.
        let Some(output) = is_elsewhere.then(|| command.output().ok()).flatten() else {
            let config = repository.config().and_then(|mut config| config.snapshot()).or_git()?;
            return Ok(Settings::Files(config));
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(GitError::Git(format!("`git config --list` failed: {}", said.trim())));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        // A key without a value is one that is true.
        let entries = text.split_terminator('\0').map(|entry| entry.split_once('\n').unwrap_or((entry, "true")));
        Ok(Settings::Told(entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }

    /// The value of a setting, named as `section.key` in lower case or `section.Subsection.key`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        match self {
            Settings::Files(config) => config.get_str(key).ok(),
            Settings::Told(values) => values.get(key).map(String::as_str),
        }
    }

    /// Tells whether a setting has this value.
    pub(super) fn is(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|own| own.eq_ignore_ascii_case(value))
    }

    /// The files with attributes that lie outside the repository.
    pub(super) fn attribute_files(&self) -> impl Iterator<Item = PathBuf> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let below = |folder: &Option<PathBuf>, path: &str| folder.as_ref().map(|folder| folder.join(path));
        let user = match self.get("core.attributesfile") {
            Some(path) => match path.strip_prefix("~/") {
                Some(rest) => below(&home, rest),
                None => Some(PathBuf::from(path)),
            },
            None => {
                let config = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
                below(&config.or_else(|| below(&home, ".config")), "git/attributes")
            }
        };
        user.into_iter().chain([PathBuf::from("/etc/gitattributes")])
    }
}
