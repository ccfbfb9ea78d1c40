//! The namespaces of a command: mounts, network, names, shared memory, users and processes of its own.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use super::call::{check, terminated};
use super::init;

/// The means of making namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The capabilities of root.
    Root,
    /// A user namespace, in which any user has them.
    User,
}

/// The namespaces of one command.
#[derive(Debug)]
pub(super) struct Namespaces {
    flags: libc::c_int,
    /// The files of the process that map the user of a user namespace, with their content.
    maps: Vec<(CString, CString)>,
}

impl Namespaces {
    /// Plans namespaces: with `network` that of the machine, with `has_init` processes of its own.
    pub(super) fn new(kind: Kind, network: bool, has_init: bool) -> io::Result<Namespaces> {
        let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        flags |= if network { 0 } else { libc::CLONE_NEWNET };
        flags |= if has_init { libc::CLONE_NEWPID } else { 0 };
        if kind == Kind::Root {
            return Ok(Namespaces { flags, maps: Vec::new() });
        }
        // SAFETY: ask for numbers.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let map = |name: &str, text: String| -> io::Result<(CString, CString)> {
            Ok((terminated(&Path::new("/proc/self").join(name))?, terminated(Path::new(&text))?))
        };
        let maps = vec![
            map("setgroups", "deny".into())?,
            map("uid_map", format!("{user} {user} 1"))?,
            map("gid_map", format!("{group} {group} 1"))?,
        ];
        Ok(Namespaces { flags: flags | libc::CLONE_NEWUSER, maps })
    }

    /// Returns whether the command gets a network of its own, which leads nowhere.
    pub(super) fn has_own_network(&self) -> bool {
        self.flags & libc::CLONE_NEWNET != 0
    }

    /// Returns whether the command gets processes of its own, with an init that reaps them.
    pub(super) fn has_init(&self) -> bool {
        self.flags & libc::CLONE_NEWPID != 0
    }

    /// Moves the calling process into the namespaces. With an init it is another process that returns from here: the caller
    /// waits for it, and ends as it does.
    ///
    /// # Safety
    /// Makes plain system calls; may be called between fork and exec, in a process that has one thread.
    pub(super) unsafe fn enter(&self) -> io::Result<()> {
        // SAFETY: plain system calls, on memory that lives in `self` or on this stack.
        unsafe {
            check(libc::unshare(self.flags))?;
            if !self.maps.is_empty() {
                // The files of a process that hides its memory belong to root.
                check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
                for (file, text) in &self.maps {
                    write(file, text)?;
                }
                check(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
            }
            if self.has_own_network() {
                raise_loopback();
            }
            if self.has_init() {
                init::start()?;
            }
            let none = std::ptr::null::<libc::c_char>();
            check(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_SLAVE, none.cast()))?;
        }
        Ok(())
    }
}

unsafe fn write(file: &CStr, text: &CStr) -> io::Result<()> {
    // SAFETY: plain system calls; both strings outlive them.
    unsafe {
        let descriptor = check(libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let bytes = text.to_bytes();
        let written = libc::write(descriptor, bytes.as_ptr().cast(), bytes.len());
        let result = if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        libc::close(descriptor);
        result
    }
}

/// Lets processes of the namespace reach each other by the loopback device. A command that does not need it does not miss it.
unsafe fn raise_loopback() {
    // SAFETY: plain system calls; the request lives on this stack, and its name ends with a NUL.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return;
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket, libc::SIOCSIFFLAGS, std::ptr::from_ref(&request));
        libc::close(socket);
    }
}
