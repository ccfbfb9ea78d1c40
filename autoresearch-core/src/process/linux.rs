//! A process tree that leaves nothing behind, on Linux: between the harness and the command stands a supervisor, a bare
//! fork of the harness that never executes anything.
//!
//! The supervisor is the reaper of all descendants (`PR_SET_CHILD_SUBREAPER`): whatever a child does (`setsid`, a double
//! fork), its orphans become the supervisor's children, so killing all children until there are none ends the whole tree.
//! It holds the read end of a pipe whose write end only the harness has: when the harness dies, even by SIGKILL, the pipe
//! ends and the tree with it. When the command ends by itself, its leftovers are killed as well, and one report of status
//! and usage goes back through a second pipe.
//!
//! A command that kills its supervisor escapes from it; [`super::sweep`] finds such leftovers by their environment.

use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::{Limits, Usage};

/// Asks the supervisor to kill everything.
const KILL: &[u8] = b"K";
/// How often the supervisor looks for children that are still to be killed: together some seconds.
const ROUNDS: u32 = 3000;

/// What the supervisor tells at its end.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Report {
    /// The wait status of the command itself, or -1 if it was killed on request.
    status: i32,
    /// Children that could not be killed (stuck in the kernel).
    survivors: i32,
    cpu_microseconds: i64,
    max_rss_kilobytes: i64,
}

const REPORT: usize = size_of::<Report>();

/// A running command with everything that it starts.
pub(super) struct Tree {
    control: File,
    report: File,
    supervisor: Option<u32>,
}

/// The child's ends of the pipes; to be dropped once it is started.
pub(super) type Ends = [OwnedFd; 2];

impl Tree {
    /// Makes `command` start under a supervisor.
    pub(super) fn prepare(command: &mut tokio::process::Command, limits: Limits) -> io::Result<(Tree, Ends)> {
        let (control_read, control_write) = io::pipe()?;
        let (report_read, report_write) = io::pipe()?;
        let (control_read, report_write) = (OwnedFd::from(control_read), OwnedFd::from(report_write));
        let (control, report) = (control_read.as_raw_fd(), report_write.as_raw_fd());
        // SAFETY: `become_supervisor` makes only async-signal-safe calls, as is needed in the child of a process with
        // several threads.
        unsafe { command.pre_exec(move || become_supervisor(control, report, limits)) };
        let tree = Tree {
            control: File::from(OwnedFd::from(control_write)),
            report: File::from(OwnedFd::from(report_read)),
            supervisor: None,
        };
        Ok((tree, [control_read, report_write]))
    }

    /// Tells the tree its root.
    pub(super) fn started(&mut self, pid: Option<u32>) {
        self.supervisor = pid;
    }

    /// Asks every process of the tree to end.
    pub(super) fn terminate(&self) {
        for pid in self.members() {
            // SAFETY: sends a signal; a process that is gone by now makes it fail, which is as good.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
    }

    /// Kills every process of the tree. The supervisor ends when that is done.
    pub(super) fn kill(&mut self) {
        // It fails only if the supervisor is gone already.
        let _ = self.control.write_all(KILL);
    }

    /// The resident memory of all processes of the tree together, in bytes.
    pub(super) fn memory(&self) -> Option<u64> {
        // SAFETY: asks for a number.
        let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let resident = |pid| {
            let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            statm.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        Some(self.members().into_iter().filter_map(resident).sum::<u64>() * page)
    }

    /// What the supervisor reported: the command's own status, unless it was killed on request, and its usage. `None` if
    /// the supervisor itself was killed. To be called when it has ended.
    pub(super) fn finished(mut self) -> Option<(Option<ExitStatus>, Usage)> {
        drop(self.control);
        let mut bytes = [0; REPORT];
        self.report.read_exact(&mut bytes).ok()?;
        // SAFETY: the report is plain old data of this size, written by the fork of this very program.
        let report: Report = unsafe { std::mem::transmute(bytes) };
        let usage = Usage {
            cpu: Duration::from_micros(report.cpu_microseconds.max(0) as u64),
            peak_memory: report.max_rss_kilobytes.max(0) as u64 * 1024,
            survivors: report.survivors.max(0) as u32,
        };
        Some(((report.status != -1).then(|| ExitStatus::from_raw(report.status)), usage))
    }

    /// All descendants of the supervisor.
    fn members(&self) -> Vec<i32> {
        let Some(root) = self.supervisor else { return Vec::new() };
        let parents: Vec<(i32, i32)> =
            super::sweep::processes().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
        let mut found = vec![root as i32];
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        found.split_off(1)
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?).map(|(parent, _)| parent)
}

/// Parent and process group from `/proc/…/stat`. The name before them may hold anything, also parentheses.
fn parse_stat(stat: &[u8]) -> Option<(i32, i32)> {
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(close + 2..)?.split(|byte| *byte == b' ').skip(1);
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    Some((number()?, number()?))
}

// From here on: in the forked child. Only system calls and memory on the stack.

/// Runs between fork and exec. Forks once more: the new process returns from here and becomes the command, this one
/// supervises it and never returns.
fn become_supervisor(control: RawFd, report: RawFd, limits: Limits) -> io::Result<()> {
    // SAFETY: plain system calls with valid arguments; the memory they write to lives on this stack.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        // Nothing but SIGKILL ends the supervisor, and none of the harness's signal handlers runs in it.
        check(libc::sigprocmask(libc::SIG_SETMASK, &all, &mut before))?;
        check(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
        // A session of its own each: a terminal's Ctrl-C is the harness's business, and a command that signals its own
        // group reaches neither the supervisor nor the harness.
        check(libc::setsid())?;
        let supervisor = libc::getpid();
        let command = check(libc::fork())?;
        if command != 0 {
            supervise(command, control, report);
        }
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() != supervisor {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // No descriptor of the harness reaches the command, whether or not somebody forgot to mark it.
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        limits.apply()?;
        check(libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()))?;
    }
    Ok(())
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

impl Limits {
    /// Sets the limits of the calling process.
    fn apply(&self) -> io::Result<()> {
        let set = |resource: libc::__rlimit_resource_t, value: Option<u64>| {
            let Some(value) = value else { return Ok(()) };
            let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
            // SAFETY: reads a structure that lives on this stack.
            check(unsafe { libc::setrlimit(resource, &limit) }).map(drop)
        };
        set(libc::RLIMIT_CORE, Some(0))?;
        // Of the data, not of the address space: accelerators reserve hundreds of gigabytes of addresses.
        set(libc::RLIMIT_DATA, self.memory)?;
        set(libc::RLIMIT_FSIZE, self.file_size)?;
        set(libc::RLIMIT_NPROC, self.processes)?;
        self.cpus.apply()
    }
}

/// Waits for the command's end, the harness's request, or the harness's death; then kills what is left and reports.
unsafe fn supervise(command: libc::pid_t, control: RawFd, report: RawFd) -> ! {
    let mut status = -1;
    // SAFETY: plain system calls with valid arguments; the memory they write to lives on this stack.
    unsafe {
        let (low, high) = (control.min(report) as u32, control.max(report) as u32);
        for (first, last) in [(0, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
            if first <= last {
                close_range(first, last);
            }
        }
        let mut children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut children);
        libc::sigaddset(&mut children, libc::SIGCHLD);
        let signals = libc::signalfd(-1, &children, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        let watched = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        'running: loop {
            let mut ready = [watched(signals), watched(control)];
            libc::poll(ready.as_mut_ptr(), 2, 1000);
            let mut drained = [0u8; 512];
            while libc::read(signals, drained.as_mut_ptr().cast::<c_void>(), drained.len()) > 0 {}
            let mut found = 0;
            loop {
                let pid = libc::waitpid(-1, &mut found, libc::WNOHANG);
                if pid == command {
                    status = found;
                    break 'running;
                }
                if pid <= 0 {
                    break;
                }
            }
            // A byte is the harness's request, the end of the pipe its death.
            if ready[1].revents != 0 {
                break;
            }
        }
        let survivors = kill_children();
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        #[expect(clippy::unnecessary_cast, reason = "not on 32-bit systems")]
        let microseconds = |time: libc::timeval| time.tv_sec as i64 * 1_000_000 + time.tv_usec as i64;
        let text = Report {
            status,
            survivors,
            cpu_microseconds: microseconds(usage.ru_utime) + microseconds(usage.ru_stime),
            max_rss_kilobytes: usage.ru_maxrss as i64,
        };
        // Smaller than a pipe's atomic write.
        libc::write(report, std::ptr::from_ref(&text).cast::<c_void>(), REPORT);
        libc::_exit(0)
    }
}

unsafe fn close_range(first: u32, last: u32) {
    // SAFETY: closes descriptors of this process, which uses none of them.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            // Before Linux 5.9.
            for fd in first..=last.min(65_536) {
                libc::close(fd as c_int);
            }
        }
    }
}

/// Kills and reaps children until there are none: orphans of killed ones become children in turn.
unsafe fn kill_children() -> i32 {
    // SAFETY: plain system calls; `me` outlives the closure.
    unsafe {
        let me = libc::getpid();
        for round in 0..ROUNDS {
            loop {
                match libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) {
                    0 => break,
                    pid if pid < 0 && *libc::__errno_location() == libc::ECHILD => return 0,
                    pid if pid < 0 => break,
                    _ => {}
                }
            }
            each_process(&mut |pid, parent, group| {
                if parent == me {
                    // The group at one blow: nobody in it can fork on between two looks. No group of strangers can be
                    // met here, since a child can only join groups of its own session.
                    if group > 1 && group != me {
                        libc::kill(-group, libc::SIGKILL);
                    }
                    libc::kill(pid, libc::SIGKILL);
                }
            });
            let pause = libc::timespec { tv_sec: 0, tv_nsec: if round < 50 { 200_000 } else { 1_500_000 } };
            libc::nanosleep(&pause, std::ptr::null_mut());
        }
        let mut left = 0;
        each_process(&mut |_, parent, _| left += i32::from(parent == me));
        left
    }
}

/// Calls `visit` with pid, parent and group of every process.
unsafe fn each_process(visit: &mut dyn FnMut(i32, i32, i32)) {
    // SAFETY: the kernel fills `entries` with records whose length stands in them; nothing beyond `filled` is read.
    unsafe {
        let proc = libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if proc < 0 {
            return;
        }
        let mut entries = [0u64; 1024];
        loop {
            let filled = libc::syscall(libc::SYS_getdents64, proc, entries.as_mut_ptr(), size_of_val(&entries));
            let Ok(filled @ 1..) = usize::try_from(filled) else { break };
            let mut at = 0;
            while at < filled {
                // linux_dirent64: inode, offset (8 bytes each), record length (2), type (1), name.
                let record = entries.as_ptr().cast::<u8>().add(at);
                let name = CStr::from_ptr(record.add(19).cast());
                at += usize::from(record.add(16).cast::<u16>().read_unaligned());
                if let Some((pid, (parent, group))) =
                    number(name.to_bytes()).and_then(|pid| Some((pid, stat(proc, name)?)))
                {
                    visit(pid, parent, group);
                }
            }
        }
        libc::close(proc);
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0i32, |n, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        n.checked_mul(10)?.checked_add(i32::from(digit))
    })
}

unsafe fn stat(proc: RawFd, pid: &CStr) -> Option<(i32, i32)> {
    let mut path = [0u8; 32];
    let name = pid.to_bytes();
    path.get_mut(..name.len())?.copy_from_slice(name);
    path.get_mut(name.len()..name.len() + 5)?.copy_from_slice(b"/stat");
    let mut text = [0u8; 512];
    // SAFETY: the path ends with a zero byte, since the array is longer than any pid; the buffer's length is given.
    let length = unsafe {
        let file = libc::openat(proc, path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let length = libc::read(file, text.as_mut_ptr().cast::<c_void>(), text.len());
        libc::close(file);
        length
    };
    parse_stat(text.get(..usize::try_from(length).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_name_may_hold_anything() {
        assert_eq!(parse_stat(b"12 (a) S 99 (b) S 3 4 5 6"), Some((3, 4)));
        assert_eq!(parse_stat(b"12 (sh) S 1 12 12 0"), Some((1, 12)));
        assert_eq!(parse_stat(b"12 (sh"), None);
        assert_eq!((number(b"417"), number(b"self"), number(b"99999999999")), (Some(417), None, None));
    }
}
