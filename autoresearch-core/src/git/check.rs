//! Reading a run's part of the repository to verify it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::Stdio;

use git2::{ErrorCode, ObjectType, Oid};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::program::git;
use super::tree::{IntoOurs, ObjectId};
use crate::revision::Revision;

impl Lineage {
    /// Reads the refs of the run by their full names: the branch and the pins. A symbolic ref has the name of its target in
    /// place of a commit.
    pub fn refs(&self) -> Result<BTreeMap<String, Revision>, GitError> {
        let mut found = BTreeMap::new();
        let mut add = |reference: git2::Reference<'_>| -> Result<(), GitError> {
            let target = match reference.target() {
                Some(id) => id.to_string(),
                None => String::from_utf8_lossy(reference.symbolic_target_bytes().unwrap_or_default()).into_owned(),
            };
            found.insert(String::from_utf8_lossy(reference.name_bytes()).into_owned(), Revision(target));
            Ok(())
        };
        for reference in self.repository.references_glob(&format!("{}*", self.pins())).or_git()? {
            add(reference.or_git()?)?;
        }
        match self.repository.find_reference(&self.branch()) {
            Ok(branch) => add(branch)?,
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(error).or_git(),
        }
        Ok(found)
    }

    /// Returns the tree and the parents of a commit.
    pub fn tree_and_parents(&self, revision: &Revision) -> Result<(ObjectId, Vec<Revision>), GitError> {
        let commit = self.commit(revision)?;
        Ok((commit.tree_id().into_ours(), commit.parent_ids().map(|id| Revision(id.to_string())).collect()))
    }

    /// Reads every commit, tree and blob that can be reached from the commits `from`, each once, and compares it with its
    /// hash. Returns the number of whole objects, and a line for each of the others; each commit of `from`
    /// comes with the words that name it in a message.
    pub fn read_everything(&self, from: &[(String, Revision)]) -> Result<(usize, Vec<String>), GitError> {
        let odb = self.repository.odb().or_git()?;
        let (mut whole, mut wrong) = (0, Vec::new());
        let mut needed_by = HashMap::new();
        let (mut seen, mut left) = (HashSet::new(), Vec::new());
        for (who, revision) in from {
            match Oid::from_str(&revision.0) {
                Ok(id) => {
                    needed_by.entry(id).or_insert(who);
                    left.push((id, ObjectType::Commit, id));
                }
                Err(_) => wrong.push(format!("{who} is `{revision}`, which names no commit")),
            }
        }
        while let Some((id, kind, parent)) = left.pop() {
            if !seen.insert(id) {
                continue;
            }
            // Reading by way of the object store is what compares the bytes with the hash.
            let read = odb.read(id).and_then(|object| match object.kind() {
                found if found == kind => Ok(()),
                found => Err(git2::Error::from_str(&format!("it is a {found}"))),
            });
            let read = read.and_then(|()| match kind {
                ObjectType::Commit => {
                    let commit = self.repository.find_commit(id)?;
                    left.push((commit.tree_id(), ObjectType::Tree, id));
                    left.extend(commit.parent_ids().map(|parent| (parent, ObjectType::Commit, id)));
                    Ok(())
                }
                ObjectType::Tree => {
                    let tree = self.repository.find_tree(id)?;
                    // The other entries of a tree are submodules, whose commits are not kept here.
                    let kinds = |entry: &git2::TreeEntry<'_>| match entry.kind() {
                        Some(kind @ (ObjectType::Tree | ObjectType::Blob)) => Some((entry.id(), kind, id)),
                        _ => None,
                    };
                    left.extend(tree.iter().filter_map(|entry| kinds(&entry)));
                    Ok(())
                }
                _ => Ok(()),
            });
            match (read, needed_by.get(&id)) {
                (Ok(()), _) => whole += 1,
                (Err(error), Some(who)) => {
                    wrong.push(format!("{who}, {kind} {id}, cannot be read: {}", error.message()))
                }
                (Err(error), None) => {
                    wrong.push(format!("{kind} {id}, which {parent} needs, cannot be read: {}", error.message()));
                }
            }
        }
        Ok((whole, wrong))
    }

    /// Runs `git fsck` over the whole repository and returns its complaints, or `None` where there is no git command. It changes
    /// nothing.
    pub fn fsck(&self) -> Option<Vec<String>> {
        let mut command = git();
        command.arg("--git-dir").arg(self.repository.path());
        command.args(["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]);
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env_remove("GIT_CONFIG_COUNT")
            .env_remove("GIT_CONFIG_PARAMETERS");
        command.current_dir(self.repository.path()).stdin(Stdio::null());
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => return Some(vec![format!("it cannot be started: {error}")]),
        };
        if output.status.success() {
            return Some(Vec::new());
        }
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let complaints = said.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("notice: "));
        let complaints: Vec<String> = complaints.map(str::to_owned).collect();
        match complaints.is_empty() {
            true => Some(vec![format!("it ended with {}", output.status)]),
            false => Some(complaints),
        }
    }
}
