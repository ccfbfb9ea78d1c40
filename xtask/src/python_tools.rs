//! Programs in Python that tests use: each in an environment of its own, from the index that pip is configured with.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sh;

/// A program, its package, and the tests' name for it.
pub struct PythonTool {
    /// The program, and the folder that it is installed in.
    name: &'static str,
    /// The package with the version that the tests are written for.
    package: &'static str,
    /// The Pythons that this version takes, as their minor numbers.
    minors: Range<u32>,
    /// The variable by which tests find the program; one of the user's own wins.
    pub variable: &'static str,
}

/// All of them.
pub const PYTHON_TOOLS: [PythonTool; 3] = [
    PythonTool { name: "aider", package: "aider-chat==0.86.2", minors: 10..13, variable: "AUTORESEARCH_TEST_AIDER" },
    PythonTool { name: "uv", package: "uv==0.13.9", minors: 9..15, variable: "AUTORESEARCH_TEST_UV" },
    PythonTool { name: "poetry", package: "poetry==2.5.1", minors: 10..15, variable: "AUTORESEARCH_TEST_POETRY" },
];

/// Time that the installation may take: some hundred megabytes are fetched.
const LIMIT: Duration = Duration::from_secs(900);

impl PythonTool {
    /// Installs the program unless it is there, and returns its path.
    pub fn install(&self) -> Result<PathBuf, String> {
        let folder = sh::target()?.join(self.name);
        let program = folder.join("bin").join(self.name);
        if runs(&program).is_ok() {
            return Ok(program);
        }
        let python = self.python()?;
        sh::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))
            .map_err(|why| format!("{why}; is the module venv installed (python3-venv)?"))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--prefer-binary"]);
        within(LIMIT, pip.arg(self.package)).map_err(|why| format!("{} cannot be installed: {why}", self.name))?;
        runs(&program).map(|_| program).map_err(|why| format!("{} was installed and does not run: {why}", self.name))
    }

    /// Finds a Python that this version takes.
    fn python(&self) -> Result<String, String> {
        let named = self.minors.clone().rev().map(|minor| format!("python3.{minor}"));
        let mut seen = Vec::new();
        for program in named.chain(["python3".to_owned()]) {
            let Ok(printed) = sh::output(Command::new(&program).arg("--version")) else { continue };
            match minor(&printed) {
                Some(minor) if self.minors.contains(&minor) => return Ok(program),
                _ => seen.push(printed.trim().to_owned()),
            }
        }
        let seen = if seen.is_empty() { "there is none".into() } else { format!("there is {}", seen.join(", ")) };
        let (package, Range { start, end }) = (self.package, &self.minors);
        Err(format!("{package} needs Python 3.{start} to 3.{}, and {seen}", end - 1))
    }
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
