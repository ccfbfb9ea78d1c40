//! What a patch must pass before it costs an experiment, such as the compiler.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::git::{GitError, Lineage};
use autoresearch_core::process::{Command, GRACE, Limits, describe, log_tail};
use autoresearch_core::{Cancel, Revision, SandboxError};

/// So much of a failed check's output goes back to the model, in characters.
const SHOWN: usize = 8000;

/// Looks at a patch before it is proposed.
#[async_trait]
pub trait Check: Send + Sync {
    /// Checks the incumbent with `files`, all editable ones, in place of its own. The inner error is for the author of
    /// the patch; the outer one says that nothing could be checked.
    async fn check(
        &self,
        incumbent: &Revision,
        files: &BTreeMap<String, String>,
    ) -> Result<Result<(), String>, SandboxError>;
}

/// Runs a command, such as `cargo check`, in a copy of the incumbent's tree. The copy stays, so that build tools find
/// what they built; nobody else may use it meanwhile.
pub struct CommandCheck {
    lineage: Mutex<Lineage>,
    argv: Vec<String>,
    environment: Vec<(String, OsString)>,
    copy: PathBuf,
    /// Held during a check: proposals that are made at the same time take turns.
    in_use: tokio::sync::Mutex<()>,
    limit: Duration,
    limits: Limits,
}

impl CommandCheck {
    /// A check by `argv` in the folder `copy`, which belongs to it alone.
    pub fn new(lineage: Lineage, argv: Vec<String>, copy: PathBuf) -> CommandCheck {
        CommandCheck {
            lineage: Mutex::new(lineage),
            argv,
            environment: Vec::new(),
            copy,
            in_use: tokio::sync::Mutex::default(),
            limit: Duration::from_secs(600),
            limits: Limits::default(),
        }
    }

    /// With variables beside the inherited ones.
    pub fn with_environment(mut self, environment: Vec<(String, OsString)>) -> CommandCheck {
        self.environment = environment;
        self
    }

    /// With limits of its own.
    pub fn with_limits(mut self, limit: Duration, limits: Limits) -> CommandCheck {
        self.limit = limit;
        self.limits = limits;
        self
    }

    /// Everything that the copy must hold.
    fn tree(
        &self,
        incumbent: &Revision,
        files: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        let lineage = self.lineage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tree = BTreeMap::new();
        for (path, file) in lineage.tree(incumbent)?.iter() {
            if !files.contains_key(path) {
                tree.insert(path.clone(), lineage.blob(file.blob)?);
            }
        }
        tree.extend(files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())));
        Ok(tree)
    }
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
        };
        let finished = command.run(&Cancel::new(), &|_| {}).await?;
        let Some(how) = describe(finished.ending) else { return Ok(Ok(())) };
        let output = log_tail(&log).unwrap_or_default();
        Ok(Err(format!("`{}` {how}:\n{}", self.argv.join(" "), ends(&output, SHOWN))))
    }
}

/// Makes `folder` hold exactly these files beside what git ignores in names: whatever a check built at the top level stays.
fn lay_out(folder: &Path, tree: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    let list = folder.with_file_name("files");
    for path in std::fs::read_to_string(&list).unwrap_or_default().lines() {
        if !tree.contains_key(path) {
            match std::fs::remove_file(folder.join(path)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    let names: Vec<&str> = tree.keys().map(String::as_str).collect();
    std::fs::write(&list, names.join("\n"))?;
    for (path, bytes) in tree {
        let file = folder.join(path);
        // What is the same keeps its time, and is not built again.
        if std::fs::read(&file).is_ok_and(|there| there == *bytes) {
            continue;
        }
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&file, bytes)?;
    }
    Ok(())
}

/// The beginning and the end of a text: compilers say the first error first, and sum up last.
pub(crate) fn ends(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let first: String = text.chars().take(half).collect();
    let last: String = text.chars().skip(count - half).collect();
    format!("{first}\n[… {} characters left out …]\n{last}", count - 2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_text_are_kept() {
        assert_eq!(ends("abc", 4), "abc");
        assert_eq!(ends("aaaöööbbb", 6), "aaa\n[… 3 characters left out …]\nbbb");
    }

    #[test]
    fn the_copy_holds_what_the_tree_holds() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        let tree = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
        lay_out(&root, &tree(&["a", "b/c"])).unwrap();
        std::fs::write(root.join("built"), "").unwrap();
        lay_out(&root, &tree(&["a", "d"])).unwrap();
        assert!(root.join("a").exists() && root.join("d").exists() && root.join("built").exists());
        assert!(!root.join("b/c").exists());
    }
}
