//! A process tree that leaves nothing behind, on Linux: between the lab and the command stands a supervisor, a bare fork of
//! the lab that never executes anything.
//!
//! The supervisor is the reaper of all descendants (`PR_SET_CHILD_SUBREAPER`, set in the fork alone and never in the process
//! that uses this library): whatever a child does (`setsid`, a double fork), its orphans become the supervisor's children, so
//! killing all children until there are none ends the whole tree. It holds the read end of a pipe whose write end only the lab
//! has: when the lab dies, even by SIGKILL, the pipe ends and the tree with it. It keeps the limit and measures the time by the
//! monotonic clock. When the command ends by itself, its leftovers are killed as well, and one report of status, time and usage
//! goes back through a second pipe.
//!
//! A command can read the memory of what it descends from, as far as the system allows it: so the supervisor wipes the
//! environment that it was forked with, keys above all, and marks itself as not to be looked into (`PR_SET_DUMPABLE`).
//!
//! A command that kills its supervisor escapes from it; [`super::sweep`] finds such leftovers by their environment.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::super::isolation::Walls;
use super::super::limits::Limits;
use super::sweep::processes;
use super::usage::Usage;
use proc::{environment_range, parse_stat};
use supervisor::{KILL, REPORT, Report, Supervisor, TERMINATE};

mod proc;
mod supervisor;

/// A running command with everything that it starts.
pub(super) struct Tree {
    /// Its end, as at the lab's death, is the supervisor's order to kill the tree.
    control: Option<File>,
    report: File,
    supervisor: Option<u32>,
    /// True if two of the processes are the lab's own: the init of a namespace, and the one that waits for the command.
    has_init: bool,
}

/// The child's ends of the pipes; to be dropped once it is started.
pub(super) type Ends = [OwnedFd; 2];

impl Tree {
    /// Tells whether the limit is kept without the caller.
    pub(super) const KEEPS_TIME: bool = true;

    /// Makes `command` start behind `walls` and under a supervisor, which keeps `limit`: it asks all processes to end then, and
    /// kills them after `grace`.
    pub(super) fn prepare(
        command: &mut tokio::process::Command,
        limits: Limits,
        (limit, grace): (Duration, Duration),
        walls: Option<Walls>,
    ) -> io::Result<(Tree, Ends)> {
        let (control_read, control_write) = io::pipe()?;
        let (report_read, report_write) = io::pipe()?;
        let (control_read, report_write) = (OwnedFd::from(control_read), OwnedFd::from(report_write));
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let supervisor = Supervisor {
            control: control_read.as_raw_fd(),
            report: report_write.as_raw_fd(),
            limits,
            limit: nanoseconds(limit),
            grace: nanoseconds(grace),
            environment: environment_range(),
        };
        let has_init = walls.as_ref().is_some_and(Walls::has_init);
        // SAFETY: `Supervisor::start` makes only async-signal-safe calls, as is needed in the child of a process with several
        // threads.
        unsafe { command.pre_exec(move || supervisor.start(walls.as_ref())) };
        let tree = Tree {
            control: Some(File::from(OwnedFd::from(control_write))),
            report: File::from(OwnedFd::from(report_read)),
            supervisor: None,
            has_init,
        };
        Ok((tree, [control_read, report_write]))
    }

    /// Tells the tree its root.
    pub(super) fn started(&mut self, pid: Option<u32>) {
        self.supervisor = pid;
    }

    /// Asks every process of the tree to end; those that do not are killed after the grace period.
    pub(super) fn terminate(&mut self) {
        self.request(TERMINATE);
    }

    /// Kills every process of the tree. The supervisor ends when that is done.
    pub(super) fn kill(&mut self) {
        self.request(KILL);
    }

    fn request(&mut self, request: u8) {
        // It fails only if the supervisor is gone already.
        let _ = self.control.as_mut().map(|control| control.write_all(&[request]));
    }

    /// Sums up the resident memory of all processes of the tree, in bytes.
    pub(super) fn memory(&self) -> Option<u64> {
        // SAFETY: asks for a number.
        let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let resident = |pid| {
            let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            statm.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        Some(self.members().into_iter().filter_map(resident).sum::<u64>() * page)
    }

    /// Reads the supervisor's report: the command's own status, unless it was killed on request, and its usage. `None` if the
    /// supervisor itself was killed. To be called when it has ended.
    pub(super) fn finished(mut self) -> Option<(Option<ExitStatus>, Usage)> {
        self.control = None;
        self.supervisor = None;
        let mut bytes = [0; REPORT];
        self.report.read_exact(&mut bytes).ok()?;
        // SAFETY: the report is plain old data of this size, written by the fork of this very program.
        let report: Report = unsafe { std::mem::transmute(bytes) };
        let usage = Usage {
            cpu: Duration::from_micros(report.cpu_microseconds.max(0) as u64),
            peak_memory: report.max_rss_kilobytes.max(0) as u64 * 1024,
            survivors: report.survivors.max(0) as u32,
            elapsed: Duration::from_nanos(report.elapsed_nanoseconds.max(0) as u64),
            overrun: report.overrun != 0,
        };
        Some(((report.status != -1).then(|| ExitStatus::from_raw(report.status)), usage))
    }

    /// Lists all descendants of the supervisor that are the command's.
    fn members(&self) -> Vec<i32> {
        let Some(root) = self.supervisor else { return Vec::new() };
        let parents: Vec<(i32, i32)> = processes().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
        let mut found = vec![root as i32];
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        let mut members = found.split_off(1);
        if self.has_init {
            // No command can be one of these: it makes no namespaces, and its parent is not the supervisor.
            members.retain(|pid| parent_of(*pid) != Some(root as i32) && !is_init(*pid));
        }
        members
    }
}

impl Drop for Tree {
    /// Ends a tree that nobody waits for any more.
    fn drop(&mut self) {
        self.control = None;
        // The command may have stopped it; then it would never read that.
        if let Some(pid) = self.supervisor.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGCONT);
        }
    }
}

/// Keeps other processes of the same user from reading this process's memory and environment through `/proc`.
pub(super) fn hide_memory() -> io::Result<()> {
    // SAFETY: sets one flag of this process.
    match unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Tells whether a process is the first one of a namespace.
fn is_init(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().next_back() == Some("1"))
}

fn parent_of(pid: i32) -> Option<i32> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?).map(|(parent, _)| parent)
}
