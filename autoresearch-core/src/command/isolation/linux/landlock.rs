//! Landlock: the files and the processes that a command may reach, kept by the kernel for it and all that it starts.

use std::ffi::CStr;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    Scope, path_beneath_rules,
};

use super::super::allowed::Allowed;
use super::call::{check, check_long};

/// The newest interface that this file knows: with truncation, controls of devices, and the scopes of signals and sockets.
const NEWEST: ABI = ABI::V6;

/// The version of Landlock in the kernel.
pub(super) fn version() -> Result<i64, String> {
    /// `LANDLOCK_CREATE_RULESET_VERSION`.
    const VERSION: libc::c_uint = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: a plain system call, which asks for a number.
    match check_long(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) }) {
        Ok(version) => Ok(version),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Err("Landlock is switched off in this kernel".into())
        }
        Err(error) => Err(format!("this kernel has no Landlock, which came with Linux 5.13 ({error})")),
    }
}

/// A set of rules for the files of a command, which [`restrict`] applies.
pub(super) fn ruleset(allowed: &Allowed, has_view: bool) -> io::Result<OwnedFd> {
    let failed = |error: landlock::RulesetError| io::Error::other(error.to_string());
    let read = AccessFs::from_read(NEWEST);
    let write = AccessFs::from_all(NEWEST) & !BitFlags::from(AccessFs::IoctlDev);
    let device = AccessFs::from_file(NEWEST) | AccessFs::ReadDir;
    // A command without a view of its own shares this one with all others.
    let shared = Some("/dev/shm").filter(|_| !has_view);
    // And can be shown no changes of its own.
    let layers = allowed.layers.iter().map(|layer| &layer.folder).filter(|_| !has_view);
    let created = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&allowed.read, read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(&allowed.write, write)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(shared, write)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(layers, write)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(&allowed.devices, device)))
        .and_then(own_threads)
        .map_err(failed)?;
    Option::<OwnedFd>::from(created).ok_or_else(|| io::Error::other("the kernel made no set of rules"))
}

/// CUDA names its threads, by a file of the process. It is the lab's user alone whose processes can be named then, unless that is
/// root, who could write the kernel's settings by the same rule.
fn own_threads(rules: RulesetCreated) -> Result<RulesetCreated, landlock::RulesetError> {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    match PathFd::new("/proc") {
        Ok(processes) if !is_root => rules.add_rule(PathBeneath::new(processes, AccessFs::WriteFile)),
        _ => Ok(rules),
    }
}

#[repr(C, packed)]
struct Beneath {
    access: u64,
    parent: i32,
}

/// All accesses of the first three versions but those of devices.
pub(super) const ALL: u64 = 0x7fff;

/// The accesses to terminals: to read and write them, to list them, and to control them.
pub(super) const TERMINALS: u64 = 0x800e;

/// The accesses to the processes of a command's own namespace: as [`own_threads`] for those of the machine.
pub(super) fn of_processes() -> u64 {
    const EXECUTE_AND_READ: u64 = 0b1101;
    const WRITE: u64 = 0b10;
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } == 0 { EXECUTE_AND_READ } else { EXECUTE_AND_READ | WRITE }
}

/// Lets a set of rules allow `access` below a path, as far as the kernel knows it.
///
/// # Safety
/// Makes plain system calls; may be called between fork and exec.
pub(super) unsafe fn allow(ruleset: RawFd, path: &CStr, access: u64) -> io::Result<()> {
    /// `LANDLOCK_RULE_PATH_BENEATH`.
    const PATH_BENEATH: libc::c_int = 1;
    // Those of the fifth version, of the two before it, and of the first.
    const KNOWN: [u64; 4] = [0xffff, 0x7fff, 0x3fff, 0x1fff];
    // SAFETY: the structure lives on this stack and is what the kernel expects.
    unsafe {
        let parent = libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        check(parent)?;
        let mut result = -1;
        for known in KNOWN {
            let beneath = Beneath { access: access & known, parent };
            result = libc::syscall(libc::SYS_landlock_add_rule, ruleset, PATH_BENEATH, std::ptr::from_ref(&beneath), 0);
            if result == 0 {
                break;
            }
        }
        let result = check_long(result).map(drop);
        libc::close(parent);
        result
    }
}

/// Restricts the calling thread to a set of rules.
///
/// # Safety
/// Makes plain system calls; may be called between fork and exec. `PR_SET_NO_NEW_PRIVS` must be set.
pub(super) unsafe fn restrict(ruleset: RawFd) -> io::Result<()> {
    // SAFETY: a plain system call.
    check_long(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) }).map(drop)
}
