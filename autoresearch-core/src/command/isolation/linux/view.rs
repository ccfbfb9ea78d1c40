//! The view of a command: a mount namespace with nothing but what it may use, a network namespace with a loopback device alone.
//!
//! A file that is not there can be neither examined nor connected to, which Landlock alone does not prevent: sockets of the
//! machine's services lie in the file system, and so do the names, sizes and times of everybody's files.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::path::{Path, PathBuf};

use super::super::allowed::Allowed;
use super::call::{check, check_long, terminated};

/// Folders that exist in the view alone. What is written there is gone with the command.
pub(super) const PRIVATE: [&CStr; 2] = [c"/tmp", c"/dev/shm"];

/// The means of making namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The capabilities of root.
    Root,
    /// A user namespace, in which any user has them.
    User,
}

/// One call that builds the view.
#[derive(Debug)]
enum Step {
    Folder(CString),
    File(CString),
    Link {
        to: CString,
        at: CString,
    },
    /// Shows a file or folder of the machine, with everything below it.
    Show {
        from: CString,
        at: CString,
    },
    /// Takes away the right to write to what is shown, as far as the kernel knows how.
    Protect(CString),
    /// An empty folder in memory.
    Memory(CString),
}

/// The view of one command.
#[derive(Debug)]
pub(super) struct View {
    steps: Vec<Step>,
    flags: libc::c_int,
    /// The files of the process that map the user of a user namespace, with their content.
    maps: Vec<(CString, CString)>,
}

/// The root of the new view while it is built, and that of the machine.
const NEW: &str = "/new";
const OLD: &str = "/old";

/// `mount_setattr`'s argument.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const RECURSIVE: libc::c_int = 0x8000;
const READ_ONLY: u64 = 0x1;
const NO_SETUID: u64 = 0x2;

impl View {
    /// Plans the view of a command.
    pub(super) fn new(kind: Kind, allowed: &Allowed, network: bool) -> io::Result<View> {
        let mut plan = Plan::default();
        for folder in ["/tmp", "/dev/shm"] {
            plan.folders(Path::new(folder))?;
        }
        plan.steps.push(Step::Memory(inside(Path::new("/tmp"))?));
        plan.steps.push(Step::Memory(inside(Path::new("/dev/shm"))?));
        // Shorter paths first: what lies in a folder that is shown is there.
        let mut shown: Vec<(&PathBuf, bool)> =
            allowed.write.iter().chain(&allowed.devices).map(|path| (path, true)).collect();
        shown.extend(allowed.read.iter().map(|path| (path, false)));
        shown.sort_by_key(|(path, _)| path.as_os_str().len());
        for (path, writable) in shown {
            plan.show(path, writable)?;
        }
        for (to, at) in [
            ("/proc/self/fd", "/dev/fd"),
            ("/proc/self/fd/0", "/dev/stdin"),
            ("/proc/self/fd/1", "/dev/stdout"),
            ("/proc/self/fd/2", "/dev/stderr"),
        ] {
            plan.steps.push(Step::Link { to: terminated(Path::new(to))?, at: inside(Path::new(at))? });
        }
        // SAFETY: ask for numbers.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let own = if network { 0 } else { libc::CLONE_NEWNET };
        let flags = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | own;
        let (flags, maps) = match kind {
            Kind::Root => (flags, Vec::new()),
            Kind::User => {
                let map = |name: &str, text: String| -> io::Result<(CString, CString)> {
                    Ok((terminated(&Path::new("/proc/self").join(name))?, terminated(Path::new(&text))?))
                };
                let maps = vec![
                    map("setgroups", "deny".into())?,
                    map("uid_map", format!("{user} {user} 1"))?,
                    map("gid_map", format!("{group} {group} 1"))?,
                ];
                (flags | libc::CLONE_NEWUSER, maps)
            }
        };
        Ok(View { steps: plan.steps, flags, maps })
    }

    /// Returns whether the command gets a network of its own, which leads nowhere.
    pub(super) fn has_own_network(&self) -> bool {
        self.flags & libc::CLONE_NEWNET != 0
    }

    /// Moves the calling process into the view. It stands in the root then.
    ///
    /// # Safety
    /// Makes plain system calls; may be called between fork and exec. Open descriptors still lead out.
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
            }
            if self.has_own_network() {
                raise_loopback();
            }
            let (root, base) = (c"/".as_ptr(), c"/tmp".as_ptr());
            let none = std::ptr::null();
            check(libc::mount(none, root, none, libc::MS_REC | libc::MS_SLAVE, none.cast()))?;
            check(libc::mount(
                c"tmpfs".as_ptr(),
                base,
                c"tmpfs".as_ptr(),
                libc::MS_NODEV | libc::MS_NOSUID,
                none.cast(),
            ))?;
            check(libc::chdir(base))?;
            check(libc::mkdir(c"new".as_ptr(), 0o755))?;
            check(libc::mkdir(c"old".as_ptr(), 0o755))?;
            check_long(libc::syscall(libc::SYS_pivot_root, base, c"old".as_ptr()))?;
            check(libc::chdir(root))?;
            // A mount of its own, so that it can become the root.
            check(libc::mount(c"tmpfs".as_ptr(), c"/new".as_ptr(), c"tmpfs".as_ptr(), libc::MS_NOSUID, none.cast()))?;
            for step in &self.steps {
                step.take()?;
            }
            check(libc::chdir(c"/new".as_ptr()))?;
            check_long(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
            // The old root lies over the new one now.
            check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
            check(libc::chdir(root))?;
        }
        Ok(())
    }
}

impl Step {
    unsafe fn take(&self) -> io::Result<()> {
        let none = std::ptr::null::<libc::c_char>();
        // SAFETY: plain system calls with strings that end with a NUL.
        unsafe {
            match self {
                Step::Folder(path) => there_already(libc::mkdir(path.as_ptr(), 0o755)),
                Step::File(path) => {
                    let file =
                        check(libc::open(path.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o644))?;
                    check(libc::close(file)).map(drop)
                }
                Step::Link { to, at } => there_already(libc::symlink(to.as_ptr(), at.as_ptr())),
                Step::Show { from, at } => {
                    let flags = libc::MS_BIND | libc::MS_REC;
                    check(libc::mount(from.as_ptr(), at.as_ptr(), none, flags, none.cast())).map(drop)
                }
                Step::Protect(at) => {
                    let attributes =
                        Attributes { set: READ_ONLY | NO_SETUID, clear: 0, propagation: 0, user_namespace: 0 };
                    // Before Linux 5.12 there is no such call; Landlock keeps the same then.
                    libc::syscall(
                        libc::SYS_mount_setattr,
                        libc::AT_FDCWD,
                        at.as_ptr(),
                        RECURSIVE,
                        std::ptr::from_ref(&attributes),
                        size_of::<Attributes>(),
                    );
                    Ok(())
                }
                Step::Memory(at) => {
                    let flags = libc::MS_NOSUID | libc::MS_NODEV;
                    let options = c"mode=1777".as_ptr();
                    check(libc::mount(c"tmpfs".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), flags, options.cast()))
                        .map(drop)
                }
            }
        }
    }
}

/// The steps so far, and what they show.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    made: BTreeSet<PathBuf>,
    shown: BTreeSet<PathBuf>,
}

impl Plan {
    /// Makes a folder with those above it.
    fn folders(&mut self, folder: &Path) -> io::Result<()> {
        let above: Vec<&Path> = folder.ancestors().collect();
        for path in above.into_iter().rev().filter(|path| path.parent().is_some()) {
            if self.is_shown(path) || !self.made.insert(path.to_owned()) {
                continue;
            }
            self.steps.push(Step::Folder(inside(path)?));
        }
        Ok(())
    }

    fn is_shown(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.shown.contains(above))
    }

    /// Makes a link as it is on the machine. The path that it, or what lies below it, leads to is on the list, too.
    fn link(&mut self, link: &Path) -> io::Result<()> {
        if let Some(above) = link.parent() {
            self.folders(above)?;
        }
        if !self.is_shown(link) && self.made.insert(link.to_owned()) {
            // Past all links on the way, which need not be on the list.
            self.steps.push(Step::Link { to: terminated(&link.canonicalize()?)?, at: inside(link)? });
        }
        Ok(())
    }

    /// Shows a file or folder of the machine at its own place.
    fn show(&mut self, path: &Path, writable: bool) -> io::Result<()> {
        if self.is_shown(path) && !writable {
            return Ok(());
        }
        let is_link = |path: &&Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if let Some(link) = path.ancestors().collect::<Vec<_>>().into_iter().rev().find(is_link) {
            return self.link(link);
        }
        if let Some(above) = path.parent() {
            self.folders(above)?;
        }
        let at = inside(path)?;
        if !self.is_shown(path) && self.made.insert(path.to_owned()) {
            self.steps.push(if path.is_dir() { Step::Folder(at.clone()) } else { Step::File(at.clone()) });
        }
        let from = terminated(&Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path)))?;
        self.steps.push(Step::Show { from, at: at.clone() });
        // Names of threads are written there; see `landlock::own_threads`.
        // SAFETY: asks for a number.
        let is_own = path == Path::new("/proc") && unsafe { libc::geteuid() } != 0;
        if !writable && !is_own {
            self.steps.push(Step::Protect(at));
        }
        self.shown.insert(path.to_owned());
        Ok(())
    }
}

/// The place of a path while the view is built.
fn inside(path: &Path) -> io::Result<CString> {
    terminated(&Path::new(NEW).join(path.strip_prefix("/").unwrap_or(path)))
}

fn there_already(result: libc::c_int) -> io::Result<()> {
    match check(result) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        result => result.map(drop),
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
