//! The user's own git command: what it does passes the user's configuration, hooks and signatures.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::CommandError;

/// Runs git in the working tree `root`. Fails if it cannot be started.
pub fn output(root: &Path, arguments: &[&str]) -> Result<Output, CommandError> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(root).stdin(Stdio::null());
    command
        .output()
        .map_err(|error| CommandError::Other(format!("cannot start git: {error}; install it, or add it to PATH")))
}

/// Runs git, and returns its output. Fails with git's own words if git does.
pub fn git(root: &Path, arguments: &[&str]) -> Result<String, CommandError> {
    let output = output(root, arguments)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failure(arguments, &output)),
    }
}

/// The failure of a call of git, in git's own words without its hints: they tell how to go on with what is undone here.
pub fn failure(arguments: &[&str], output: &Output) -> CommandError {
    let said = [&output.stderr, &output.stdout].map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.trim().lines().filter(|line| !line.starts_with("hint:")).collect();
        lines.join("\n")
    });
    let said: Vec<&str> = said.iter().map(String::as_str).filter(|said| !said.is_empty()).collect();
    let said = if said.is_empty() { "it said nothing".to_owned() } else { said.join("\n") };
    CommandError::Other(format!("git {}: {said}", arguments.join(" ")))
}
