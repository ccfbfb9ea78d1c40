//! The names of a run's refs, and the obstacles to them.

use std::path::{Path, PathBuf};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::repository::PREFIX;
use crate::experiment_id::ExperimentId;

/// Tells whether git takes this for the name of a branch, as a user types it.
pub fn is_branch_name(branch: &str) -> bool {
    git2::Branch::name_is_valid(branch).unwrap_or(false)
}

impl Lineage {
    /// Gives the run's branch another name, as a user types it. The pins stay below `refs/autoresearch/`.
    ///
    /// # Errors
    /// If git takes it for no name of a branch.
    pub fn on_branch(mut self, branch: &str) -> Result<Lineage, GitError> {
        self.set_branch(branch)?;
        Ok(self)
    }

    /// The same in place.
    pub(crate) fn set_branch(&mut self, branch: &str) -> Result<(), GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.to_owned()));
        }
        branch.clone_into(&mut self.branch);
        Ok(())
    }

    /// The full name of the run's branch.
    pub fn branch(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    /// The run's branch as a user types it.
    pub fn short_branch(&self) -> &str {
        &self.branch
    }

    /// The common beginning of the names of the run's pins.
    pub fn pins(&self) -> String {
        format!("refs/{PREFIX}/{}/exp/", self.tag())
    }

    /// The full name of the ref that keeps an experiment's first candidate reachable.
    pub fn pin_of(&self, experiment: ExperimentId) -> String {
        format!("{}{experiment}", self.pins())
    }

    /// The full name of the ref that keeps an experiment's rebased candidate reachable; `times` counts its rebases from 1.
    pub fn pin_of_rebase(&self, experiment: ExperimentId, times: u32) -> String {
        format!("{}.{times}", self.pin_of(experiment))
    }

    /// Checks that the run can make and move its refs, before anything is paid for: no other ref stands in their way, and
    /// no working tree has the run's branch checked out.
    pub fn check_names(&self) -> Result<(), GitError> {
        for wanted in [self.branch(), self.pin_of(ExperimentId::BASELINE)] {
            for (end, _) in wanted.match_indices('/') {
                let above = wanted.get(..end).unwrap_or_default();
                if self.repository.find_reference(above).is_ok() {
                    return Err(GitError::name_taken(above, wanted.clone()));
                }
            }
        }
        let branch = self.branch();
        if let Some(below) = self.repository.references_glob(&format!("{branch}/*")).or_git()?.names().next() {
            let below = below.map_or_else(|_| format!("{branch}/…"), str::to_owned);
            return Err(GitError::name_taken(&below, branch));
        }
        self.check_not_checked_out()
    }

    /// Checks that no working tree of the repository has the run's branch checked out.
    pub(super) fn check_not_checked_out(&self) -> Result<(), GitError> {
        match self.worktree_on(&self.branch()) {
            Some(worktree) => Err(GitError::checked_out(self.branch.clone(), &worktree)),
            None => Ok(()),
        }
    }

    /// The working tree, linked ones included, that has the branch of this full name checked out.
    fn worktree_on(&self, branch: &str) -> Option<PathBuf> {
        let common = self.repository.commondir();
        // A bare repository's HEAD names its default branch, which nobody works on.
        let is_bare = self.repository.config().and_then(|config| config.get_bool("core.bare")).unwrap_or(false);
        if !is_bare && is_on(common, branch) {
            return Some(common.parent().unwrap_or(common).to_owned());
        }
        let linked = std::fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
        let linked = linked.map(|entry| entry.path()).find(|folder| is_on(folder, branch))?;
        let place = std::fs::read_to_string(linked.join("gitdir")).unwrap_or_default();
        Some(Path::new(place.trim()).parent().map_or(linked, Path::to_owned))
    }
}

fn is_on(folder: &Path, branch: &str) -> bool {
    std::fs::read_to_string(folder.join("HEAD"))
        .is_ok_and(|head| head.strip_prefix("ref:").is_some_and(|name| name.trim() == branch))
}
