//! A process tree where there is no better means than the process group (macOS and others): children that leave the group
//! by `setsid` escape.

use std::io;
use std::process::ExitStatus;

use super::{Limits, Usage};

/// A running command's process group; killed when dropped.
pub(super) struct Tree(Option<u32>);

/// Nothing has to be held open here.
pub(super) type Ends = ();

impl Tree {
    pub(super) fn prepare(command: &mut tokio::process::Command, _limits: Limits) -> io::Result<(Tree, Ends)> {
        #[cfg(unix)]
        command.process_group(0);
        command.kill_on_drop(true);
        Ok((Tree(None), ()))
    }

    pub(super) fn started(&mut self, pid: Option<u32>) {
        self.0 = pid;
    }

    #[cfg(unix)]
    fn signal(&self, signal: nix::sys::signal::Signal) {
        if let Some(pid) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), signal);
        }
    }

    pub(super) fn terminate(&self) {
        #[cfg(unix)]
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    pub(super) fn kill(&mut self) {
        #[cfg(unix)]
        self.signal(nix::sys::signal::Signal::SIGKILL);
    }

    pub(super) fn memory(&self) -> Option<u64> {
        None
    }

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
