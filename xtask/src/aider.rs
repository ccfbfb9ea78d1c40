//! The aider that a test puts through a run: in an environment of Python's own, from the index that pip is configured with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sh;

/// The package with the version that the test is written for.
const PACKAGE: &str = "aider-chat==0.86.2";
/// The Pythons that this version takes, as their minor numbers.
const MINORS: std::ops::Range<u32> = 10..13;
/// Time that the installation may take: some hundred megabytes are fetched.
const LIMIT: Duration = Duration::from_secs(900);

/// Installs aider unless it is there, and returns the program that the test finds as `AUTORESEARCH_TEST_AIDER`.
pub fn aider() -> Result<PathBuf, String> {
    let folder = sh::target()?.join("aider");
    let program = folder.join("bin/aider");
    if runs(&program).is_ok() {
        return Ok(program);
    }
    let python = python()?;
    sh::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))
        .map_err(|why| format!("{why}; is the module venv installed (python3-venv)?"))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--prefer-binary",
        PACKAGE,
    ]);
    within(LIMIT, &mut pip).map_err(|why| format!("aider cannot be installed: {why}"))?;
    runs(&program).map(|_| program).map_err(|why| format!("aider was installed and does not run: {why}"))
}

/// Finds a Python that this version of aider takes.
fn python() -> Result<String, String> {
    let named = MINORS.rev().map(|minor| format!("python3.{minor}"));
    let mut seen = Vec::new();
    for program in named.chain(["python3".to_owned()]) {
        let Ok(printed) = sh::output(Command::new(&program).arg("--version")) else { continue };
        match minor(&printed) {
            Some(minor) if MINORS.contains(&minor) => return Ok(program),
            _ => seen.push(printed.trim().to_owned()),
        }
    }
    let seen = if seen.is_empty() { "there is none".into() } else { format!("there is {}", seen.join(", ")) };
    Err(format!("{PACKAGE} needs Python 3.{} to 3.{}, and {seen}", MINORS.start, MINORS.end - 1))
}

/// The minor number in `Python 3.11.7`.
fn minor(printed: &str) -> Option<u32> {
    printed.trim().strip_prefix("Python 3.")?.split('.').next()?.parse().ok()
}

fn runs(program: &Path) -> Result<String, String> {
    sh::output(Command::new(program).arg("--version").env("HOME", std::env::temp_dir()))
}

/// Runs a command to its end, or to the end of its time.
fn within(limit: Duration, command: &mut Command) -> Result<(), String> {
    let shown = sh::shown(command);
    eprintln!("> {shown}");
    let cannot = |error| format!("cannot run `{shown}`: {error}");
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().map_err(cannot)?;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if began.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took longer than {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_python_is_read() {
        assert_eq!(
            (minor("Python 3.11.7\n"), minor("Python 3.13.0rc1"), minor("Python 2.7.18")),
            (Some(11), Some(13), None)
        );
    }

    #[test]
    fn an_installation_ends_in_time() {
        assert_eq!(within(Duration::from_secs(9), &mut Command::new("true")), Ok(()));
        let late = within(Duration::from_millis(200), Command::new("sleep").arg("30"));
        assert_eq!(late, Err("it took longer than 0 s".into()));
    }
}
