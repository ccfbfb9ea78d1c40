//! Attacks on the kernel, its settings and its clock. Each asks for what it must not have, and uses none of it.

use super::attack::Proof::Ends;
use super::attack::{Attack, CALLS, Defence, FILES, sometimes};

const PERL: &str = "perl -e 'exit(!time)'";
const OWN: &str = "mkdir -p a/b && echo x > a/b/c && cat a/b/c";
const SETTINGS: &str = "cat /proc/cpuinfo /proc/meminfo > /dev/null && test -d /sys/devices/system/cpu";
const FEATURE: Defence = Defence::Walls(&["system calls"]);

pub(super) const TABLE: &[Attack] = &[
    sometimes("makes namespaces", Ends, CALLS, "unshare --user true || unshare --mount true", "bash -c true"),
    sometimes(
        "enters the namespaces of another process",
        Ends,
        CALLS,
        "nsenter --target $VICTIM --uts true",
        "bash -c true",
    ),
    sometimes("shows itself the user's folder", Ends, CALLS, "mkdir m && mount --bind $U m && umount m", OWN),
    sometimes("changes its root", Ends, CALLS, "perl -e 'chroot(\".\") or exit 1'", OWN),
    sometimes("makes a device", Ends, CALLS, "mknod d c 1 3", "mkfifo d"),
    sometimes("opens a setting of the kernel", Ends, FILES, ": >> /proc/sys/kernel/core_pattern", SETTINGS),
    sometimes("opens the kernel's switch for a restart", Ends, FILES, ": >> /proc/sysrq-trigger", SETTINGS),
    sometimes(
        "opens a setting of the memory",
        Ends,
        FILES,
        ": >> /sys/kernel/mm/transparent_hugepage/enabled",
        SETTINGS,
    ),
    sometimes(
        "leaves its group of processes",
        Ends,
        FILES,
        "for f in $(find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs); do : >> $f && exit 0; done; exit 1",
        SETTINGS,
    ),
    sometimes(
        "opens a device of the disk",
        Ends,
        FILES,
        "test -n \"$(ls /dev | grep -E '^(vd|sd|nvme|loop|mem|kmsg|fuse|kvm)')\"",
        "echo x > /dev/null && head -c 8 /dev/urandom > /dev/null && head -c 8 /dev/zero > /dev/null",
    ),
    sometimes(
        "has a capability",
        Ends,
        Defence::Walls(&["capabilities"]),
        "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status",
        "grep -q '^CapEff:' /proc/self/status",
    ),
    sometimes(
        "gets a new one by a program",
        Ends,
        Defence::Walls(&["capabilities"]),
        "grep -q '^NoNewPrivs:.*0' /proc/self/status",
        "grep -q '^NoNewPrivs:' /proc/self/status",
    ),
    sometimes(
        "filters the network by the kernel's machine",
        Ends,
        FEATURE,
        "perl -e 'exit(syscall($ENV{SYS_BPF} + 0, 0, 0, 0) < 0 && $!{EPERM})'",
        PERL,
    ),
    sometimes(
        "uses the ring of io_uring",
        Ends,
        FEATURE,
        "perl -MErrno -e '$p = \"\\0\" x 120; $r = syscall($ENV{SYS_URING} + 0, 4, $p); exit($r < 0 && ($!{EPERM} || $!{ENOSYS}))'",
        PERL,
    ),
    sometimes(
        "handles faults of the memory itself",
        Ends,
        FEATURE,
        "perl -e 'exit(syscall($ENV{SYS_UFFD} + 0, 1) < 0)'",
        PERL,
    ),
    sometimes(
        "counts the events of the processor",
        Ends,
        FEATURE,
        "perl -e '$a = pack(\"LLQ\", 1, 112, 0) . \"\\0\" x 96; exit(syscall($ENV{SYS_PERF} + 0, $a, 0, -1, -1, 0) < 0 && ($!{EPERM} || $!{EACCES} || $!{ENOSYS}))'",
        PERL,
    ),
    sometimes(
        "loads a module of the kernel",
        Ends,
        CALLS,
        "perl -e '$e = \"\"; exit(syscall($ENV{SYS_MODULE} + 0, $e, 0, $e) < 0 && ($!{EPERM} || $!{ENOSYS}))'",
        PERL,
    ),
    sometimes(
        "restarts the machine",
        Ends,
        CALLS,
        "perl -e 'exit(syscall($ENV{SYS_REBOOT} + 0, 0, 0, 0, 0) < 0 && !$!{EINVAL})'",
        PERL,
    ),
    sometimes(
        "reads the kernel's messages",
        Ends,
        CALLS,
        "perl -e 'exit(syscall($ENV{SYS_SYSLOG} + 0, 10, 0, 0) < 0)'",
        PERL,
    ),
    sometimes(
        "leaves a key with the kernel",
        Ends,
        FEATURE,
        "perl -e '($t, $n, $x) = qw(user autoresearch x); exit(syscall($ENV{SYS_ADD_KEY} + 0, $t, $n, $x, 1, -2) < 0)'",
        PERL,
    ),
    sometimes(
        "sets the machine's clock",
        Ends,
        CALLS,
        // The length of a tick, to what it is.
        "perl -e '$t = \"\\0\" x 208; $c = $ENV{SYS_ADJTIMEX} + 0; syscall($c, $t); substr($t, 0, 4) = pack(\"L\", 0x4000); exit(syscall($c, $t) < 0)'",
        "perl -e 'exit(time - time)'",
    ),
];
