//! Filters of system calls: those by which a server could reach another process, or leave something for the next one.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// A program for the kernel.
#[derive(Debug)]
pub(super) struct Filter(BpfProgram);

const DENIED: &[libc::c_long] = &[
    // Sockets.
    libc::SYS_socket,
    libc::SYS_socketpair,
    // What outlives a process: attributes of files, locks, and objects that have names.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_flock,
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_inotify_init1,
    libc::SYS_fanotify_init,
    // Which pages of a file are in memory, which an earlier process decides.
    libc::SYS_mincore,
    libc::SYS_preadv2,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // By numbers, since the C library has no names for them: cachestat, fchmodat2, setxattrat, removexattrat.
    451,
    452,
    463,
    466,
];

/// Older forms of the same calls, which this machine still has.
#[cfg(target_arch = "x86_64")]
const DENIED_THERE: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_inotify_init,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_THERE: &[libc::c_long] = &[];

/// Calls whose first argument is a process, of which 0 is the own one.
const OWN_ALONE: [libc::c_long; 3] = [libc::SYS_prlimit64, libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler];
/// Locks, leases and notices of files.
const CONTROLS: [libc::c_int; 6] =
    [libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_SETLK, libc::F_OFD_SETLKW, libc::F_SETLEASE, libc::F_NOTIFY];

impl Filter {
    /// All filters.
    #[allow(clippy::useless_conversion, reason = "a `c_long` has 32 bits on other systems")]
    pub(super) fn all() -> io::Result<Vec<Filter>> {
        let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(failed)?;
        let always = DENIED.iter().chain(DENIED_THERE).map(|call| (i64::from(*call), Vec::new()));
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = always.collect();
        let is_other = || rule(0, Compare::Ne, 0);
        for call in OWN_ALONE {
            rules.insert(i64::from(call), vec![is_other()?]);
        }
        let controls = CONTROLS.iter().map(|control| rule(1, Compare::Eq, *control as u64));
        rules.insert(i64::from(libc::SYS_fcntl), controls.collect::<io::Result<_>>()?);
        // Threads, and no processes: nothing is left of a server that is killed.
        let thread = libc::CLONE_THREAD as u64;
        rules.insert(i64::from(libc::SYS_clone), vec![rule(0, Compare::MaskedEq(thread), 0)?]);
        let denied = program(rules, libc::EPERM, arch)?;
        // Its flags lie in memory, where no filter can look: the C library falls back to `clone`.
        let absent = program(BTreeMap::from([(i64::from(libc::SYS_clone3), Vec::new())]), libc::ENOSYS, arch)?;
        Ok([denied, absent].into_iter().chain(second_numbers()).collect())
    }

    /// Installs the filter in the calling thread, for ever.
    ///
    /// # Safety
    ///
    /// Makes plain system calls; may be called between fork and exec. `PR_SET_NO_NEW_PRIVS` must be set.
    pub(super) unsafe fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut().cast() };
        // SAFETY: the program outlives the call, which copies it.
        check(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program))
        })
    }
}

fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, error: libc::c_int, arch: TargetArch) -> io::Result<Filter> {
    let denied = SeccompAction::Errno(error as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).map_err(failed)?;
    BpfProgram::try_from(filter).map(Filter).map_err(failed)
}

fn rule(argument: u8, compare: Compare, value: u64) -> io::Result<SeccompRule> {
    let condition = Condition::new(argument, Length::Dword, compare, value).map_err(failed)?;
    SeccompRule::new(vec![condition]).map_err(failed)
}

/// The interface called x32 gives each call of x86-64 a second number, which the other filters do not know.
fn second_numbers() -> Option<Filter> {
    let step = |code: u32, jt, jf, k| seccompiler::sock_filter { code: code as u16, jt, jf, k };
    cfg!(target_arch = "x86_64").then(|| {
        Filter(vec![
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, 0x4000_0000),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ])
    })
}

/// The error of a call that returned a negative number.
pub(super) fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}
