//! The first process of a process namespace. The kernel lets it die by no signal that it does not handle, gives it all orphans and
//! ends everything in the namespace with it: so it is none of the command's, and does nothing but reap.
//!
//! The command is its sibling, a child of the process that made the namespace. That one stays outside, waits for the command, and
//! ends as the command did: by its exit code or its signal.

use std::io;

use super::call::check;

/// Forks the init and the command of the namespace that the calling process has made for its children. Returns in the command alone.
///
/// # Safety
/// Makes plain system calls; may be called between fork and exec, in a process that has one thread. The caller's descriptors are
/// closed, and it never returns.
pub(super) unsafe fn start() -> io::Result<()> {
    // SAFETY: plain system calls on memory of this stack; the children make such calls alone, or execute the command.
    unsafe {
        let above = libc::getppid();
        let init = check(libc::fork())?;
        if init == 0 {
            reap();
        }
        match libc::fork() {
            0 => {
                // A command that signals its own group reaches none of these.
                libc::setsid();
                Ok(())
            }
            command if command < 0 => {
                let error = io::Error::last_os_error();
                libc::kill(init, libc::SIGKILL);
                Err(error)
            }
            command => follow(above, init, command),
        }
    }
}

/// Reaps what the namespace's processes leave, until it is killed.
unsafe fn reap() -> ! {
    // SAFETY: plain system calls on memory of this stack.
    unsafe {
        lay_down();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let mut children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut children);
        libc::sigaddset(&mut children, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &children, std::ptr::null_mut());
        loop {
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
            let mut signal = 0;
            libc::sigwait(&children, &mut signal);
        }
    }
}

/// Waits for the command, ends all that is left in the namespace, and ends as the command did.
unsafe fn follow(above: libc::pid_t, init: libc::pid_t, command: libc::pid_t) -> ! {
    // SAFETY: plain system calls on memory of this stack.
    unsafe {
        lay_down();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let mut status = 0;
        // The death of the process above may have come before the request to be told.
        if libc::getppid() == above {
            while libc::waitpid(command, &mut status, 0) < 0 && *libc::__errno_location() == libc::EINTR {}
        }
        libc::kill(init, libc::SIGKILL);
        libc::waitpid(init, std::ptr::null_mut(), 0);
        if libc::WIFEXITED(status) {
            libc::_exit(libc::WEXITSTATUS(status));
        }
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        let signal = libc::WTERMSIG(status);
        let mut own: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut own);
        libc::sigaddset(&mut own, signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &own, std::ptr::null_mut());
        // Of signals that end nobody here.
        libc::_exit(128 + signal)
    }
}

/// Closes all descriptors: whoever waits for the end of a pipe waits for the command's alone.
unsafe fn lay_down() {
    // SAFETY: closes descriptors of this process, which uses none of them.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0u32, u32::MAX, 0) != 0 {
            // Before Linux 5.9.
            for descriptor in 0..65_536 {
                libc::close(descriptor);
            }
        }
    }
}
