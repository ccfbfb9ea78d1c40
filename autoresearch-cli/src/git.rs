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

/// The failure of a call of git, in git's own words.
pub fn failure(arguments: &[&str], output: &Output) -> CommandError {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let said = said.iter().find(|said| !said.is_empty()).map_or("it said nothing", String::as_str);
    CommandError::Other(format!("git {}: {said}", arguments.join(" ")))
}
