//! Turns at pristine folders: one job of the baseline writes them, while no other job sees them, and once in a run.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::cancel::Cancel;
use crate::sandbox::SandboxError;

/// File among the logs of a run that says which folders its baseline has left as candidates are to find them.
const MARK: &str = "pristine";

/// The turns of one executor. What lies below an overlay must not change while a command sees it.
#[derive(Debug, Default)]
pub(super) struct Priming {
    lock: RwLock<()>,
}

/// The turn of one job.
#[derive(Debug)]
#[allow(dead_code, reason = "held until they are dropped")]
pub(super) enum Turn<'a> {
    /// It writes the folders, alone.
    Primes(RwLockWriteGuard<'a, ()>),
    /// It sees them as they are, and changes them for itself alone.
    Sees(RwLockReadGuard<'a, ()>),
}

impl Priming {
    /// Gives a job its turn. That of the baseline writes the folders unless another one did, or jobs see them now; a job that comes
    /// while they are written waits for the end of that.
    pub(super) async fn begin(
        &self,
        folders: &[PathBuf],
        logs: &Path,
        is_baseline: bool,
        cancel: &Cancel,
    ) -> Result<Turn<'_>, SandboxError> {
        if is_baseline
            && !folders.is_empty()
            && !is_marked(folders, logs)
            && let Ok(guard) = self.lock.try_write()
        {
            return Ok(Turn::Primes(guard));
        }
        tokio::select! {
            guard = self.lock.read() => Ok(Turn::Sees(guard)),
            () = cancel.cancelled() => Err(SandboxError::Cancelled),
        }
    }
}

impl Turn<'_> {
    /// Returns whether the job writes the folders.
    pub(super) fn primes(&self) -> bool {
        matches!(self, Turn::Primes(_))
    }

    /// Notes that the job has ended well: later ones find the folders as it left them, also after a restart.
    pub(super) fn complete(self, folders: &[PathBuf], logs: &Path) -> Result<(), SandboxError> {
        if !self.primes() {
            return Ok(());
        }
        let path = logs.join(MARK);
        fs::write(&path, names(folders)).map_err(|e| SandboxError::io(format!("writing {}", path.display()), e))
    }
}

fn names(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("{}\n", folder.display())).collect()
}

/// Tells whether an earlier job of the baseline has left these folders, and they are still there.
fn is_marked(folders: &[PathBuf], logs: &Path) -> bool {
    let is_known = fs::read_to_string(logs.join(MARK)).is_ok_and(|known| known == names(folders));
    is_known && folders.iter().all(|folder| folder.is_dir())
}
