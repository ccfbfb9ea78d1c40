//! The supervisor of a command: everything here runs in a forked child, with system calls and memory on the stack only.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::RawFd;

use super::super::super::isolation::Walls;
use super::super::super::limits::Limits;
use super::proc::each_process;

/// Asks the supervisor to end the tree, with the grace period.
pub(super) const TERMINATE: u8 = b'T';
/// Asks the supervisor to kill everything at once.
pub(super) const KILL: u8 = b'K';
/// Looks for children that are still to be killed: together they take some seconds.
const ROUNDS: u32 = 3000;
/// Longest sleep, in milliseconds.
const NAP: i64 = 1000;
/// Processes that a request to end can reach. Any beyond that are killed after the grace period.
const REACHED: usize = 4096;

/// The supervisor's report at its end.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Report {
    /// The wait status of the command itself, or -1 if it was killed on request.
    pub(super) status: i32,
    /// Children that could not be killed (stuck in the kernel).
    pub(super) survivors: i32,
    pub(super) cpu_microseconds: i64,
    pub(super) max_rss_kilobytes: i64,
    /// Time from the start to the end, to the limit, or to the request, whichever came first.
    pub(super) elapsed_nanoseconds: i64,
    /// 1 if the limit was reached.
    pub(super) overrun: i64,
}

pub(super) const REPORT: usize = size_of::<Report>();

/// The orders of a supervisor, prepared before the fork.
#[derive(Clone, Copy)]
pub(super) struct Supervisor {
    /// Requests, and the end of the lab.
    pub(super) control: RawFd,
    /// The report goes here.
    pub(super) report: RawFd,
    /// Limits of the command.
    pub(super) limits: Limits,
    /// Wall clock until the tree is asked to end, in nanoseconds.
    pub(super) limit: i64,
    /// Time from then until it is killed, in nanoseconds.
    pub(super) grace: i64,
    /// Addresses of the environment that this process was started with.
    pub(super) environment: Option<(usize, usize)>,
}

impl Supervisor {
    /// Runs between fork and exec. Forks once more: the new process returns from here and becomes the command, this one
    /// supervises it and never returns.
    pub(super) fn start(&self, walls: Option<&Walls>) -> io::Result<()> {
        // SAFETY: plain system calls with valid arguments; the memory they write to lives on this stack.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            // Nothing but SIGKILL ends the supervisor, and none of the lab's signal handlers runs in it.
            check(libc::sigprocmask(libc::SIG_SETMASK, &all, &mut before))?;
            // Before there is a command that could look.
            self.hide();
            check(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
            // A session of its own each: a terminal's Ctrl-C is the lab's business, and a command that signals its own group
            // reaches neither the supervisor nor the lab.
            check(libc::setsid())?;
            // One that the command has stopped goes on when the lab dies, and ends the tree.
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGCONT))?;
            let supervisor = libc::getpid();
            // In a process namespace the parent is outside, and has no number.
            let parent = if walls.is_some_and(Walls::has_init) { 0 } else { supervisor };
            let started = now();
            let command = check(libc::fork())?;
            if command != 0 {
                self.supervise(command, started);
            }
            check(libc::setsid())?;
            // No descriptor of the lab reaches the command, whether or not somebody forgot to mark it.
            libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            if let Some(walls) = walls {
                walls.enter()?;
            }
            // Behind the walls: in a user namespace of its own the kernel counts the processes of this command alone, so that
            // one that forks on takes none from a trial beside it.
            apply(&self.limits)?;
            // A change of rights takes it away.
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            if libc::getppid() != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            check(libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()))?;
        }
        Ok(())
    }

    /// Wipes the environment that this process was forked with, and keeps others of the same user from reading its memory. The
    /// command gets its own environment, which is elsewhere, and can be looked into again after its exec.
    unsafe fn hide(&self) {
        // SAFETY: the range is where the kernel put the environment of this process: writable memory of its stack, which
        // nothing refers to any more, since the command's environment has been built elsewhere.
        unsafe {
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            if let Some((first, end)) = self.environment {
                std::ptr::write_bytes(std::ptr::with_exposed_provenance_mut::<u8>(first), 0, end.saturating_sub(first));
            }
        }
    }

    /// Waits for the command's end, its limit, the lab's request, or the lab's death; then kills what is left and reports.
    unsafe fn supervise(&self, command: libc::pid_t, started: i64) -> ! {
        let (control, report) = (self.control, self.report);
        let mut text = Report { status: -1, ..Report::default() };
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
            let deadline = started.saturating_add(self.limit);
            // When the tree was asked to end, and by when it is killed.
            let mut ending: Option<(i64, i64)> = None;
            let mut ended = None;
            'running: loop {
                let time = now();
                let next = match ending {
                    None if time >= deadline => {
                        text.overrun = 1;
                        ending = Some((deadline, time.saturating_add(self.grace)));
                        ask_to_end();
                        continue;
                    }
                    None => deadline,
                    Some((_, kill)) if time >= kill => break,
                    Some((_, kill)) => kill,
                };
                let nap = (next.saturating_sub(time) / 1_000_000 + 1).min(NAP);
                let mut ready = [watched(signals), watched(control)];
                libc::poll(ready.as_mut_ptr(), 2, nap as c_int);
                let mut drained = [0u8; 512];
                while libc::read(signals, drained.as_mut_ptr().cast::<c_void>(), drained.len()) > 0 {}
                let mut found = 0;
                loop {
                    let pid = libc::waitpid(-1, &mut found, libc::WNOHANG);
                    if pid == command {
                        text.status = found;
                        ended = Some(now());
                        break 'running;
                    }
                    if pid <= 0 {
                        break;
                    }
                }
                if ready[1].revents != 0 {
                    let mut request = 0u8;
                    let read = libc::read(control, std::ptr::from_mut(&mut request).cast::<c_void>(), 1);
                    // The end of the pipe is the lab's death.
                    if read != 1 || request != TERMINATE {
                        break;
                    }
                    if ending.is_none() {
                        let time = now();
                        ending = Some((time, time.saturating_add(self.grace)));
                        ask_to_end();
                    }
                }
            }
            let end = ending.map_or_else(|| ended.unwrap_or_else(now), |(asked, _)| asked);
            text.elapsed_nanoseconds = end.saturating_sub(started);
            // Also if this process was stopped or asleep when the limit passed.
            text.overrun |= i64::from(text.elapsed_nanoseconds > self.limit);
            text.survivors = kill_children();
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
            #[expect(clippy::unnecessary_cast, reason = "not on 32-bit systems")]
            let microseconds = |time: libc::timeval| time.tv_sec as i64 * 1_000_000 + time.tv_usec as i64;
            text.cpu_microseconds = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
            text.max_rss_kilobytes = usage.ru_maxrss as i64;
            // Smaller than a pipe's atomic write.
            libc::write(report, std::ptr::from_ref(&text).cast::<c_void>(), REPORT);
            libc::_exit(0)
        }
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Reads the monotonic clock, in nanoseconds.
fn now() -> i64 {
    // SAFETY: writes a structure that lives on this stack.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time);
        time
    };
    let (seconds, nanoseconds) = (time.tv_sec as i64, time.tv_nsec as i64);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Sets the limits of the calling process.
fn apply(limits: &Limits) -> io::Result<()> {
    let set = |resource: libc::__rlimit_resource_t, value: Option<u64>| {
        let Some(value) = value else { return Ok(()) };
        let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        // SAFETY: reads a structure that lives on this stack.
        check(unsafe { libc::setrlimit(resource, &limit) }).map(drop)
    };
    set(libc::RLIMIT_CORE, Some(0))?;
    // Of the data, not of the address space: accelerators reserve hundreds of gigabytes of addresses.
    set(libc::RLIMIT_DATA, limits.memory)?;
    set(libc::RLIMIT_FSIZE, limits.file_size)?;
    set(libc::RLIMIT_NPROC, limits.processes)?;
    limits.cpus.apply()
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

/// Sends SIGTERM to all descendants of this process.
unsafe fn ask_to_end() {
    // SAFETY: plain system calls; the arrays outlive the closure, and every index is below their length.
    unsafe {
        let (mut pairs, mut count) = ([(0i32, 0i32); REACHED], 0);
        each_process(&mut |pid, parent, _| {
            if let Some(pair) = pairs.get_mut(count) {
                *pair = (pid, parent);
                count += 1;
            }
        });
        let pairs = pairs.get(..count).unwrap_or_default();
        let (mut found, mut known, mut next) = ([0i32; REACHED], 0, 0);
        let mut parent = libc::getpid();
        loop {
            for (pid, _) in pairs.iter().filter(|(_, of)| *of == parent) {
                if let Some(place) = found.get_mut(known) {
                    *place = *pid;
                    known += 1;
                }
            }
            match found.get(next) {
                Some(pid) if next < known => parent = *pid,
                _ => break,
            }
            next += 1;
        }
        for pid in found.iter().take(known) {
            libc::kill(*pid, libc::SIGTERM);
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
                    // The group at one blow: nobody in it can fork on between two looks. No group of strangers can be met
                    // here, since a child can only join groups of its own session.
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
