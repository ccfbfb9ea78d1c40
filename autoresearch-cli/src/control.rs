//! The files through which other commands reach the process that drives a run: who it is, a request to stop it, and hints for
//! the proposer.
//!
//! A request names the process that it is for, so that one which outlives its process stops no later one.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoresearch_core::internal::journal::Moment;
use autoresearch_core::internal::results::write_atomically;
use autoresearch_core::{Cancel, SandboxError};
use serde::{Deserialize, Serialize};

use crate::config::StopLimits;
use crate::error::CommandError;

const PROCESS: &str = "process.json";
const REQUEST: &str = "stop.json";
/// Time between two looks at the request.
const INTERVAL: Duration = Duration::from_millis(200);

/// The file in a run's folder that holds the hints.
pub const HINTS: &str = "hints.jsonl";

/// The process that drives a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// A name that no other process has or had.
    pub id: String,
    /// Its number for the system.
    pub pid: u32,
    /// Time it began (UTC).
    pub started: Moment,
    /// The conditions under which it ends.
    pub limits: StopLimits,
    /// True if its proposer asks no model and no agent, which alone read hints.
    #[serde(default)]
    pub ignores_hints: bool,
}

/// The time at which a run is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    AfterExperiment,
    Now,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    process: String,
    when: When,
}

/// The announcement of the process that drives a run. Dropped, it is removed.
pub struct Announced {
    pub process: Process,
    folder: PathBuf,
}

/// Announces this process as the one that drives the run in `folder`. The caller holds the lock of the journal.
pub fn announce(folder: &Path, limits: StopLimits, ignores_hints: bool) -> Result<Announced, SandboxError> {
    let (pid, started) = (std::process::id(), Moment::now());
    let id = format!("{pid}-{}", started.since(Moment::default()).as_nanos());
    let process = Process { id, pid, started, limits, ignores_hints };
    write(&folder.join(PROCESS), &process)?;
    Ok(Announced { process, folder: folder.to_owned() })
}

impl Drop for Announced {
    fn drop(&mut self) {
        clear(&self.folder);
    }
}

impl Announced {
    /// Follows requests to stop: cancels `finish` or `now`, as long as it is awaited.
    pub fn follow(&self, finish: Cancel, now: Cancel) -> impl Future<Output = ()> + Send + 'static {
        let (path, id) = (self.folder.join(REQUEST), self.process.id.clone());
        async move {
            loop {
                match read::<Request>(&path).filter(|request| request.process == id).map(|request| request.when) {
                    Some(When::AfterExperiment) => finish.cancel(),
                    Some(When::Now) => return now.cancel(),
                    None => {}
                }
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}

/// Removes what a killed process has left. The caller holds the lock of the journal.
pub fn clear(folder: &Path) {
    for name in [PROCESS, REQUEST] {
        let _ = std::fs::remove_file(folder.join(name));
    }
}

/// The process that drives the run in `folder`, or drove it until it was killed.
pub fn process(folder: &Path) -> Option<Process> {
    read(&folder.join(PROCESS))
}

/// Asks a process to stop.
pub fn request_stop(folder: &Path, process: &Process, when: When) -> Result<(), SandboxError> {
    write(&folder.join(REQUEST), &Request { process: process.id.clone(), when })
}

/// The request that the process has not followed yet.
pub fn requested(folder: &Path, process: &Process) -> Option<When> {
    read::<Request>(&folder.join(REQUEST)).filter(|request| request.process == process.id).map(|request| request.when)
}

/// A hint as a line of its file.
#[derive(Serialize)]
struct Hint<'a> {
    at: Moment,
    text: &'a str,
}

/// Adds a hint for the proposer, durably.
pub fn add_hint(folder: &Path, text: &str) -> Result<(), CommandError> {
    let path = folder.join(HINTS);
    let failed = |e| CommandError::Sandbox(SandboxError::io(format!("writing {}", path.display()), e));
    let mut line = json(&Hint { at: Moment::now(), text })?;
    line.push(b'\n');
    let mut file = std::fs::File::options().read(true).append(true).create(true).open(&path).map_err(failed)?;
    // A line that a crash left without an end must not take this one with it.
    let mut last = [b'\n'];
    if file.metadata().map_err(failed)?.len() > 0 {
        file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(failed)?;
    }
    if last != *b"\n" {
        line.insert(0, b'\n');
    }
    file.write_all(&line).and_then(|()| file.sync_data()).map_err(failed)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, SandboxError> {
    serde_json::to_vec(value).map_err(|error| SandboxError::Other(format!("a value is no JSON: {error}")))
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), SandboxError> {
    write_atomically(path, &json(value)?)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_one_process_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = announce(folder.path(), StopLimits::default(), false).unwrap();
        request_stop(folder.path(), &first.process, When::Now).unwrap();
        assert_eq!(requested(folder.path(), &first.process), Some(When::Now));
        // Killed: nothing is cleared away.
        std::mem::forget(first);
        let second = announce(folder.path(), StopLimits::default(), false).unwrap();
        assert_eq!(requested(folder.path(), &second.process), None);
        drop(second);
        assert!(process(folder.path()).is_none() && std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn a_torn_hint_does_not_take_the_next_one_with_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(HINTS), "{\"text\":\"to").unwrap();
        add_hint(folder.path(), "try\nSIMD").unwrap();
        let text = std::fs::read_to_string(folder.path().join(HINTS)).unwrap();
        assert!(
            text.starts_with("{\"text\":\"to\n{\"at\":\"") && text.ends_with("\"text\":\"try\\nSIMD\"}\n"),
            "{text}"
        );
    }
}
