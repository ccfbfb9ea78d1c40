//! An index and a folder of their own, in which the git command checks files of a commit out.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::GitError;
use super::program;
use crate::revision::Revision;

/// The attributes for which git changes files at checkout, in the order in which it is asked for them.
const NAMES: [&str; 6] = ["text", "crlf", "eol", "ident", "filter", "working-tree-encoding"];

/// The attributes of one file: `text`, `crlf`, `eol`, `ident`, `filter` and `working-tree-encoding`.
pub(super) type Attributes = [String; NAMES.len()];

/// A checkout that is removed when it is dropped. The user's index and working tree are not looked at.
pub(super) struct ScratchCheckout {
    git_folder: PathBuf,
    root: PathBuf,
}

impl Drop for ScratchCheckout {
    fn drop(&mut self) {
        // What cannot be removed only takes space.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl ScratchCheckout {
    /// Reads the tree of a commit into an index of its own. Nothing is checked out yet.
    pub(super) fn of(repository: &git2::Repository, revision: &Revision) -> Result<ScratchCheckout, GitError> {
        let scratch = ScratchCheckout { git_folder: repository.path().to_owned(), root: make_folder()? };
        std::fs::create_dir(scratch.files()).map_err(|e| failed("making a folder", &e))?;
        scratch.git(&["read-tree", &revision.0], b"")?;
        Ok(scratch)
    }

    /// Reads the attributes of files as the commit has them.
    pub(super) fn attributes(&self, paths: &[&str]) -> Result<Vec<(String, Attributes)>, GitError> {
        let arguments = [&["check-attr", "--cached", "-z", "--stdin"][..], &NAMES].concat();
        let output = self.git(&arguments, &terminated(paths))?.stdout;
        let text = String::from_utf8_lossy(&output);
        let mut words = text.split_terminator('\0');
        let mut found = Vec::new();
        // For each file, and for each attribute of it: the path, the name and the value.
        while let Some(path) = words.next() {
            let mut attributes = Attributes::default();
            for (at, value) in attributes.iter_mut().enumerate() {
                if at > 0 {
                    words.next();
                }
                words.next();
                words.next().unwrap_or("unspecified").clone_into(value);
            }
            found.push((path.to_owned(), attributes));
        }
        Ok(found)
    }

    /// Checks files out and returns their contents.
    pub(super) fn check_out(&self, paths: Vec<String>) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.git(&["checkout-index", "--force", "-z", "--stdin"], &terminated(&paths))?;
        let read = |path: String| {
            let content =
                std::fs::read(self.files().join(&path)).map_err(|e| failed(&format!("reading {path}"), &e))?;
            Ok((path, content))
        };
        paths.into_iter().map(read).collect()
    }

    fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> Result<Output, GitError> {
        let mut command = program::git();
        command.env("GIT_DIR", &self.git_folder).env("GIT_WORK_TREE", self.files());
        command.env("GIT_INDEX_FILE", self.root.join("index"));
        command.args(arguments).current_dir(self.files());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| GitError::NeedsGit(e.to_string()))?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Beside the reading: both pipes may be full.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        });
        let output = output.map_err(|e| GitError::NeedsGit(e.to_string()))?;
        match output.status.success() {
            true => Ok(output),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let what = arguments.first().unwrap_or(&"");
                Err(GitError::Git(format!("`git {what}` failed: {}", said.trim())))
            }
        }
    }
}

fn terminated(paths: &[impl AsRef<str>]) -> Vec<u8> {
    paths.iter().flat_map(|path| [path.as_ref().as_bytes(), b"\0"]).flatten().copied().collect()
}

/// Makes a folder that nobody else has, and that others may not look into.
fn make_folder() -> Result<PathBuf, GitError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("autoresearch-checkout-{}-{number}", std::process::id()));
        match make_private(&path) {
            Ok(()) => return Ok(path),
            // Left by a process that died, or put there by somebody.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&format!("making {}", path.display()), &error)),
        }
    }
}

fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn failed(doing: &str, error: &std::io::Error) -> GitError {
    GitError::Git(format!("{doing}: {error}"))
}
