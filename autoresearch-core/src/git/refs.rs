//! Moving the refs of a run, each by compare-and-swap.

use std::time::{Duration, Instant};

use git2::ErrorCode;

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use crate::experiment_id::ExperimentId;
use crate::failpoint;
use crate::revision::Revision;

/// Age from which on the lock of a ref was left by a process that died: it is held only for one write.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

impl Lineage {
    /// Keeps the commit of an experiment's first candidate reachable, kept or not.
    pub fn pin(&self, experiment: ExperimentId, revision: &Revision) -> Result<(), GitError> {
        self.pin_as(self.pin_of(experiment), revision)
    }

    /// Keeps the commit of an experiment's rebased candidate reachable; `times` counts its rebases from 1.
    pub fn pin_rebase(&self, experiment: ExperimentId, times: u32, revision: &Revision) -> Result<(), GitError> {
        self.pin_as(self.pin_of_rebase(experiment, times), revision)
    }

    fn pin_as(&self, name: String, revision: &Revision) -> Result<(), GitError> {
        let id = self.commit(revision)?.id();
        match self.repository.find_reference(&name) {
            // Left by a call that never reached the journal: it was never acknowledged.
            Ok(reference) if reference.target() != Some(id) => {
                self.write_ref(&name, || self.repository.reference(&name, id, true, "autoresearch: staged again"))
                    .or_git()?;
            }
            Ok(_) => {}
            Err(_) => {
                self.write_ref(&name, || self.repository.reference(&name, id, false, "autoresearch: staged"))
                    .or_git()?;
            }
        }
        failpoint::point("git: candidate pinned");
        Ok(())
    }

    /// Moves the run's branch from `from` to `to`; `None` if it must not exist yet. Moving it where it is already succeeds.
    ///
    /// # Errors
    /// If the branch is elsewhere, or if somebody has it checked out.
    pub fn advance(&self, from: Option<&Revision>, to: &Revision) -> Result<(), GitError> {
        let found = self.tip()?;
        if found.as_ref() == Some(to) {
            return Ok(());
        }
        let moved = |found: Option<Revision>| GitError::moved(self.branch.clone(), found.as_ref(), from);
        if found.as_ref() != from {
            return Err(moved(found));
        }
        self.check_not_checked_out()?;
        let id = self.commit(to)?.id();
        let from = from.map(|from| self.commit(from)).transpose()?.map(|commit| commit.id());
        let (name, log) = (self.branch(), "autoresearch: keep");
        failpoint::point("git: before the branch moves");
        let swapped = self.write_ref(&name, || match from {
            None => self.repository.reference(&name, id, false, log),
            Some(from) => self.repository.reference_matching(&name, id, true, from, log),
        });
        failpoint::point("git: after the branch moved");
        match swapped {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Exists) => Err(moved(self.tip()?)),
            Err(error) => Err(error).or_git(),
        }
    }

    /// Writes the ref `name`, past a lock that somebody else holds for a moment or has left for good.
    ///
    /// A process that is killed in the middle of a write leaves the lock of the ref, and every later write would fail on
    /// it. The journal lets one lab at a time write these refs, so an old lock was left by a dead process and is removed.
    fn write_ref<T>(&self, name: &str, write: impl Fn() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
        let began = Instant::now();
        let mut removed = false;
        loop {
            let error = match write() {
                Err(error) if error.code() == ErrorCode::Locked && !removed => error,
                result => return result,
            };
            let lock = self.repository.commondir().join(format!("{name}.lock"));
            // By the file's age, so that labs which keep dying do not begin to wait again and again.
            let made = std::fs::metadata(&lock).and_then(|lock| lock.modified()).ok();
            let age = made.and_then(|made| made.elapsed().ok()).unwrap_or_default();
            if age.max(began.elapsed()) < LOCK_PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            removed = true;
            match std::fs::remove_file(&lock) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
}
