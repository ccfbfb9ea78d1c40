//! The protections of Linux: Landlock for files, namespaces for what can be seen, seccomp for system calls, no capabilities.
//!
//! Everything is prepared before the fork, as descriptors, programs for the kernel and paths with a NUL at their end; between
//! fork and exec, [`Walls::enter`] makes plain system calls.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::allowed::Allowed;
use super::enforcement::{Protection, hosts, protection};
use super::hosts::Network;
use super::settings::Isolation;

mod call;
mod capabilities;
mod entrance;
mod init;
mod landlock;
mod layers;
mod namespaces;
mod overlay;
mod probe;
mod seccomp;
mod view;

use call::{check, terminated};
pub(crate) use entrance::Entrance;
use entrance::Inside;
pub(super) use layers::prepare;
use namespaces::Namespaces;
use probe::Probe;
use seccomp::Filter;
use view::View;

/// The error of a start that failed at the walls: no program fails to start with it.
const FAILED: i32 = libc::ENOTRECOVERABLE;

/// The walls around one command.
#[derive(Debug)]
pub(crate) struct Walls {
    view: Option<View>,
    files: Option<OwnedFd>,
    /// Places that exist in the view alone, with the accesses that are allowed there.
    private: Vec<(CString, u64)>,
    filters: Vec<Filter>,
    directory: CString,
    /// The way to hosts: the command's end, and the lab's until it is taken.
    way: Option<Inside>,
    entrance: Option<Entrance>,
}

impl Walls {
    /// Prepares those walls that this machine has.
    pub(crate) fn new(isolation: &Isolation, allowed: &Allowed) -> io::Result<Walls> {
        let probe = Probe::here();
        let is_machines = isolation.network == Network::Machine;
        let view = match &probe.view {
            Ok(kind) => Some(View::new(*kind, allowed, is_machines, probe.processes.is_ok())?),
            Err(_) => None,
        };
        let namespaces = view.as_ref().map(View::namespaces);
        let has_own_network = namespaces.is_some_and(Namespaces::has_own_network);
        let files = probe.landlock.as_ref().ok().map(|_| landlock::ruleset(allowed, view.is_some())).transpose()?;
        let filters = match &probe.seccomp {
            Ok(()) => seccomp::filters(is_machines || has_own_network)?,
            Err(_) => Vec::new(),
        };
        let mut private = Vec::new();
        if let Some(namespaces) = namespaces {
            private.extend(view::PRIVATE.map(|path| (path.to_owned(), landlock::ALL)));
            private.push((view::TERMINALS.to_owned(), landlock::TERMINALS));
            let layers = allowed.layers.iter().map(|layer| Ok((terminated(&layer.folder)?, landlock::ALL)));
            private.extend(layers.collect::<io::Result<Vec<_>>>()?);
            private.extend(namespaces.has_init().then(|| (c"/proc".to_owned(), landlock::of_processes())));
        }
        let hosts = isolation.network.hosts().filter(|_| has_own_network);
        let (way, entrance) = hosts.map(entrance::prepare).transpose()?.unzip();
        Ok(Walls { view, files, private, filters, directory: terminated(&allowed.directory)?, way, entrance })
    }

    /// Returns whether the command gets processes of its own: then another one than the caller goes on behind the walls.
    pub(crate) fn has_init(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.namespaces().has_init())
    }

    /// The lab's end of the way to hosts, if the command gets one. To be served once the command has been started.
    pub(crate) fn take_entrance(&mut self) -> Option<Entrance> {
        self.entrance.take()
    }

    /// Puts the calling process behind the walls, for ever. To be called in a fork that has one thread; allocates nothing.
    ///
    /// With [processes of its own](Walls::has_init) this returns in the command alone, whose parent has no number there.
    ///
    /// # Safety
    /// The process must be one that is about to execute a command: it loses its rights, and the files that it knows are gone.
    pub(crate) unsafe fn enter(&self) -> io::Result<()> {
        // SAFETY: as promised by the caller.
        unsafe { self.try_enter() }.map_err(|_| io::Error::from_raw_os_error(FAILED))
    }

    /// Tells whether a command could not be started because of its walls.
    pub(crate) fn failed(error: &io::Error) -> bool {
        error.raw_os_error() == Some(FAILED)
    }

    unsafe fn try_enter(&self) -> io::Result<()> {
        // SAFETY: plain system calls, on memory that lives in `self` or on this stack.
        unsafe {
            if let Some(view) = &self.view {
                view.enter()?;
                check(libc::chdir(self.directory.as_ptr()))?;
            }
            if let Some(way) = &self.way {
                way.hand_over()?;
            }
            capabilities::drop_all();
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            if let Some(files) = &self.files {
                for (place, access) in &self.private {
                    landlock::allow(files.as_raw_fd(), place, *access)?;
                }
                landlock::restrict(files.as_raw_fd())?;
            }
            for filter in &self.filters {
                filter.install()?;
            }
        }
        Ok(())
    }
}

/// The protections, and whether they hold on this machine.
pub(super) fn protections(isolation: &Isolation) -> Vec<Protection> {
    let probe = Probe::here();
    let view = probe.view.as_ref().map_err(Clone::clone);
    let hidden = || "a view of its own in a mount namespace, private /tmp and /dev/shm".to_owned();
    let processes = probe.processes.as_ref().map_err(Clone::clone);
    let layers = probe.view.as_ref().map(|_| "an overlay of each for each candidate, or a copy".to_owned());
    let network = match (&isolation.network, &probe.view, &probe.seccomp) {
        (Network::Machine, ..) => None,
        (Network::Hosts(hosts), Ok(_), _) => {
            Some(Ok(format!("a network namespace, and only {hosts} by the lab's proxy")))
        }
        (Network::None, Ok(_), _) => Some(Ok("a network namespace without a way out".to_owned())),
        (_, Err(_), Ok(())) => Some(Ok("seccomp: no socket but local ones".to_owned())),
        (_, Err(why), Err(_)) => Some(Err(why.clone())),
    };
    // Truncation came with version 3, signals with 6.
    let landlock = |least: i64, what: &str| match &probe.landlock {
        Ok(version) if *version >= least => Ok(format!("Landlock {version}")),
        Ok(version) => Err(format!("{what} needs Landlock {least}, and this kernel has {version}")),
        Err(why) => Err(why.clone()),
    };
    let mut all = vec![
        protection("files", landlock(3, "keeping files from being cut")),
        protection("other processes", landlock(6, "keeping signals inside")),
        protection("what can be seen", view.map(|_| hidden())),
        protection(
            "process namespace",
            processes.map(|()| "processes of its own, under an init of the lab".to_owned()),
        ),
        protection("system calls", probe.seccomp.as_ref().map(|()| "seccomp".to_owned()).map_err(Clone::clone)),
        protection("capabilities", Ok("none are left".to_owned())),
        protection("descriptors", Ok("none is inherited".to_owned())),
        protection("environment", Ok("a list, and an empty HOME".to_owned())),
    ];
    let layers = protection("pristine", layers.map_err(Clone::clone));
    all.extend(Some(layers).filter(|_| !isolation.pristine.is_empty()));
    all.extend(network.map(|network| protection("network", network)));
    all.extend(probe.view.as_ref().err().and_then(|why| hosts(&isolation.network, why)));
    let user = match probe.is_root {
        true => Err("commands run as root, without its capabilities; start the lab as another user".to_owned()),
        false => Ok("the lab's own, which is not root".to_owned()),
    };
    all.push(protection("user", user));
    all
}
