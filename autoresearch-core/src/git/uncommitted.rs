//! The changes in the user's working tree that no commit has.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use git2::{Status, StatusOptions};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::program::git;

impl Lineage {
    /// Lists the tracked files that differ from the checked-out commit, as `git status` does.
    ///
    /// The git command says so: libgit2 reads no split and no sparse index, and for it a file whose lines git converts differs as soon
    /// as its time has changed. Neither the index nor a file is written, and no program is started: files that an installed filter
    /// governs are left out, since a run over them is refused with the filter's name. Where there is no git command, libgit2 answers.
    pub fn uncommitted(&self) -> Result<Vec<String>, GitError> {
        let Some(root) = self.repository.workdir() else { return Ok(Vec::new()) };
        let filters = self.installed_filters();
        let mut status = git();
        for filter in &filters {
            for setting in ["clean=", "process=", "required=false"] {
                status.args(["-c", &format!("filter.{filter}.{setting}")]);
            }
        }
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
        let paths = entries.map(|path| String::from_utf8_lossy(path).into_owned());
        Ok(paths.filter(|path| !self.is_filtered(path, &filters)).collect())
    }

    /// The names of the filters for which a program is configured.
    fn installed_filters(&self) -> BTreeSet<String> {
        let mut config = git();
        config.arg("--git-dir").arg(self.repository.path());
        config.args(["config", "-z", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$"]);
        let Ok(output) = config.stdin(Stdio::null()).output() else { return BTreeSet::new() };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.split_terminator('\0').filter_map(|key| key.strip_prefix("filter.")?.rsplit_once('.'));
        names.map(|(name, _)| name.to_owned()).collect()
    }

    fn is_filtered(&self, path: &str, filters: &BTreeSet<String>) -> bool {
        let filter = self.repository.get_attr(Path::new(path), "filter", git2::AttrCheckFlags::FILE_THEN_INDEX);
        filter.ok().flatten().is_some_and(|filter| filters.contains(filter))
    }

    fn uncommitted_by_libgit2(&self) -> Result<Vec<String>, GitError> {
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).exclude_submodules(true);
        let statuses = self.repository.statuses(Some(&mut options)).or_git()?;
        let changed = statuses.iter().filter(|entry| entry.status() != Status::CURRENT);
        Ok(changed.map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned()).collect())
    }
}
