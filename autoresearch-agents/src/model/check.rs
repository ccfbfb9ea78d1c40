//! Checks of a patch before it costs an experiment, such as the compiler.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::check_path;
use autoresearch_core::internal::git::{FileMode, GitError, Lineage};
use autoresearch_core::internal::process::{Command, GRACE, Limits, describe, log_tail};
use autoresearch_core::{Cancel, EditablePaths, Revision, SandboxError};

use crate::files::set_executable;
use crate::text::both_ends;

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

/// One file of the copy.
struct CopiedFile {
    bytes: Vec<u8>,
    executable: bool,
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
        let folder = self.copy.join("tree");
        let failed = |e| SandboxError::io(format!("writing the copy {}", folder.display()), e);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        lay_out(&folder, &tree).map_err(failed)?;
        let log = self.copy.join("log");
        match std::fs::remove_file(&log) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
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
        let finished = command.run(&Cancel::new(), &|_| {}).await?;
        let Some(how) = describe(finished.ending) else { return Ok(Ok(())) };
        let output = log_tail(&log).unwrap_or_default();
        Ok(Err(format!("`{}` {how}:\n{}", self.argv.join(" "), both_ends(&output, SHOWN))))
    }
}

/// Makes `folder` hold exactly these files beside what a check built: those of the last call that are gone now are removed.
fn lay_out(folder: &Path, tree: &BTreeMap<String, CopiedFile>) -> std::io::Result<()> {
    // JSON, since a path may hold a line break.
    let list = folder.with_file_name("files");
    let before: Vec<String> = serde_json::from_slice(&std::fs::read(&list).unwrap_or_default()).unwrap_or_default();
    for path in before.iter().filter(|path| !tree.contains_key(*path) && check_path(path).is_ok()) {
        match std::fs::remove_file(folder.join(path)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    std::fs::write(&list, serde_json::to_vec(&tree.keys().collect::<Vec<_>>())?)?;
    for (path, copied) in tree {
        check_path(path).map_err(|why| std::io::Error::new(std::io::ErrorKind::InvalidInput, why))?;
        let file = folder.join(path);
        // An unchanged file keeps its time, so that it is not built again.
        if !std::fs::read(&file).is_ok_and(|there| there == copied.bytes) {
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&file, &copied.bytes)?;
        }
        set_executable(&file, copied.executable)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::is_executable;

    #[test]
    fn the_copy_holds_what_the_tree_holds() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        let file = |name: &str| CopiedFile { bytes: name.as_bytes().to_vec(), executable: name == "d" };
        let tree = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), file(name))).collect();
        lay_out(&root, &tree(&["a", "b/c"])).unwrap();
        std::fs::write(root.join("built"), "").unwrap();
        lay_out(&root, &tree(&["a", "d"])).unwrap();
        assert!(root.join("a").exists() && root.join("d").exists() && root.join("built").exists());
        assert!(!root.join("b/c").exists());
        assert!(is_executable(&root.join("d")) && !is_executable(&root.join("a")));
        // A line break in a path names no second file.
        let outside = folder.path().join("outside");
        std::fs::write(&outside, "").unwrap();
        lay_out(&root, &tree(&[&format!("x\n{}", outside.display())])).unwrap_or_default();
        lay_out(&root, &tree(&["a"])).unwrap();
        assert!(outside.exists());
    }
}
