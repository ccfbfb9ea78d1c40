//! Landlock for files and other processes, filters of system calls for the rest.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope, path_beneath_rules,
};

use super::calls::{Filter, check};

/// The oldest interface that keeps files from being cut.
const LEAST: ABI = ABI::V3;
/// The newest that this file knows: with controls of devices, and the scopes of signals and sockets.
const NEWEST: ABI = ABI::V6;
/// Beginnings of the names of GPUs' devices: NVIDIA's, AMD's, and those of a Linux within Windows.
const GPUS: &[&str] = &["nvidia", "dri", "kfd", "dxg"];
/// Devices that a server uses.
const DEVICES: &[&str] = &["null", "zero", "random", "urandom"];

/// Walls that are ready to be entered.
#[derive(Debug)]
pub struct Walls {
    files: OwnedFd,
    filters: Vec<Filter>,
    evaluation: libc::pid_t,
}

impl Walls {
    /// Prepares walls in which the files and folders of `read` can be read and executed, and nothing can be written.
    ///
    /// # Errors
    ///
    /// The kernel lacks what they are made of.
    pub fn new(read: &[PathBuf]) -> io::Result<Walls> {
        let lacks = |error: landlock::RulesetError| {
            io::Error::new(io::ErrorKind::Unsupported, format!("Landlock 3, which came with Linux 6.2: {error}"))
        };
        let (gpus, devices) = devices();
        let created = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))
            .map(|rules| rules.set_compatibility(CompatLevel::BestEffort))
            .and_then(|rules| rules.handle_access(AccessFs::from_all(NEWEST)))
            .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rules(path_beneath_rules(read, AccessFs::from_read(NEWEST))))
            .and_then(|rules| rules.add_rules(path_beneath_rules(devices.iter().chain(&gpus), device())))
            .and_then(|rules| if gpus.is_empty() { Ok(rules) } else { own_threads(rules) })
            .map_err(lacks)?;
        let files = Option::<OwnedFd>::from(created);
        let files =
            files.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "Landlock, which is switched off"))?;
        Ok(Walls { files, filters: Filter::all()?, evaluation: libc::pid_t::try_from(std::process::id()).unwrap_or(0) })
    }

    /// Puts the calling process behind the walls, for ever: it keeps `descriptors` and the three standard streams, and ends when
    /// the evaluation does.
    ///
    /// # Safety
    ///
    /// Makes plain system calls; to be called between fork and exec.
    pub(crate) unsafe fn enter(&self, descriptors: &[i32]) -> io::Result<()> {
        // SAFETY: plain system calls, on memory that lives in `self` or on this stack.
        unsafe {
            check(libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC))?;
            for descriptor in descriptors {
                check(libc::fcntl(*descriptor, libc::F_SETFD, 0).into())?;
            }
            drop_capabilities();
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL).into())?;
            if libc::getppid() != self.evaluation {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            check(libc::syscall(libc::SYS_landlock_restrict_self, self.files.as_raw_fd(), 0))?;
            self.filters.iter().try_for_each(|filter| filter.install())
        }
    }
}

fn device() -> BitFlags<AccessFs> {
    AccessFs::from_file(NEWEST) | AccessFs::ReadDir
}

/// The devices of GPUs, and the others.
fn devices() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let is_gpu = |name: &OsStr| name.to_str().is_some_and(|name| GPUS.iter().any(|gpu| name.starts_with(gpu)));
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let gpus = entries.filter(|entry| is_gpu(&entry.file_name())).map(|entry| entry.path()).collect();
    let named = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    (gpus, named.filter(|path| path.exists()).collect())
}

/// CUDA names its threads by files of the process. Root could write the kernel's settings by the same rule, and gets none.
fn own_threads(rules: RulesetCreated) -> Result<RulesetCreated, landlock::RulesetError> {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    match PathFd::new("/proc") {
        Ok(processes) if !is_root => rules.add_rule(PathBeneath::new(processes, AccessFs::WriteFile)),
        _ => Ok(rules),
    }
}

/// Gives up all capabilities; a process that had none keeps none.
unsafe fn drop_capabilities() {
    /// `_LINUX_CAPABILITY_VERSION_3`, of two words for each of the three sets.
    const VERSION: u32 = 0x2008_0522;
    let (header, none) = ([VERSION, 0], [0u32; 6]);
    // SAFETY: the arrays live on this stack and are as large as the kernel expects.
    unsafe {
        for capability in 0..64 as libc::c_ulong {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr());
    }
}
