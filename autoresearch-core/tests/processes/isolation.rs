//! Attempts of a candidate, without walls and behind them: each succeeds without, so that it can fail.
#![cfg(target_os = "linux")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::internal::isolation::{Isolation, IsolationLevel};
use autoresearch_core::testkit::conformance::{self, ExecutorCase};
use autoresearch_core::*;
use autoresearch_core::{Executor, Job, JobName, LocalExecutor, Provision, Tree};

/// A user's folder, beside the slot of a candidate.
struct Machine {
    folder: tempfile::TempDir,
    victim: std::process::Child,
    listener: std::net::TcpListener,
    _socket: std::os::unix::net::UnixListener,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("user")).unwrap();
        for (name, text) in [("secret", "the key is 1234\n"), ("train.py", "print(1)\n"), ("journal.jsonl", "{}\n")] {
            std::fs::write(folder.path().join("user").join(name), text).unwrap();
        }
        // With a secret in its environment, as a lab has it.
        let victim =
            Command::new("sleep").arg("600").env("LAB_API_KEY", "the key is 1234").stdout(Stdio::null()).spawn();
        let socket = std::os::unix::net::UnixListener::bind(folder.path().join("user/service.sock")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Machine { victim: victim.unwrap(), listener, _socket: socket, folder }
    }

    fn user(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// The user's files with their contents, modes and times.
    fn snapshot(&self) -> Vec<(PathBuf, Option<Vec<u8>>, u32, i64)> {
        let entries = std::fs::read_dir(self.user()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries
            .map(|path| {
                let kept = std::fs::symlink_metadata(&path).unwrap();
                (path.clone(), std::fs::read(&path).ok(), kept.mode(), kept.mtime())
            })
            .collect();
        found.sort();
        found
    }

    /// Runs a shell script as a candidate; it knows where everything is.
    async fn tries(&self, script: &str, isolation: Isolation) -> Outcome {
        let slot = self.folder.path().join("slots/0");
        let executor = LocalExecutor::new([slot], self.folder.path().join("logs")).isolated(isolation);
        let tree = Tree::new([("run.sh", script.to_owned())]).unwrap();
        let argv = ["bash", "run.sh"].map(str::to_owned).to_vec();
        let mut job = Job::new(JobName::new("t", "1"), tree, argv, Duration::from_secs(30));
        // As names alone, which are no permission.
        job.run.environment = vec![
            ("PORT".into(), self.listener.local_addr().unwrap().port().to_string().into()),
            ("VICTIM".into(), self.victim.id().to_string().into()),
            ("USERS".into(), format!(":{}", self.user().display()).into()),
        ];
        job.provisions = vec![Provision::link(self.user().join("train.py"), "train.py")];
        executor.run(&job, &Cancel::new()).await.unwrap()
    }
}

/// The attempts: a name, and a script that ends with 0 if it succeeded.
const ATTEMPTS: &[(&str, &str)] = &[
    ("reads a file of the user", "grep -q 1234 $U/secret"),
    ("reads it through a link", "ln -s $U/secret mine; grep -q 1234 mine"),
    ("reads it through a hard link", "ln $U/secret mine && grep -q 1234 mine"),
    ("sees that it is there", "test -e $U/secret"),
    ("lists the user's folder", "ls $U | grep -q secret"),
    ("changes the user's program", "echo 'print(0)' > $U/train.py"),
    ("changes a file that it is given by a link", "echo 'print(0)' > train.py"),
    ("replaces the user's program", "echo x > new; mv new $U/train.py"),
    ("removes the user's program", "rm $U/train.py"),
    ("writes a line into the journal", "echo '{\"forged\": true}' >> $U/journal.jsonl"),
    (
        "truncates the journal",
        "truncate -s 1 $U/journal.jsonl || perl -e 'truncate($ARGV[0], 1) or die' $U/journal.jsonl",
    ),
    ("makes a file in the user's folder", "touch $U/new"),
    ("changes modes", "chmod 777 $U/secret"),
    ("changes times", "touch -d 2001-01-01 $U/secret"),
    ("reads another process's environment", "tr '\\0' '\\n' < /proc/$VICTIM/environ | grep -q 1234"),
    ("reads another process's memory", "exec 3< /proc/$VICTIM/mem"),
    ("looks into another process's files", "readlink /proc/$VICTIM/fd/1"),
    ("kills another process", "kill -0 $VICTIM"),
    (
        "traces another process",
        "perl -e 'exit(syscall(101, 16, $ENV{VICTIM} + 0, 0, 0) < 0)'; code=$?; kill -CONT $VICTIM; exit $code",
    ),
    ("reaches a server of this machine", "exec 3<>/dev/tcp/127.0.0.1/$PORT"),
    (
        "reaches a service by its socket",
        "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($ARGV[0])) or exit 1' $U/service.sock",
    ),
    (
        "leaves something in /tmp",
        "echo x > /tmp/autoresearch-left-$VICTIM; sleep 0; test -e /tmp/autoresearch-left-$VICTIM && echo LEFT",
    ),
    ("leaves something in /dev/shm", "echo x > /dev/shm/autoresearch-left-$VICTIM && echo LEFT"),
    ("leaves something at home", "echo x > ~/.autoresearch-left-$VICTIM && echo LEFT"),
    ("makes namespaces", "unshare --user true || unshare --mount true"),
    ("opens a setting of the kernel", ": >> /proc/sys/kernel/core_pattern"),
    ("opens a device of the disk", "test -n \"$(ls /dev | grep -E '^(vd|sd|nvme|loop|mem|kmsg|fuse|kvm)')\""),
    ("reads the machine's passwords", "test -r /etc/shadow"),
    ("has a capability", "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status"),
    ("gets a new one by a program", "grep -q '^NoNewPrivs:.*0' /proc/self/status"),
    ("speaks to the kernel's network", "perl -e 'use Socket; socket(S, 16, SOCK_RAW, 15) or exit 1'"),
    ("makes a raw socket", "perl -MSocket -e 'socket(S, PF_INET, SOCK_RAW, 1) or exit 1'"),
    ("filters the network by the kernel's machine", "perl -e 'exit(syscall(321, 0, 0, 0) < 0 && $!{EPERM})'"),
    (
        "uses the ring of io_uring",
        "perl -MErrno -e '$p = \"\\0\" x 120; $r = syscall(425, 4, $p); exit($r < 0 && ($!{EPERM} || $!{ENOSYS}))'",
    ),
];

/// Those that succeeded if the user's folder is not as it was.
const CHANGES: &[&str] = &[
    "changes the user's program",
    "changes a file that it is given by a link",
    "replaces the user's program",
    "removes the user's program",
    "writes a line into the journal",
    "truncates the journal",
    "makes a file in the user's folder",
    "changes modes",
    "changes times",
];

/// Those that do not succeed on every machine without walls, for want of a right or a program.
const SOMETIMES: &[&str] = &[
    "reads it through a hard link",
    "makes namespaces",
    "opens a setting of the kernel",
    "opens a device of the disk",
    "reads the machine's passwords",
    "has a capability",
    "reads another process's memory",
    "traces another process",
    "speaks to the kernel's network",
    "makes a raw socket",
    "filters the network by the kernel's machine",
    "uses the ring of io_uring",
];

#[tokio::test]
async fn what_a_candidate_may_do_without_walls_fails_behind_them() {
    let enforcement = Isolation::best_effort().enforcement();
    eprintln!("{enforcement}");
    let (mut open, mut closed, mut idle) = (Vec::new(), Vec::new(), 0);
    for (name, script) in ATTEMPTS {
        for isolation in [Isolation::default(), Isolation::best_effort()] {
            let machine = Machine::new();
            let is_isolated = isolation.level != IsolationLevel::None;
            let script = format!("U=${{USERS#:}}\n{script}");
            let before = machine.snapshot();
            let outcome = machine.tries(&script, isolation).await;
            let text = outcome.log().tail.clone();
            let mut succeeded = matches!(outcome, Outcome::Completed(_));
            // What nobody finds afterwards was not left, and what is as it was has not been changed.
            if succeeded && text.contains("LEFT") {
                succeeded = left(&machine);
            } else if succeeded && CHANGES.contains(name) {
                succeeded = machine.snapshot() != before;
            }
            match (is_isolated, succeeded) {
                (true, true) => open.push(format!("{name}: {text}")),
                (false, false) => {
                    idle += 1;
                    eprintln!("not possible here without walls either: {name}: {text}");
                    if !SOMETIMES.contains(name) {
                        closed.push(format!("{name}: {text}"));
                    }
                }
                _ => {}
            }
        }
    }
    println!("evidence attempts tried {} open {} idle {}", ATTEMPTS.len(), open.len(), idle);
    assert!(closed.is_empty(), "without walls these fail, too: {}", closed.join("\n"));
    assert!(open.is_empty() || !enforcement.is_full() && !has_all(&enforcement), "behind walls: {}", open.join("\n"));
}

/// True if the kernel has all that matters here, whoever runs the lab.
fn has_all(enforcement: &autoresearch_core::internal::isolation::Enforcement) -> bool {
    enforcement.missing().all(|protection| protection.name == "user")
}

/// Finds, and removes, what a candidate left outside of its folders.
fn left(machine: &Machine) -> bool {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let name = format!("autoresearch-left-{}", machine.victim.id());
    let places = [Path::new("/tmp").join(&name), Path::new("/dev/shm").join(&name), home.join(format!(".{name}"))];
    places.iter().filter(|place| std::fs::remove_file(place).is_ok()).count() > 0
}

/// Work that a candidate does: a name, and a script that ends with 0 if it could.
const WORK: &[(&str, &str)] = &[
    (
        "reads and writes its own files",
        "echo 1 > a && mkdir -p b/c && mv a b/c/ && cat b/c/a && rm -r b && ln -s run.sh link && cat link",
    ),
    ("uses temporary files", "f=$(mktemp) && echo x > $f && test -s $f && case $f in $TMPDIR/*) ;; *) false ;; esac"),
    ("has a home", "cd ~ && echo x > .profile && test -d \"$HOME\""),
    ("has /tmp and /dev/shm of its own", "echo x > /tmp/x && echo x > /dev/shm/x && cat /tmp/x /dev/shm/x"),
    ("uses devices", "echo x > /dev/null && head -c 8 /dev/urandom | wc -c && head -c 8 /dev/zero | wc -c"),
    ("starts processes that speak to each other", "echo x | (read a; echo $a) && sleep 0 & wait"),
    ("signals its own processes", "sleep 30 & kill $! && ! wait $!"),
    ("reads what it is given by a link", "cat train.py"),
    (
        "looks at itself and at the machine",
        "cat /proc/self/status /proc/cpuinfo /proc/meminfo > /dev/null && test -d /sys/devices/system/cpu",
    ),
    ("compiles and runs C", "echo 'int main(void){return 0;}' > a.c && cc -o a a.c && ./a"),
    ("runs perl and awk", "perl -e 'print 1' && awk 'BEGIN { print 1 }'"),
    (
        "shares memory between processes of Python",
        "command -v python3 > /dev/null || exit 0\npython3 - <<'P'\nimport multiprocessing, threading\n\
         if __name__ == '__main__':\n    lock = multiprocessing.Lock()\n    value = multiprocessing.Value('i', 0)\n    \
         context = multiprocessing.get_context('fork')\n    p = context.Process(target=lambda: None); p.start(); p.join()\n    \
         t = threading.Thread(target=lambda: None); t.start(); t.join()\nP",
    ),
    (
        "has a loopback device, or no network at all",
        "perl -MSocket -e 'socket(L, PF_INET, SOCK_STREAM, 0) or exit 0; bind(L, sockaddr_in(0, INADDR_LOOPBACK)) or die; listen(L, 1); \
         ($p) = sockaddr_in(getsockname(L)); socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in($p, INADDR_LOOPBACK)) or die'",
    ),
];

#[tokio::test]
async fn honest_work_goes_on_behind_walls() {
    let mut failed = Vec::new();
    for (name, script) in WORK {
        let machine = Machine::new();
        let outcome = machine.tries(&format!("set -e\n{script}"), Isolation::best_effort()).await;
        if !matches!(outcome, Outcome::Completed(_)) {
            failed.push(format!("{name}: {}\n{}", outcome.describe(), outcome.log().tail));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[tokio::test]
async fn a_crate_is_built_behind_walls_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    let files = [("Cargo.toml", manifest), ("src/main.rs", "fn main() { println!(\"score: 3\"); }\n")];
    let executor = LocalExecutor::new([folder.path().join("slot")], folder.path().join("logs"));
    let argv = ["cargo", "run", "--offline", "-q"].map(str::to_owned).to_vec();
    let job = Job::new(JobName::new("t", "1"), Tree::new(files).unwrap(), argv, Duration::from_secs(100));
    let outcome = executor.isolated(Isolation::best_effort()).run(&job, &Cancel::new()).await.unwrap();
    assert!(matches!(&outcome, Outcome::Completed(log) if log.tail.contains("score: 3")), "{outcome:?}");
}

#[tokio::test]
async fn the_local_executor_keeps_its_contract_behind_walls() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let place = folder.path().to_owned();
    let of_case = shared.clone();
    let make = move || {
        let slots = [place.join("slots/0"), place.join("slots/1")];
        let isolation = Isolation::best_effort().write(&of_case);
        Arc::new(LocalExecutor::new(slots, place.join("logs")).isolated(isolation)) as Arc<dyn Executor>
    };
    conformance::executor(&ExecutorCase { make: Box::new(make), shared, outlives: false }).await;
}

#[tokio::test]
async fn strict_isolation_runs_nothing_without_all_protections() {
    let machine = Machine::new();
    let strict = Isolation::strict();
    let enforcement = strict.enforcement();
    let executor = LocalExecutor::new([machine.folder.path().join("slot")], machine.folder.path().join("logs"));
    let argv = vec!["true".to_owned()];
    let job = Job::new(JobName::new("t", "1"), Tree::new([("a", "a")]).unwrap(), argv, Duration::from_secs(10));
    let ended = executor.isolated(strict).run(&job, &Cancel::new()).await;
    match enforcement.is_full() {
        true => assert!(matches!(ended, Ok(Outcome::Completed(_))), "{ended:?}"),
        false => {
            let why = ended.unwrap_err().to_string();
            let missing = enforcement.missing().next().unwrap();
            assert!(why.contains("strict isolation is asked for") && why.contains(&missing.how), "{why}");
        }
    }
}

/// Root has capabilities to lose, an ordinary user needs a user namespace: both ways must hold.
#[test]
fn the_walls_hold_for_an_ordinary_user_too() {
    if !super::hostile::is_root() {
        // All other tests here are about one, then.
        return;
    }
    for test in [
        "what_a_candidate_may_do_without_walls_fails_behind_them",
        "honest_work_goes_on_behind_walls",
        "strict_isolation_runs_nothing_without_all_protections",
        "the_local_executor_keeps_its_contract_behind_walls",
    ] {
        let said = super::hostile::output_as_an_ordinary_user(&format!("isolation::{test}"), &[]);
        assert!(said.contains("1 passed"), "{said}");
    }
}
