//! The view of a command: a mount namespace with nothing but what it may use, a network namespace with a loopback device alone.
//!
//! A file that is not there can be neither examined nor connected to, which Landlock alone does not prevent: sockets of the
//! machine's services lie in the file system, and so do the names, sizes and times of everybody's files.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::path::{Path, PathBuf};

use super::super::allowed::Allowed;
use super::super::layer::Layer;
use super::call::{check, check_long, terminated};
use super::namespaces::{Kind, Namespaces};
use super::overlay;

/// Folders that exist in the view alone. What is written there is gone with the command.
pub(super) const PRIVATE: [&CStr; 2] = [c"/tmp", c"/dev/shm"];
/// Terminals that the command makes for itself.
pub(super) const TERMINALS: &CStr = c"/dev/pts";

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
    /// A folder for terminals, in which there is none yet.
    Terminals(CString),
    /// The processes of the command's own namespace.
    Processes(CString),
    /// A folder with changes that are the candidate's alone.
    Overlay {
        options: CString,
        at: CString,
    },
}

/// The view of one command.
#[derive(Debug)]
pub(super) struct View {
    namespaces: Namespaces,
    steps: Vec<Step>,
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
    /// Plans the view of a command, with `network` in that of the machine, with `has_init` among processes of its own.
    pub(super) fn new(kind: Kind, allowed: &Allowed, network: bool, has_init: bool) -> io::Result<View> {
        let mut plan = Plan { has_init, ..Plan::default() };
        for folder in ["/tmp", "/dev/shm", "/dev/pts"] {
            plan.folders(Path::new(folder))?;
        }
        plan.steps.push(Step::Memory(inside(Path::new("/tmp"))?));
        plan.steps.push(Step::Memory(inside(Path::new("/dev/shm"))?));
        plan.steps.push(Step::Terminals(inside(Path::new("/dev/pts"))?));
        // Shorter paths first: what lies in a folder that is shown is there.
        let mut shown: Vec<(&PathBuf, Shown<'_>)> =
            allowed.layers.iter().map(|layer| (&layer.folder, Shown::Layer(layer))).collect();
        shown.extend(allowed.write.iter().chain(&allowed.devices).map(|path| (path, Shown::Writable)));
        shown.extend(allowed.read.iter().map(|path| (path, Shown::Readable)));
        shown.sort_by_key(|(path, _)| path.as_os_str().len());
        for (path, how) in shown {
            plan.show(path, how)?;
        }
        for (to, at) in [
            ("pts/ptmx", "/dev/ptmx"),
            ("/proc/self/fd", "/dev/fd"),
            ("/proc/self/fd/0", "/dev/stdin"),
            ("/proc/self/fd/1", "/dev/stdout"),
            ("/proc/self/fd/2", "/dev/stderr"),
        ] {
            plan.steps.push(Step::Link { to: terminated(Path::new(to))?, at: inside(Path::new(at))? });
        }
        Ok(View { namespaces: Namespaces::new(kind, network, has_init)?, steps: plan.steps })
    }

    /// The namespaces that are part of it.
    pub(super) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Moves the calling process into the view. It stands in the root then.
    ///
    /// # Safety
    /// As [`Namespaces::enter`]. Open descriptors still lead out.
    pub(super) unsafe fn enter(&self) -> io::Result<()> {
        // SAFETY: plain system calls, on memory that lives in `self` or on this stack.
        unsafe {
            self.namespaces.enter()?;
            let (root, base) = (c"/".as_ptr(), c"/tmp".as_ptr());
            let none = std::ptr::null::<libc::c_char>();
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
                    // The kernel's own limit is half of the memory for each: a command that fills both leaves none.
                    let options = c"mode=1777,size=25%".as_ptr();
                    check(libc::mount(c"tmpfs".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), flags, options.cast()))
                        .map(drop)
                }
                Step::Terminals(at) => {
                    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
                    let options = c"newinstance,ptmxmode=0666,mode=0600".as_ptr();
                    // A kernel without them has none to give.
                    libc::mount(c"devpts".as_ptr(), at.as_ptr(), c"devpts".as_ptr(), flags, options.cast());
                    Ok(())
                }
                Step::Processes(at) => {
                    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
                    check(libc::mount(c"proc".as_ptr(), at.as_ptr(), c"proc".as_ptr(), flags, none.cast())).map(drop)
                }
                Step::Overlay { options, at } => overlay::mount(options, at),
            }
        }
    }
}

/// The way in which a path is shown.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Readable,
    Writable,
    Layer(&'a Layer),
}

/// The steps so far, and what they show.
#[derive(Default)]
struct Plan {
    has_init: bool,
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
    fn show(&mut self, path: &Path, how: Shown<'_>) -> io::Result<()> {
        let is_read_only = matches!(how, Shown::Readable);
        if self.is_shown(path) && is_read_only {
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
        let old = |path: &Path| terminated(&Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path)));
        let is_processes = path == Path::new("/proc");
        self.steps.push(match how {
            Shown::Layer(layer) if layer.copy().exists() => Step::Show { from: old(&layer.copy())?, at: at.clone() },
            Shown::Layer(layer) => {
                let options = overlay::options(layer, Path::new(OLD))?;
                let options = options.ok_or_else(|| io::Error::other("no overlay can be at this path"))?;
                Step::Overlay { options, at: at.clone() }
            }
            _ if is_processes && self.has_init => Step::Processes(at.clone()),
            _ => Step::Show { from: old(path)?, at: at.clone() },
        });
        // Names of threads are written there; see `landlock::own_threads`.
        // SAFETY: asks for a number.
        let is_own = is_processes && unsafe { libc::geteuid() } != 0;
        if is_read_only && !is_own {
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
