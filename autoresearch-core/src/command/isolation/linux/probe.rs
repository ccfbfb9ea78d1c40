//! The means of this machine, each tried once.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::super::allowed::Allowed;
use super::namespaces::Kind;
use super::view::View;
use super::{landlock, seccomp};

/// The means that were found.
#[derive(Debug)]
pub(super) struct Probe {
    /// The version of Landlock.
    pub(super) landlock: Result<i64, String>,
    /// The means of giving a command a view of its own.
    pub(super) view: Result<Kind, String>,
    /// Fine if that view can have processes of its own.
    pub(super) processes: Result<(), String>,
    /// Fine if system calls can be filtered.
    pub(super) seccomp: Result<(), String>,
    /// True if this process is root.
    pub(super) is_root: bool,
}

impl Probe {
    /// Tries what this machine can do; later calls remember.
    pub(super) fn here() -> &'static Probe {
        static PROBE: OnceLock<Probe> = OnceLock::new();
        PROBE.get_or_init(|| {
            // SAFETY: asks for a number.
            let is_root = unsafe { libc::geteuid() } == 0;
            let (view, processes) = match view(is_root) {
                Ok((kind, processes)) => (Ok(kind), processes),
                Err(why) => (Err(why.clone()), Err(why)),
            };
            Probe { landlock: landlock::version(), view, processes, seccomp: seccomp(), is_root }
        })
    }
}

/// Tries all kinds of namespaces with a view of some of the system's folders, each with processes of its own first.
fn view(is_root: bool) -> Result<(Kind, Result<(), String>), String> {
    let kinds: &[Kind] = if is_root { &[Kind::Root, Kind::User] } else { &[Kind::User] };
    let mut why = String::new();
    for (kind, has_init) in kinds.iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let allowed = Allowed {
            read: ["/usr", "/proc"].map(PathBuf::from).into(),
            devices: [PathBuf::from("/dev/null")].into(),
            directory: "/".into(),
            ..Allowed::default()
        };
        let view = View::new(*kind, &allowed, false, has_init).map_err(|error| error.to_string())?;
        // SAFETY: the child makes plain system calls alone, and ends.
        let failed = unsafe { in_child(|| view.enter()) };
        match failed {
            0 if has_init => return Ok((*kind, Ok(()))),
            0 => return Ok((*kind, Err(why))),
            error => {
                let error = std::io::Error::from_raw_os_error(error);
                let what = if has_init { "give commands no processes of their own" } else { "make no namespaces" };
                why = format!("this system lets the lab's user {what} ({error})");
            }
        }
    }
    Err(why)
}

fn seccomp() -> Result<(), String> {
    let filters = seccomp::filters(false).map_err(|error| error.to_string())?;
    // SAFETY: the child makes plain system calls alone, and ends.
    let failed = unsafe {
        in_child(|| {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            filters.iter().try_for_each(|filter| filter.install())
        })
    };
    match failed {
        0 => Ok(()),
        error => Err(format!("this kernel filters no system calls ({})", std::io::Error::from_raw_os_error(error))),
    }
}

/// Does something in a fork, and returns the number of its error, or 0.
///
/// # Safety
/// `work` must not allocate, lock or unwind: other threads of this process may have held anything when it was forked.
pub(super) unsafe fn in_child(work: impl FnOnce() -> std::io::Result<()>) -> i32 {
    // SAFETY: as promised by the caller; the child ends without running anything else of this process.
    unsafe {
        match libc::fork() {
            -1 => libc::EAGAIN,
            0 => {
                let error = match work() {
                    Ok(()) => 0,
                    Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
                };
                // Exit codes have a byte, and so have the numbers of errors.
                libc::_exit(error & 0xff)
            }
            child => {
                let mut status = 0;
                while libc::waitpid(child, &mut status, 0) < 0 {
                    if *libc::__errno_location() != libc::EINTR {
                        return libc::ECHILD;
                    }
                }
                if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { libc::EINTR }
            }
        }
    }
}
