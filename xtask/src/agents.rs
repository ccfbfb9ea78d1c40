//! `cargo xtask agents`: the agents that the tests put through a run, from the registry that npm is configured with.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sh;

/// The package, its program, and the version that the tests are written for.
const AGENTS: [(&str, &str, &str); 2] =
    [("@anthropic-ai/claude-code", "claude", "2.1.329"), ("@openai/codex", "codex", "0.169.0")];

/// Installs what is missing and returns the folder that tests find as `AUTORESEARCH_TEST_AGENTS`.
pub fn agents() -> Result<PathBuf, String> {
    let folder = sh::target()?.join("agents");
    if missing(&folder).is_none() {
        return Ok(folder);
    }
    for program in ["node", "npm"] {
        sh::output(Command::new(program).arg("--version"))
            .map_err(|why| format!("{why}; install Node.js, which brings npm"))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    npm.args(AGENTS.map(|(package, _, version)| format!("{package}@{version}")));
    eprintln!("> {}", sh::shown(&npm));
    sh::output(&mut npm).map_err(|why| format!("the agents cannot be installed: {why}"))?;
    // Where npm runs no scripts of packages, this one's is still to be run: it puts the program in its place.
    let package = folder.join("node_modules").join(AGENTS[0].0);
    if missing(&folder).is_some() && package.join("install.cjs").is_file() {
        sh::output(Command::new("node").arg("install.cjs").current_dir(&package))?;
    }
    match missing(&folder) {
        None => Ok(folder),
        Some(why) => Err(format!("the agents were installed and do not run: {why}")),
    }
}

/// The first thing that is not as it should be.
fn missing(folder: &Path) -> Option<String> {
    AGENTS.iter().find_map(|(_, program, version)| {
        let mut command = Command::new(folder.join("node_modules/.bin").join(program));
        match sh::output(command.arg("--version")) {
            Ok(printed) if names(&printed, version) => None,
            Ok(printed) => Some(format!("{program} is {}, not {version}", printed.trim())),
            Err(why) => Some(why),
        }
    })
}

/// Returns true when one of the words is the version.
fn names(printed: &str, version: &str) -> bool {
    printed.split_whitespace().any(|word| word == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_word_of_its_own() {
        assert!(names("2.1.329 (Claude Code)\n", "2.1.329") && names("codex-cli 0.169.0\n", "0.169.0"));
        assert!(!names("2.1.3290\n", "2.1.329"));
    }
}
