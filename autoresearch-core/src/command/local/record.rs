//! The outcomes of ended jobs, one file each beside its log, by which a job is found again after a restart.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::executor::JobName;
use super::super::process::log_tail;
use super::remove::remove_folder;
use super::results;
use crate::machine::MachineId;
use crate::sandbox::{Outcome, Phase, SandboxError};

/// The file of one ended job.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The job's name: two runs may share a folder of logs.
    job: String,
    outcome: Outcome,
}

/// Returns the path of a job's log in the folder `logs`.
pub(super) fn log_path(logs: &Path, name: &JobName) -> PathBuf {
    logs.join(format!("{}.log", name.trial))
}

/// Returns the path of the log of a job's guards, beside the job's own.
pub(super) fn guard_log(log: &Path) -> PathBuf {
    log.with_extension("guard.log")
}

/// Returns the path of the log of a job's evaluation.
pub(super) fn evaluation_log(log: &Path) -> PathBuf {
    log.with_extension("evaluation.log")
}

/// Returns the path of the file with the results of a job's evaluation.
pub(super) fn results_path(log: &Path) -> PathBuf {
    log.with_extension("result")
}

fn record_path(logs: &Path, name: &JobName) -> PathBuf {
    log_path(logs, name).with_extension("outcome.json")
}

/// Forgets a job that has ended: its log and its outcome. Returns the path of the new log.
pub(super) fn forget(logs: &Path, name: &JobName) -> Result<PathBuf, SandboxError> {
    fs::create_dir_all(logs).map_err(|e| SandboxError::io("making the folder for logs", e))?;
    let log = log_path(logs, name);
    let files = results::folder(&log);
    remove_folder(&files).map_err(|e| SandboxError::io(format!("removing {}", files.display()), e))?;
    let beside = [record_path(logs, name), guard_log(&log), evaluation_log(&log), results_path(&log)];
    for old in beside.iter().chain([&log]) {
        match fs::remove_file(old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(SandboxError::io(format!("removing {}", old.display()), error));
            }
            _ => {}
        }
    }
    Ok(log)
}

/// Writes the outcome of a job. The end of its output stays in the log.
pub(super) fn write(logs: &Path, name: &JobName, outcome: &Outcome) -> Result<(), SandboxError> {
    let path = record_path(logs, name);
    let mut outcome = outcome.clone();
    outcome.log_mut().tail.clear();
    let text = serde_json::to_vec(&Record { job: name.to_string(), outcome });
    let text = text.map_err(|e| SandboxError::Other(format!("the outcome of {name} cannot be written: {e}")))?;
    let partial = path.with_extension("json.partial");
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path));
    written.map_err(|e| SandboxError::io(format!("writing {}", path.display()), e))
}

/// Reads the outcome of a job. `None` if it has not ended, or its log is gone.
pub(super) fn read(logs: &Path, name: &JobName) -> Result<Option<Outcome>, SandboxError> {
    let path = record_path(logs, name);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SandboxError::io(format!("reading {}", path.display()), error)),
    };
    // A power cut may have left half a file: then the outcome is not known.
    let Ok(Record { job, mut outcome }) = serde_json::from_slice(&text) else { return Ok(None) };
    if job != name.to_string() {
        return Ok(None);
    }
    let log = outcome.log_mut();
    if matches!(log.phase, Phase::Run | Phase::Evaluation) {
        log.machine = Some(MachineId::here());
    }
    if let Some(path) = &log.path {
        match log_tail(path) {
            Ok(tail) => log.tail = tail,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SandboxError::io(format!("reading {}", path.display()), error)),
        }
    }
    Ok(Some(outcome))
}
