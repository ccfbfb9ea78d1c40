//! A slot, and the build that was made in it ahead of a run.

use std::path::{Path, PathBuf};
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
