//! The git side of a sandbox: staging, merging, committing and adopting candidates. Everything here is synchronous.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::commands::Commands;
use crate::change::{Patch, PatchFault};
use crate::experiment_id::ExperimentId;
use crate::git::{Conflict, FileMode, GitError, Lineage, Listing, ObjectId, TreeFile, collision};
use crate::revision::Revision;
use crate::sandbox::{Candidate, Rebased, SandboxError, StageError};

/// A repository, the commit that the search starts from, and the paths that may change.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    pub(super) lineage: Arc<Mutex<Lineage>>,
    /// The name of the run, so that it can be read while another thread works on the repository.
    pub(super) tag: String,
    pub(super) base: Revision,
    pub(super) preset: Option<(Patch, String)>,
    pub(super) commands: Commands,
}

/// A candidate to be rebased; see [`crate::sandbox::Rebase`].
pub(super) struct Move {
    pub(super) experiment: ExperimentId,
    pub(super) times: u32,
    pub(super) candidate: Revision,
    pub(super) from: Revision,
    pub(super) onto: Revision,
}

impl Workspace {
    pub(super) fn with_lineage<T>(&self, work: impl FnOnce(&Lineage) -> Result<T, GitError>) -> Result<T, GitError> {
        // A panic in a git call does not damage the repository.
        work(&self.lineage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stages the baseline, after checking that the run's refs can be made and that candidates' folders can hold the files.
    pub(super) fn baseline(&self) -> Result<Candidate, StageError> {
        self.with_lineage(|git| {
            git.check_names()?;
            git.check_files(&self.base)
        })?;
        if let Some((patch, description)) = &self.preset {
            return self.stage(ExperimentId::BASELINE, &self.base, patch, description);
        }
        Ok(self.with_lineage(|git| {
            git.pin(ExperimentId::BASELINE, &self.base)?;
            let fingerprint = git.fingerprint(&self.base, &self.commands.editable)?;
            Ok(Candidate { fingerprint, revision: self.base.clone(), added_lines: 0 })
        })?)
    }

    /// Commits a patch on `parent` and pins it. [`Patch::apply`] checks every path before anything is written.
    pub(super) fn stage(
        &self,
        experiment: ExperimentId,
        parent: &Revision,
        patch: &Patch,
        message: &str,
    ) -> Result<Candidate, StageError> {
        let files = self.read_editable(parent)?;
        let changed = patch.apply(&files, &self.commands.editable).map_err(rejected)?;
        let tree = self.with_lineage(|git| git.tree(parent))?;
        let after = after(&tree, &changed)?;
        for path in changed.keys().filter(|path| !files.contains_key(*path)) {
            match tree.get(path).map(|file| file.mode) {
                None => {}
                Some(FileMode::Symlink) => {
                    let why = format!("{path} is a symbolic link; edit the file that it leads to");
                    return Err(StageError::Rejected(why));
                }
                Some(_) => return Err(rejected(PatchFault::not_text(path))),
            }
            if changed.get(path).is_some_and(Option::is_some)
                && let Some(other) = collision(&after, path)
            {
                return Err(rejected(PatchFault::collides(path, other)));
            }
        }
        Ok(self.with_lineage(|git| {
            let revision = git.commit_changes(parent, &changed, message)?;
            git.pin(experiment, &revision)?;
            self.candidate(git, parent, revision)
        })?)
    }

    fn candidate(&self, git: &Lineage, parent: &Revision, revision: Revision) -> Result<Candidate, GitError> {
        let added_lines = git.added_lines(parent, &revision)?;
        Ok(Candidate { fingerprint: git.fingerprint(&revision, &self.commands.editable)?, revision, added_lines })
    }

    /// Rebases a candidate by the files of the three revisions alone. Its ancestors do not matter: a candidate that was rebased
    /// before has others than the revision that its change was made for.
    pub(super) fn rebase(&self, rebase: &Move) -> Result<Rebased, SandboxError> {
        let Move { experiment, times, candidate, from, onto } = rebase;
        let merge = self.with_lineage(|git| git.merge(from, onto, candidate))?;
        if !merge.conflicts.is_empty() {
            return Ok(Rebased::Conflict(Conflict::describe(&merge.conflicts)));
        }
        if let Some(path) = merge.changed.keys().find(|path| !self.commands.editable.allows(path)) {
            return Err(SandboxError::Other(format!(
                "experiment {experiment} cannot be rebased: {candidate} and its parent {from} differ in {path}, which may not be \
                 edited"
            )));
        }
        let candidate = self.with_lineage(|git| {
            let revision = git.commit_merge(onto, &merge.changed, candidate)?;
            git.pin_rebase(*experiment, *times, &revision)?;
            self.candidate(git, onto, revision)
        });
        Ok(Rebased::Candidate(candidate?))
    }

    /// Reads the editable texts of a commit.
    pub(super) fn read_editable(&self, revision: &Revision) -> Result<BTreeMap<String, String>, GitError> {
        self.with_lineage(|git| git.editable_files(revision, &self.commands.editable))
    }
}

/// The paths of a tree after a change. The contents of what changed do not matter here.
fn after(tree: &Listing, changed: &BTreeMap<String, Option<String>>) -> Result<Listing, GitError> {
    let new = TreeFile { blob: ObjectId::of_file(b"")?, mode: FileMode::Regular };
    let mut after = Listing::clone(tree);
    for (path, text) in changed {
        match text {
            Some(_) => after.insert(path.clone(), new),
            None => after.remove(path),
        };
    }
    Ok(after)
}

fn rejected(error: impl std::fmt::Display) -> StageError {
    StageError::Rejected(error.to_string())
}
