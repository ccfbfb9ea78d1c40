//! A slot, and the build that was made in it ahead of a run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::executor::{Job, JobName};
use super::results::open;
use super::slot::Slot;
use crate::metric::{ITEMS, MAX_ITEM_BYTES};
use crate::revision::Revision;
use crate::sandbox::{RunLog, SandboxError};

/// Variable that names the slot of a process, so that leftovers of a lab that died can be found.
pub(super) const SLOT: &str = "AUTORESEARCH_SLOT";

/// A slot, and the build that was made in it ahead of a run.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: Slot,
    /// The slot in which what a run left is evaluated: no process of a candidate ever works there.
    pub(super) evaluator: Slot,
    built: Mutex<Option<Built>>,
}

/// A finished build, for one job and no other.
#[derive(Debug)]
struct Built {
    job: JobName,
    candidate: Revision,
    log: RunLog,
}

impl Place {
    pub(super) fn new(slot: Slot) -> Place {
        let evaluator = slot.evaluator();
        Place { slot, evaluator, built: Mutex::new(None) }
    }

    /// Remembers a build for the run of its job.
    pub(super) fn remember(&self, job: &Job, log: RunLog) {
        let built = Built { job: job.name.clone(), candidate: job.tree.revision().clone(), log };
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some(built);
    }

    /// Takes the build made ahead for this job. Any other build is forgotten: the slot is used otherwise now.
    pub(super) fn take(&self, job: &Job) -> Option<RunLog> {
        let built = self.built.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (built.job == job.name && built.candidate == *job.tree.revision()).then_some(built.log)
    }
}

/// Copies the scores of items out of the slot, which is emptied after the run. A link, or whatever else a candidate may put in
/// their place, is no list of scores, and neither is a file too long for one.
pub(super) fn keep_items(from: &Path, log: &mut RunLog) -> Result<(), SandboxError> {
    let Some(to) = log.path.as_ref().map(|path| path.with_extension(ITEMS)) else { return Ok(()) };
    if let Some(mut items) = open(from, MAX_ITEM_BYTES) {
        let copied = std::fs::File::create(&to).and_then(|mut copy| std::io::copy(&mut items, &mut copy));
        copied.map_err(|e| SandboxError::io(format!("writing {}", to.display()), e))?;
        log.artifacts.insert(ITEMS.into(), to);
    }
    Ok(())
}

/// The file that a command may write the scores of items to: in its own scratch folder, like all that it writes.
pub(super) fn items(slot: &Slot) -> PathBuf {
    slot.scratch().join(ITEMS)
}

/// Does work on files on a thread of its own, not on the one that also tells when jobs end.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(SandboxError::Other(format!("work on files ended badly: {error}"))))
}

/// Tells whether the disk of a folder has room for a file of a mebibyte.
pub(super) fn has_space(folder: &Path) -> bool {
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let probe = folder.join(format!(".space-{}-{number}", std::process::id()));
    let written = std::fs::File::create_new(&probe).and_then(|mut file| {
        file.write_all(&[1; 1 << 20])?;
        file.sync_all()
    });
    let _ = std::fs::remove_file(&probe);
    written.is_ok()
}

/// The error of a job after its slot was emptied: where the disk has space again, the job itself had filled it.
pub(super) fn blamed(error: SandboxError, has_space: bool) -> SandboxError {
    match error {
        SandboxError::DiskFull { doing } if has_space => SandboxError::Other(format!(
            "the disk was full while it ran ({doing}), and is not now that its files are removed; limit what it writes, or free some"
        )),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_only_the_candidate_filled_does_not_end_the_run() {
        let full = || SandboxError::DiskFull { doing: "writing the log".into() };
        assert!(matches!(blamed(full(), true), SandboxError::Other(why) if why.contains("writing the log")));
        assert!(matches!(blamed(full(), false), SandboxError::DiskFull { .. }));
        assert!(matches!(blamed(SandboxError::Cancelled, true), SandboxError::Cancelled));
        let folder = tempfile::tempdir().unwrap();
        assert!(has_space(folder.path()) && !has_space(&folder.path().join("none")));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }
}
