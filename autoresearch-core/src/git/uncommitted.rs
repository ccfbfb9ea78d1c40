//! The changes in the user's working tree that no commit has.

use std::process::Stdio;

use git2::{Status, StatusOptions};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::program::git;

impl Lineage {
    /// Lists the tracked files that differ from the checked-out commit, as `git status` does.
    ///
    /// The git command says so: libgit2 runs no filters, so that for it a file that one governs differs as soon as its time has
    /// changed, and it reads no split and no sparse index. Neither the index nor a file is written. Where there is no git command,
    /// libgit2 answers.
    pub fn uncommitted(&self) -> Result<Vec<String>, GitError> {
        let Some(root) = self.repository.workdir() else { return Ok(Vec::new()) };
        let mut status = git();
        status.arg("--git-dir").arg(self.repository.path()).arg("--work-tree").arg(root);
        status.args(["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"]);
        status.arg("--ignore-submodules=all").current_dir(root).stdin(Stdio::null());
        let Ok(output) = status.output() else { return self.uncommitted_by_libgit2() };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(GitError::Git(format!("`git status` failed: {}", said.trim())));
        }
        // Two letters for the index and the file, a space, and the path.
        let entries = output.stdout.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
        Ok(entries.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    fn uncommitted_by_libgit2(&self) -> Result<Vec<String>, GitError> {
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).exclude_submodules(true);
        let statuses = self.repository.statuses(Some(&mut options)).or_git()?;
        let changed = statuses.iter().filter(|entry| entry.status() != Status::CURRENT);
        Ok(changed.map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned()).collect())
    }
}
