//! Writing commits: of candidates, of merges, and of kept changes. No ref is moved here.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use git2::{Oid, Signature, Time};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::tree::{FileMode, TreeFile};
use crate::failpoint;
use crate::revision::Revision;

impl Lineage {
    /// Writes a commit on `parent` whose tree differs by the texts `changed`. A file keeps its executable bit.
    pub fn commit_changes(
        &self,
        parent: &Revision,
        changed: &BTreeMap<String, Option<String>>,
        message: &str,
    ) -> Result<Revision, GitError> {
        let parent = self.commit(parent)?;
        let before = parent.tree().or_git()?;
        let before = self.without(before, changed)?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, text) in changed.iter().filter_map(|(path, text)| Some((path, text.as_ref()?))) {
            let is_executable = before.get_path(Path::new(path)).is_ok_and(|entry| entry.filemode() == 0o100755);
            let mode = if is_executable { git2::FileMode::BlobExecutable } else { git2::FileMode::Blob };
            update.upsert(path.as_str(), self.repository.blob(text.as_bytes()).or_git()?, mode);
        }
        let tree = update.create_updated(&self.repository, &before).or_git()?;
        self.write_commit(tree, &parent, message)
    }

    /// Writes a commit on `onto` with the files that a merge changed there and the message of `candidate`; `None` stands for
    /// a deleted file.
    pub fn commit_merge(
        &self,
        onto: &Revision,
        changed: &BTreeMap<String, Option<TreeFile>>,
        candidate: &Revision,
    ) -> Result<Revision, GitError> {
        let (onto, candidate) = (self.commit(onto)?, self.commit(candidate)?);
        let before = self.without(onto.tree().or_git()?, changed)?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, file) in changed.iter().filter_map(|(path, file)| Some((path, file.as_ref()?))) {
            let mode = match file.mode {
                FileMode::Regular => git2::FileMode::Blob,
                FileMode::Executable => git2::FileMode::BlobExecutable,
                FileMode::Symlink => git2::FileMode::Link,
                FileMode::Submodule => git2::FileMode::Commit,
            };
            update.upsert(path.as_str(), file.blob.oid()?, mode);
        }
        let tree = update.create_updated(&self.repository, &before).or_git()?;
        self.write_commit(tree, &onto, &String::from_utf8_lossy(candidate.message_bytes()))
    }

    /// Returns a tree without the files that are deleted. They go first, since a file may take the place of a folder, and a folder
    /// that of a file.
    fn without<'r, T>(
        &'r self,
        tree: git2::Tree<'r>,
        changed: &BTreeMap<String, Option<T>>,
    ) -> Result<git2::Tree<'r>, GitError> {
        let mut update = git2::build::TreeUpdateBuilder::new();
        let mut deleted = changed.iter().filter(|(_, content)| content.is_none()).peekable();
        if deleted.peek().is_none() {
            return Ok(tree);
        }
        for (path, _) in deleted {
            update.remove(path.as_str());
        }
        let id = update.create_updated(&self.repository, &tree).or_git()?;
        self.repository.find_tree(id).or_git()
    }

    /// Writes a commit with the parent and tree of `candidate` and another message.
    pub fn reword(&self, candidate: &Revision, message: &str) -> Result<Revision, GitError> {
        let candidate = self.commit(candidate)?;
        let parent = candidate.parent(0).or_git()?;
        self.write_commit(candidate.tree_id(), &parent, message)
    }

    /// Writes a commit on `onto` with the tree of `candidate`, whatever lies between them.
    pub fn squash(&self, candidate: &Revision, onto: &Revision, message: &str) -> Result<Revision, GitError> {
        self.write_commit(self.commit(candidate)?.tree_id(), &self.commit(onto)?, message)
    }

    fn write_commit(&self, tree: Oid, parent: &git2::Commit<'_>, message: &str) -> Result<Revision, GitError> {
        // The standard variable of reproducible builds: with it the same search makes the same commits, to the last bit.
        let fixed = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
        let now = Time::new(fixed.unwrap_or_else(seconds_of_the_clock), 0);
        // Not the user's name: the lab made this, and it must not depend on anybody's configuration.
        let author = Signature::new("autoresearch", "autoresearch@localhost", &now).or_git()?;
        let tree = self.repository.find_tree(tree).or_git()?;
        failpoint::point("git: before a commit");
        let commit = self.repository.commit(None, &author, &author, &printable(message), &tree, &[parent]).or_git()?;
        failpoint::point("git: after a commit");
        Ok(Revision(commit.to_string()))
    }
}

fn seconds_of_the_clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// Replaces control characters, which a terminal would obey and git's interface cannot hold. Models write messages.
fn printable(message: &str) -> String {
    let shown = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c };
    message.replace("\r\n", "\n").chars().map(shown).collect()
}
