//! A folder of somebody who has never used the command: a repository, and caches of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{setup, sh};

/// The command, freshly built.
pub fn autoresearch() -> Result<PathBuf, String> {
    Ok(setup::programs()?.join("autoresearch"))
}

/// A repository in a folder that is removed at the end.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes an empty one.
    pub fn new(name: &str) -> Result<Folder, String> {
        let root = std::env::temp_dir().join(format!("autoresearch-any-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let folder = Folder { root };
        fs::create_dir_all(folder.path()).map_err(|e| format!("cannot make {}: {e}", folder.root.display()))?;
        Ok(folder)
    }

    /// The path of the repository.
    pub fn path(&self) -> PathBuf {
        self.root.join("repository")
    }

    /// A path beside the repository.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the files a repository with one commit.
    pub fn commit(&self) -> Result<(), String> {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(self.path()).args(["-c", "user.name=u", "-c", "user.email=u@localhost"]).args(arguments);
            sh::output(&mut git)
        };
        git(&["init", "--quiet", "--initial-branch", "main"])?;
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "--message", "as it came"])?;
        Ok(())
    }

    /// Runs the command in the repository, with caches of its own, and returns all that it says.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env("AUTORESEARCH_CACHE", self.beside("cache")).args(arguments);
        for name in ["CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "AUTORESEARCH_ROOT"] {
            command.env_remove(name);
        }
        sh::output(&mut command)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
