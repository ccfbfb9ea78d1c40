//! Errors of a configuration: the file and line, the key, what is allowed, and a line as it may look.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::examples;

/// The name of the layer that the arguments are.
pub const COMMAND_LINE: &str = "the command line";

/// A configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("there is no configuration {path}; let `autoresearch init` write it, or name another with --config FILE. The least that it needs:\n{}", examples::MINIMAL, path = .0.display())]
    Missing(PathBuf),
    #[error("there is no preset `{name}` beside {config}; there are: {known}", config = config.display())]
    NoPreset { name: String, config: PathBuf, known: String },
    #[error("no home directory is known; set AUTORESEARCH_CACHE to a folder for data and builds")]
    NoCache,
    #[error("{0}")]
    Invalid(Box<Invalid>),
}

/// A key has a value that it may not have, or is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError {
    /// The key with the tables around it, as `ratchet.limits.memory`.
    pub key: String,
    /// The mistake and its remedy, as a continuation of the key's name.
    pub why: String,
}

impl KeyError {
    /// `[section] key` + ` ` + `why`.
    pub fn new(key: impl Into<String>, why: impl Into<String>) -> KeyError {
        KeyError { key: key.into(), why: why.into() }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.why.starts_with(':') { "" } else { " " };
        write!(f, "{}{separator}{}", shown(&self.key), self.why)
    }
}

impl std::error::Error for KeyError {}

/// `run.cpus` as `[run] cpus`.
fn shown(key: &str) -> String {
    match key.rsplit_once('.') {
        Some((section, key)) => format!("[{section}] {key}"),
        None if examples::is_section(key) => format!("[{key}]"),
        None => key.to_owned(),
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path of the file.
    pub name: String,
    /// The line's number, from 1.
    pub line: usize,
    /// The text of the line.
    pub text: String,
}

/// Everything that is said of a mistake.
#[derive(Debug)]
pub struct Invalid {
    /// Its line; `None` for the file as a whole.
    pub place: Option<Place>,
    /// The lowest layer's name.
    pub file: String,
    /// The mistake, and what is allowed.
    pub what: String,
    /// A line that is right.
    pub example: Option<&'static str>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            // Written by nobody as a line.
            Some(Place { name, .. }) if name == COMMAND_LINE => write!(f, "{name}: {}", self.what)?,
            Some(Place { name, line, text }) => write!(f, "{name}:{line}: {}\n  {line} | {text}", self.what)?,
            None => write!(f, "{}: {}", self.file, self.what)?,
        }
        if let Some(example) = self.example {
            write!(f, "\n  for example:\n    {}", example.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}
