//! Attacks on other processes, and processes that do not end.

use super::attack::Proof::{Ends, Overruns, Survives};
use super::attack::{Attack, Defence, OTHERS, attack, sometimes};

const SIGNAL: &str = "sleep 30 & kill $! && ! wait $!";
const SELF: &str = "cat /proc/self/status > /dev/null && ls /proc/self/fd > /dev/null";
const PERL: &str = "perl -e 'exit($$ == getppid)'";
const PROCESSES: Defence = Defence::Walls(&["process namespace"]);
const SIGNALS: Defence = Defence::Walls(&["other processes", "process namespace"]);
const CALLS: Defence = Defence::Walls(&["system calls", "process namespace"]);
const TREE: Defence = Defence::Always("the tree of processes ends with its trial");
const LIMIT: Defence = Defence::Always("the supervisor keeps the limit");

pub(super) const TABLE: &[Attack] = &[
    attack(
        "reads another process's environment",
        Ends,
        OTHERS,
        "tr '\\0' '\\n' < /proc/$VICTIM/environ | grep -q 1234",
        "tr '\\0' '\\n' < /proc/$$/environ | grep -q '^PATH='",
    ),
    attack(
        "reads the environment of its supervisor",
        Ends,
        Defence::Always("the supervisor wipes it"),
        "tr '\\0' '\\n' < /proc/$PPID/environ | grep -q '^PATH='",
        "tr '\\0' '\\n' < /proc/$$/environ | grep -q '^PATH='",
    ),
    sometimes(
        "reads the environment of the lab",
        Ends,
        OTHERS,
        "lab=$(sed 's/.*) . //; s/ .*//' /proc/$PPID/stat); tr '\\0' '\\n' < /proc/$lab/environ | grep -q '^PATH='",
        SELF,
    ),
    sometimes("reads another process's memory", Ends, OTHERS, "exec 3< /proc/$VICTIM/mem", "exec 3< /proc/self/mem"),
    sometimes(
        "reads it by a call",
        Ends,
        OTHERS,
        "perl -e '$b = \"\\0\" x 8; $l = pack(\"PQ\", $b, 8); $r = pack(\"QQ\", 1, 8); \
         syscall($ENV{SYS_READV} + 0, $ENV{VICTIM} + 0, $l, 1, $r, 1, 0); exit(!$!{EFAULT})'",
        PERL,
    ),
    attack(
        "looks into another process's files",
        Ends,
        OTHERS,
        "readlink /proc/$VICTIM/fd/1",
        "readlink /proc/self/fd/1",
    ),
    sometimes(
        "takes a descriptor of another process",
        Ends,
        CALLS,
        "perl -e '$p = syscall($ENV{SYS_PIDFD} + 0, $ENV{VICTIM} + 0, 0); exit(syscall($ENV{SYS_GETFD} + 0, $p, 1, 0) < 0)'",
        PERL,
    ),
    attack(
        "has a descriptor of the lab",
        Ends,
        Defence::Always("none is inherited"),
        "for n in $(ls /proc/$$/fd); do test $n -gt 2 && test $n -ne 255 && readlink /proc/$$/fd/$n && exit 0; done; exit 1",
        "exec 3< run.sh && readlink /proc/$$/fd/3",
    ),
    attack("kills another process", Ends, SIGNALS, "kill -0 $VICTIM", SIGNAL),
    sometimes(
        "traces another process",
        Ends,
        OTHERS,
        "perl -e 'exit(syscall($ENV{SYS_PTRACE} + 0, 16, $ENV{VICTIM} + 0, 0, 0) < 0)'; code=$?; kill -CONT $VICTIM; exit $code",
        PERL,
    ),
    attack(
        "sets limits on another process",
        Ends,
        CALLS,
        "perl -e '$o = \"\\0\" x 16; $c = $ENV{SYS_PRLIMIT} + 0; $v = $ENV{VICTIM} + 0; \
         syscall($c, $v, 4, 0, $o); exit(syscall($c, $v, 4, $o, 0) < 0)'",
        "ulimit -S -c 0 && perl -e '$o = \"\\0\" x 16; $c = $ENV{SYS_PRLIMIT} + 0; syscall($c, 0, 4, 0, $o); exit(syscall($c, 0, 4, $o, 0) < 0)'",
    ),
    attack(
        "slows another process down",
        Ends,
        CALLS,
        "perl -e 'setpriority(0, $ENV{VICTIM}, 5) or exit 1'",
        "perl -e 'setpriority(0, 0, 5) or exit 1'",
    ),
    attack(
        "moves another process to other processors",
        Ends,
        PROCESSES,
        "perl -e '$m = \"\\0\" x 128; $v = $ENV{VICTIM} + 0; syscall($ENV{SYS_GETAFF} + 0, $v, 128, $m); exit(syscall($ENV{SYS_SETAFF} + 0, $v, 128, $m) < 0)'",
        "perl -e '$m = \"\\0\" x 128; syscall($ENV{SYS_GETAFF} + 0, 0, 128, $m); exit(syscall($ENV{SYS_SETAFF} + 0, 0, 128, $m) < 0)'",
    ),
    attack(
        "lists processes with their command lines",
        Ends,
        PROCESSES,
        "tr '\\0' ' ' < /proc/$VICTIM/cmdline | grep -q sleep",
        SELF,
    ),
    sometimes(
        "opens the user's terminal",
        Ends,
        Defence::Always("a session of its own"),
        "exec 3<> /dev/tty",
        "echo x > /dev/null",
    ),
    attack("stops its supervisor and goes on", Overruns, SIGNALS, "kill -STOP $PPID; sleep 20", SIGNAL),
    attack(
        "kills its supervisor and goes on",
        Survives,
        TREE,
        "setsid sleep 60.$NUMBER < /dev/null > /dev/null 2>&1 & sleep 0.2; kill -9 $PPID; sleep 20",
        SIGNAL,
    ),
    attack(
        "kills its supervisor and goes on without an environment",
        Survives,
        SIGNALS,
        // Once it has thrown its environment away. The first argument is compared alone: grep ends lines at zeros, too.
        "setsid env -i sleep 60.$NUMBER < /dev/null > /dev/null 2>&1 & \
         for i in $(seq 100); do read -rd '' name 2> /dev/null < /proc/$!/cmdline; [ \"$name\" = sleep ] && break; sleep 0.05; done; \
         kill -9 $PPID; sleep 20",
        SIGNAL,
    ),
    attack(
        "ignores signals and goes on",
        Overruns,
        LIMIT,
        "trap '' TERM INT HUP QUIT USR1; while :; do sleep 0.2; done",
        "trap '' TERM; sleep 0.1",
    ),
    attack(
        "works on before it prints anything",
        Overruns,
        LIMIT,
        "sleep 15; echo score: 9",
        "sleep 0.1; echo score: 1",
    ),
    attack("leaves a daemon", Survives, TREE, "setsid sleep 60.$NUMBER > /dev/null 2>&1 < /dev/null & exit 0", SIGNAL),
    attack(
        "leaves a daemon without a name or an environment",
        Survives,
        TREE,
        "(setsid env -i bash -c \"(exec -a init-$MARK sleep 60) & exit\" > /dev/null 2>&1 < /dev/null &) ; sleep 0.1",
        "(env -i sleep 0.1 &); wait",
    ),
    attack("leaves a daemon that holds its output", Survives, TREE, "setsid sleep 60.$NUMBER & exit 0", SIGNAL),
    attack(
        "forks two hundred times",
        Survives,
        TREE,
        "for i in $(seq 200); do sleep 60.$NUMBER & done > /dev/null 2>&1; exit 0",
        "for i in 1 2 3 4; do sleep 0.1 & done; wait",
    ),
    attack(
        "forks on when it is killed",
        Survives,
        TREE,
        "again() { trap 'again & ' TERM; sleep 60.$NUMBER & wait; }; again & again & sleep 0.3; exit 3",
        SIGNAL,
    ),
];
