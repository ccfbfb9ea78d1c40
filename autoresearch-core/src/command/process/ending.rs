//! The end of a command, and the words for it.

use std::process::ExitStatus;
use std::time::Duration;

/// The reason why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exit(ExitStatus),
    /// Killed by the kernel because memory ran out.
    OutOfMemory,
    /// Killed at its limit, or ended by itself after it.
    Limit,
}

/// A finished command. Nothing of it runs any more.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The reason why it ended.
    pub ending: Ending,
    /// Wall clock from its start to its end or its limit. On Linux its supervisor measures it.
    pub elapsed: Duration,
    /// Peak resident memory in bytes, where the system tells: of all its processes together as seen once a second, or of the
    /// largest one if that was more (which counts the lab's own few megabytes, before it becomes the command).
    pub peak_memory: Option<u64>,
    /// Processor time of all its processes, where the system tells.
    pub cpu: Option<Duration>,
}

impl Finished {
    /// Returns the exit code of a command that ended by itself, and not by a signal.
    pub fn exit_code(&self) -> Option<i32> {
        match self.ending {
            Ending::Exit(status) => status.code(),
            Ending::OutOfMemory | Ending::Limit => None,
        }
    }

    /// Tells whether it ended by itself with exit code 0.
    pub fn succeeded(&self) -> bool {
        describe(self.ending).is_none()
    }
}

/// Describes the end of an unsuccessful command for a person; `None` if it succeeded.
pub fn describe(ending: Ending) -> Option<String> {
    match ending {
        Ending::Exit(status) if status.success() => None,
        Ending::Exit(status) => Some(describe_status(status)),
        Ending::OutOfMemory => Some("was killed because the machine ran out of memory".into()),
        Ending::Limit => Some("was killed at its time limit".into()),
    }
}

#[cfg(unix)]
pub(super) fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(nix::sys::signal::Signal::SIGKILL as i32)
}

#[cfg(not(unix))]
pub(super) fn was_killed(_status: ExitStatus) -> bool {
    false
}

#[cfg(unix)]
fn describe_status(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal().map(|number| (number, nix::sys::signal::Signal::try_from(number))) {
        Some((_, Ok(signal))) => format!("was ended by {signal}"),
        Some((number, Err(_))) => format!("was ended by signal {number}"),
        None => format!("ended with exit code {}", status.code().unwrap_or(-1)),
    }
}

#[cfg(not(unix))]
fn describe_status(status: ExitStatus) -> String {
    format!("ended with {status}")
}
