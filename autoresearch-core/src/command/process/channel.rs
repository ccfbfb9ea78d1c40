//! The channel of a command's results: a descriptor that no other process has, read into a bounded file.

use std::io::{self, PipeWriter};
use std::path::Path;

use super::super::environment::RESULT;
use super::log::Pump;

/// The folder in which a process finds its own descriptors.
const DESCRIPTORS: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// The channel of a command that has not been started.
pub(super) struct Channel {
    input: PipeWriter,
    results: Results,
}

/// The results of a command that runs.
pub(super) struct Results(Pump);

impl Channel {
    /// Opens a channel into the file `results`, which is made anew.
    pub(super) fn open(results: &Path) -> io::Result<Channel> {
        std::fs::write(results, "")?;
        let (output, input) = io::pipe()?;
        Ok(Channel { input, results: Results(Pump::start(results.to_owned(), output, None)?) })
    }

    /// Gives the descriptor to a command that is started next, and its path as a variable. The command holds it until it is
    /// dropped.
    pub(super) fn pass_to(self, command: &mut tokio::process::Command) -> Results {
        keep(self.input, command);
        self.results
    }
}

#[cfg(unix)]
fn keep(input: PipeWriter, command: &mut tokio::process::Command) {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use std::os::fd::AsRawFd;
    command.env(RESULT, format!("{DESCRIPTORS}/{}", input.as_raw_fd()));
    let keep = move || Ok(fcntl(&input, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)?);
    // SAFETY: one system call, which is async-signal-safe.
    unsafe { command.pre_exec(keep) };
}

/// Nothing is inherited there but the three standard streams: what a command wrote is then never read.
#[cfg(not(unix))]
fn keep(_: PipeWriter, _: &mut tokio::process::Command) {}

impl Results {
    /// Waits for the rest of what was written. To be called when the command has ended and is swept away.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.0.finish()
    }
}
