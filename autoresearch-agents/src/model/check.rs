//! What a patch must pass before it costs an experiment, such as the compiler.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::git::{FileMode, GitError, Lineage, check_path};
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
    ) -> Result<BTreeMap<String, CopiedFile>, GitError> {
        let lineage = self.lineage.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = lineage.tree(incumbent)?;
        let mut tree = BTreeMap::new();
        // Links and submodules are left out: a check works on the files themselves.
        for (path, file) in listing.iter().filter(|(_, file)| file.is_file()) {
            if !files.contains_key(path) {
                let executable = file.mode == FileMode::Executable;
                tree.insert(path.clone(), CopiedFile { content: lineage.blob(file.blob)?, executable });
            }
        }
        tree.extend(files.iter().map(|(path, text)| {
            let executable = listing.get(path).is_some_and(|file| file.mode == FileMode::Executable);
            (path.clone(), CopiedFile { content: text.clone().into_bytes(), executable })
        }));
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

/// A file of the copy.
struct CopiedFile {
    content: Vec<u8>,
    executable: bool,
}

/// Makes `folder` hold exactly these files. Whatever a check built beside them stays.
fn lay_out(folder: &Path, tree: &BTreeMap<String, CopiedFile>) -> std::io::Result<()> {
    let list = folder.with_file_name("files");
    // As JSON: a name may hold a line break, and what follows it must not be taken for another name.
    let earlier: Vec<String> =
        std::fs::read(&list).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    for path in earlier.iter().filter(|path| !tree.contains_key(*path) && check_path(path).is_ok()) {
        match std::fs::remove_file(folder.join(path)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let names: Vec<&String> = tree.keys().collect();
    std::fs::write(&list, serde_json::to_vec(&names)?)?;
    for (path, file) in tree {
        check_path(path).map_err(|why| std::io::Error::new(std::io::ErrorKind::InvalidInput, why))?;
        let to = folder.join(path);
        // What is the same keeps its time, and is not built again.
        if !std::fs::read(&to).is_ok_and(|there| there == file.content) {
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&to, &file.content)?;
        }
        set_executable(&to, file.executable)?;
    }
    Ok(())
}

#[cfg(unix)]
fn set_executable(file: &Path, executable: bool) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let wanted = if executable { 0o755 } else { 0o644 };
    match std::fs::metadata(file)?.permissions().mode() & 0o777 == wanted {
        true => Ok(()),
        false => std::fs::set_permissions(file, std::fs::Permissions::from_mode(wanted)),
    }
}

#[cfg(not(unix))]
fn set_executable(_file: &Path, _executable: bool) -> std::io::Result<()> {
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

    fn tree(names: &[&str]) -> BTreeMap<String, CopiedFile> {
        let file = |name: &&str| CopiedFile { content: name.as_bytes().to_vec(), executable: name.ends_with(".sh") };
        names.iter().map(|name| ((*name).to_owned(), file(name))).collect()
    }

    #[test]
    fn the_copy_holds_what_the_tree_holds() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        lay_out(&root, &tree(&["a", "b/c"])).unwrap();
        std::fs::write(root.join("built"), "").unwrap();
        lay_out(&root, &tree(&["a", "d"])).unwrap();
        assert!(root.join("a").exists() && root.join("d").exists() && root.join("built").exists());
        assert!(!root.join("b/c").exists());
    }

    #[cfg(unix)]
    #[test]
    fn executable_files_stay_executable() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        lay_out(&root, &tree(&["check.sh", "a"])).unwrap();
        let mode = |name: &str| std::fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o111;
        assert_eq!((mode("check.sh"), mode("a")), (0o111, 0));
    }

    #[test]
    fn a_line_break_in_a_name_removes_nothing_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (root, victim) = (folder.path().join("tree"), folder.path().join("victim"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&victim, "").unwrap();
        let name = format!("x\n{}", victim.display());
        let mut hostile = tree(&["a"]);
        hostile.insert(name, CopiedFile { content: Vec::new(), executable: false });
        assert!(lay_out(&root, &hostile).is_err(), "the name is refused");
        lay_out(&root, &tree(&["a"])).unwrap();
        assert!(victim.exists());
    }
}
