//! The subject of the checks, and the findings of one.

use std::fmt;
use std::sync::Arc;

use autoresearch_core::Revision;
use autoresearch_core::internal::git::{Lineage, Listing};
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::KeyError;
use crate::error::CommandError;
use crate::session::Session;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is as it should be.
    Fine,
    /// A run can start, and may not be what its user wants.
    Warning,
    /// A run cannot start, or every trial of it would fail.
    Error,
}

/// One finding of a check. Its message says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The subject of the check.
    pub check: &'static str,
    /// How serious it is.
    pub level: Level,
    /// The finding in words, with its remedy.
    pub message: String,
}

impl Finding {
    /// Nothing is wrong.
    pub fn fine(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, level: Level::Fine, message: message.into() }
    }

    /// A run can start.
    pub fn warning(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, level: Level::Warning, message: message.into() }
    }

    /// A run cannot start.
    pub fn error(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, level: Level::Error, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Fine => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{level:<8}{}: {}", self.check, self.message)
    }
}

/// A run that is yet to start, and the commit that it would start from.
pub struct Subject<'a> {
    /// The run.
    pub session: &'a Session,
    /// Its repository.
    pub lineage: &'a Lineage,
    /// The commit.
    pub base: &'a Revision,
    /// The files of the commit.
    pub files: Arc<Listing>,
}

impl<'a> Subject<'a> {
    /// Reads the list of the commit's files.
    pub fn new(session: &'a Session, lineage: &'a Lineage, base: &'a Revision) -> Result<Subject<'a>, CommandError> {
        Ok(Subject { session, lineage, base, files: lineage.tree(base)? })
    }

    /// A mistake in a key, with its place in the configuration.
    pub fn wrong(&self, check: &'static str, key: &str, why: impl Into<String>) -> Finding {
        Finding::error(check, self.session.config.locate(KeyError::new(key, why)).to_string())
    }

    /// The text of a committed file; `None` for one that is not there or is no text.
    pub fn text(&self, path: &str) -> Option<String> {
        let file = self.files.get(path)?;
        String::from_utf8(self.lineage.blob(file.blob).ok()?).ok()
    }
}
