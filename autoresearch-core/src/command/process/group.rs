//! A process tree where there is no better means than the process group (macOS and others): children that leave the group
//! by `setsid` escape.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::super::isolation::Walls;
use super::super::limits::Limits;
use super::usage::Usage;

/// A running command's process group; killed when dropped.
pub(super) struct Tree(Option<u32>);

/// The child's ends of pipes. There are none here.
pub(super) type Ends = ();

impl Tree {
    /// Tells whether the limit is kept without the caller. Here the caller keeps it.
    pub(super) const KEEPS_TIME: bool = false;

    /// Makes `command` start as the head of a process group.
    pub(super) fn prepare(
        command: &mut tokio::process::Command,
        _limits: Limits,
        _times: (Duration, Duration),
        _walls: Option<Walls>,
    ) -> io::Result<(Tree, Ends)> {
        #[cfg(unix)]
        command.process_group(0);
        command.kill_on_drop(true);
        Ok((Tree(None), ()))
    }

    /// Tells the tree its root.
    pub(super) fn started(&mut self, pid: Option<u32>) {
        self.0 = pid;
    }

    #[cfg(unix)]
    fn signal(&self, signal: nix::sys::signal::Signal) {
        if let Some(pid) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), signal);
        }
    }

    /// Asks every process of the group to end.
    pub(super) fn terminate(&mut self) {
        #[cfg(unix)]
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    /// Kills every process of the group.
    pub(super) fn kill(&mut self) {
        #[cfg(unix)]
        self.signal(nix::sys::signal::Signal::SIGKILL);
    }

    /// The resident memory of all processes together. Not known here.
    pub(super) fn memory(&self) -> Option<u64> {
        None
    }

    /// The report of a supervisor. There is none here.
    pub(super) fn finished(mut self) -> Option<(Option<ExitStatus>, Usage)> {
        self.kill();
        None
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.kill();
    }
}
