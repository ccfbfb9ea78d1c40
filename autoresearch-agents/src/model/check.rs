//! Checks of a patch before it costs an experiment, such as the compiler.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::git::{FileMode, GitError, Lineage};
use autoresearch_core::internal::process::{Command, GRACE, Limits, describe, log_tail};
use autoresearch_core::{Cancel, EditablePaths, Revision, SandboxError};

use crate::files::remove;
use crate::text::both_ends;

mod copy;

use copy::{CopiedFile, lay_out};

/// Longest output of a failed check that goes back to the model, in characters.
const SHOWN: usize = 8000;

/// A test that a patch must pass before it is proposed.
///
/// ```
/// use std::collections::BTreeMap;
/// use autoresearch_agents::model::Check;
/// use autoresearch_core::{Revision, SandboxError};
///
/// struct NoTabs;
///
/// #[async_trait::async_trait]
/// impl Check for NoTabs {
///     async fn check(
///         &self,
///         _: &Revision,
///         files: &BTreeMap<String, String>,
///     ) -> Result<Result<(), String>, SandboxError> {
///         Ok(match files.iter().find(|(_, text)| text.contains('\t')) {
///             Some((path, _)) => Err(format!("{path} holds a tab")),
///             None => Ok(()),
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait Check: Send + Sync {
    /// Checks `incumbent` with `files` in place of its editable ones. The inner error is for the author of the patch; the
    /// outer one means that nothing could be checked.
    async fn check(
        &self,
        incumbent: &Revision,
        files: &BTreeMap<String, String>,
    ) -> Result<Result<(), String>, SandboxError>;
}

impl std::fmt::Debug for dyn Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Check")
    }
}

/// Runs a command, such as `cargo check`, in a copy of the incumbent's tree. The copy stays, so that build tools find their
/// results; no other process may use it meanwhile.
pub struct CommandCheck {
    lineage: Mutex<Lineage>,
    /// Paths that a proposal may remove.
    editable: EditablePaths,
    argv: Vec<String>,
    environment: Vec<(String, OsString)>,
    copy: PathBuf,
    /// Held during a check: proposals that are made at the same time take turns.
    in_use: tokio::sync::Mutex<()>,
    limit: Duration,
    limits: Limits,
}

impl CommandCheck {
    /// A check by `argv` in the folder `copy`, which belongs to this check alone. Limit: 600 seconds.
    pub fn new(lineage: Lineage, argv: Vec<String>, copy: PathBuf) -> CommandCheck {
        CommandCheck {
            lineage: Mutex::new(lineage),
            editable: EditablePaths::default(),
            argv,
            environment: Vec::new(),
            copy,
            in_use: tokio::sync::Mutex::default(),
            limit: Duration::from_secs(600),
            limits: Limits::default(),
        }
    }

    /// Sets the paths that proposals may change, so that a file that one removes is missing in the copy, too.
    pub fn with_editable(mut self, editable: EditablePaths) -> CommandCheck {
        self.editable = editable;
        self
    }

    /// Sets variables beside the inherited ones.
    pub fn with_environment(mut self, environment: Vec<(String, OsString)>) -> CommandCheck {
        self.environment = environment;
        self
    }

    /// Sets the limit of its wall clock, and of its processes.
    pub fn with_limits(mut self, limit: Duration, limits: Limits) -> CommandCheck {
        self.limit = limit;
        self.limits = limits;
        self
    }

    /// Returns true for a program among the files that a proposal may change.
    fn may_change(&self, program: &str) -> bool {
        program.contains('/') && self.editable.allows(program.trim_start_matches("./"))
    }

    /// Returns every file that the copy must hold.
    fn tree(
        &self,
        incumbent: &Revision,
        files: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, CopiedFile>, GitError> {
        let lineage = self.lineage.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut tree, checkout) = (BTreeMap::new(), lineage.checkout(incumbent)?);
        // Links and submodules are left out: a check works on the files themselves.
        for (path, file) in lineage.tree(incumbent)?.iter().filter(|(_, file)| file.is_file()) {
            let bytes = match files.get(path) {
                Some(text) => text.clone().into_bytes(),
                // A text file that the proposal removes is editable, and missing from `files`.
                None if self.editable.allows(path) && is_text(&lineage.blob(file.blob)?) => continue,
                None => {
                    let shown = checkout.listing().get(path).map_or(file.blob, |shown| shown.blob);
                    checkout.converted(shown).map_or_else(|| lineage.blob(shown), |content| Ok(content.to_owned()))?
                }
            };
            tree.insert(path.clone(), CopiedFile { bytes, executable: file.mode == FileMode::Executable });
        }
        for (path, text) in files {
            let new = || CopiedFile { bytes: text.clone().into_bytes(), executable: false };
            tree.entry(path.clone()).or_insert_with(new);
        }
        Ok(tree)
    }
}

/// Returns true for the files that proposers see as editable text.
fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

#[async_trait]
impl Check for CommandCheck {
    async fn check(
        &self,
        incumbent: &Revision,
        files: &BTreeMap<String, String>,
    ) -> Result<Result<(), String>, SandboxError> {
        let _turn = self.in_use.lock().await;
        let tree = self.tree(incumbent, files)?;
        let (folder, log) = (self.copy.join("tree"), self.copy.join("log"));
        let failed = |e| SandboxError::io(format!("writing the copy {}", folder.display()), e);
        lay_out(&folder, &tree).and_then(|()| remove(&log)).map_err(failed)?;
        let command = Command {
            argv: self.argv.clone(),
            directory: folder.clone(),
            environment: self.environment.clone(),
            log: log.clone(),
            limit: self.limit,
            grace: GRACE,
            limits: self.limits,
            isolation: None,
            results: None,
        };
        let finished = match command.run(&Cancel::new(), &|_| {}).await {
            // The change took its program away, or its first line.
            Err(SandboxError::CannotStart { command, source }) if self.may_change(&command) => {
                return Ok(Err(format!("`{command}`, which checks changes, cannot be started any more: {source}")));
            }
            finished => finished?,
        };
        let Some(how) = describe(finished.ending) else { return Ok(Ok(())) };
        let output = log_tail(&log).unwrap_or_default();
        Ok(Err(format!("`{}` {how}:\n{}", self.argv.join(" "), both_ends(&output, SHOWN))))
    }
}
