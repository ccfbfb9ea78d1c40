//! Filters of system calls: what a program that trains, compiles or measures never needs.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::call::check_long;

/// A program for the kernel.
#[derive(Debug)]
pub(super) struct Filter(BpfProgram);

/// Calls that change the machine, look into other processes, or reach parts of the kernel that have little to do with a program's
/// work and much with the ways out of it.
const DENIED: &[libc::c_long] = &[
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
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // The clock.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

/// Namespaces that `clone` could make.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWCGROUP,
];
/// Calls on a process, each with the place of that process among its arguments. Landlock knows nothing of them: they would set the
/// limits of the lab, or slow another trial down. 0 is the caller itself.
const ON_PROCESSES: &[(libc::c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
];
/// Writing into the input of a terminal.
const INTO_TERMINALS: [u64; 2] = [libc::TIOCSTI, 0x541C];

/// Filters for a command. With `network` it may make sockets of the internet, in whatever network its namespace has.
#[allow(clippy::useless_conversion, reason = "a `c_long` has 32 bits on other systems")]
pub(super) fn filters(network: bool) -> io::Result<Vec<Filter>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(failed)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|call| (i64::from(*call), Vec::new())).collect();
    let mut families = vec![libc::AF_UNIX];
    if network {
        families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    let others = families.iter().map(|family| condition(0, Compare::Ne, *family as u64));
    let mut sockets = vec![rule(others.collect::<io::Result<_>>()?)?];
    // Of the kernel's own sockets those alone that tell of addresses and devices.
    let is_kernels = condition(0, Compare::Eq, libc::AF_NETLINK as u64)?;
    sockets.push(rule(vec![is_kernels, condition(2, Compare::Ne, libc::NETLINK_ROUTE as u64)?])?);
    rules.insert(i64::from(libc::SYS_socket), sockets);
    let mut clones = Vec::new();
    for flag in NAMESPACES.map(|flag| flag as u32 as u64) {
        clones.push(rule(vec![condition(0, Compare::MaskedEq(flag), flag)?])?);
    }
    rules.insert(i64::from(libc::SYS_clone), clones);
    let mut controls = Vec::new();
    for request in INTO_TERMINALS {
        controls.push(rule(vec![condition(1, Compare::Eq, request)?])?);
    }
    rules.insert(i64::from(libc::SYS_ioctl), controls);
    for (call, process) in ON_PROCESSES {
        rules.insert(i64::from(*call), vec![rule(vec![condition(*process, Compare::Ne, 0)?])?]);
    }
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let denied = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).map_err(failed)?;
    // Its flags lie in memory, where no filter can look: the C library falls back to `clone`.
    let absent = BTreeMap::from([(i64::from(libc::SYS_clone3), Vec::new())]);
    let absent = SeccompFilter::new(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch);
    let programs =
        [denied, absent.map_err(failed)?].map(|filter| BpfProgram::try_from(filter).map(Filter).map_err(failed));
    let mut filters = programs.into_iter().collect::<io::Result<Vec<_>>>()?;
    filters.extend(other_numbers());
    Ok(filters)
}

/// On x86-64 every call has a second number, in the interface called x32, by which it would pass the other filters.
fn other_numbers() -> Option<Filter> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let step = |code: u32, jt, jf, k| seccompiler::sock_filter { code: code as u16, jt, jf, k };
    Some(Filter(vec![
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, 0x4000_0000),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]))
}

fn condition(argument: u8, compare: Compare, value: u64) -> io::Result<Condition> {
    Condition::new(argument, Length::Dword, compare, value).map_err(failed)
}

fn rule(conditions: Vec<Condition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Filter {
    /// Installs the filter in the calling thread, for ever.
    ///
    /// # Safety
    /// Makes plain system calls; may be called between fork and exec. `PR_SET_NO_NEW_PRIVS` must be set.
    pub(super) unsafe fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut().cast() };
        // SAFETY: the program outlives the call, which copies it.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program)) };
        check_long(result).map(drop)
    }
}
