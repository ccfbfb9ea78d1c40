//! Attempts of a candidate, without walls and behind them: each succeeds without, so that it can fail.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::internal::attacks::{self, AttackFolders, AttackSuite, AttackVerdict, Defence};
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::testkit::conformance::{self, ExecutorCase};
use autoresearch_core::*;
use autoresearch_core::{Executor, Job, JobName, LocalExecutor, Provision, Tree};

mod hosts;

/// A user's folders, beside the slots of candidates.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("user")).unwrap();
        std::fs::create_dir_all(folder.path().join("repository/.git")).unwrap();
        std::fs::write(folder.path().join("train.py"), "print(1)\n").unwrap();
        Machine { folder }
    }

    fn attacks(&self, isolation: Isolation, evaluates: bool) -> AttackSuite {
        let folders = AttackFolders {
            user: self.folder.path().join("user"),
            home: std::env::var_os("HOME").unwrap().into(),
            git: self.folder.path().join("repository/.git"),
            work: self.folder.path().join("work"),
        };
        // The suite adds its own folder to those that are kept so.
        AttackSuite::new(folders, isolation.pristine(self.folder.path().join("kept")), evaluates)
    }

    /// Runs a shell script as a candidate.
    async fn tries(&self, script: &str, isolation: Isolation) -> Outcome {
        self.tries_for(Duration::from_secs(30), script, isolation).await
    }

    async fn tries_for(&self, limit: Duration, script: &str, isolation: Isolation) -> Outcome {
        let slot = self.folder.path().join("slots/0");
        let executor = LocalExecutor::new([slot], self.folder.path().join("logs")).isolated(isolation);
        let tree = Tree::new([("run.sh", script.to_owned())]).unwrap();
        let argv = ["bash", "run.sh"].map(str::to_owned).to_vec();
        let mut job = Job::new(JobName::new("t", "1"), tree, argv, limit);
        job.provisions = vec![Provision::link(self.folder.path().join("train.py"), "train.py")];
        executor.run(&job, &Cancel::new()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_candidate_may_do_without_walls_fails_behind_them() {
    let enforcement = Isolation::best_effort().enforcement();
    let nothing = Isolation::default().enforcement();
    eprintln!("{enforcement}");
    let (without, behind) = (Machine::new(), Machine::new());
    let (without, behind) =
        (without.attacks(Isolation::default(), false), behind.attacks(Isolation::best_effort(), true));
    let (mut open, mut closed, mut broken, mut could_without, mut tried) = (Vec::new(), Vec::new(), Vec::new(), 0, 0);
    for attack in test_fixtures::one_in(12, attacks::all()) {
        let name = attack.name;
        let plain = without.try_attack(attack, &Cancel::new()).await.unwrap();
        let walled = behind.try_attack(attack, &Cancel::new()).await.unwrap();
        let ends = [&plain, &walled].into_iter().filter(|tried| tried.is_broken);
        broken.extend(ends.map(|tried| format!("{name}: {}", tried.note)));
        tried += usize::from(walled.verdict != AttackVerdict::Untested);
        if walled.verdict == AttackVerdict::Open && attack.defence.holds(&enforcement, true).is_some() {
            open.push(format!("{name}: {}", walled.note));
        }
        if plain.verdict == AttackVerdict::Open && attack.defence.holds(&nothing, false).is_some() {
            open.push(format!("{name}, also without walls: {}", plain.note));
        }
        // The lab itself stops the others, or nothing does.
        let is_for_walls = matches!(attack.defence, Defence::Walls(_) | Defence::Evaluation);
        let could = matches!(plain.verdict, AttackVerdict::Open | AttackVerdict::Detected);
        could_without += usize::from(is_for_walls && could);
        if is_for_walls && !could {
            eprintln!("not possible here without walls either: {name}: {}", plain.note);
            if !attack.sometimes && plain.verdict != AttackVerdict::Untested {
                closed.push(format!("{name}: {}", plain.note));
            }
        }
    }
    println!("evidence attempts tried {tried} open {} idle {}", open.len(), tried - could_without);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(closed.is_empty(), "without walls these fail, too: {}", closed.join("\n"));
    assert!(open.is_empty(), "open in spite of a promise: {}", open.join("\n"));
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
    (
        "has terminals of its own",
        "test -e /dev/pts/ptmx || exit 0\n\
         perl -e 'open(M, \"+<\", \"/dev/ptmx\") or die; $z = pack(\"i\", 0); ioctl(M, 0x40045431, $z) or die; $n = $z; \
         ioctl(M, 0x80045430, $n) or die; open(S, \"+<\", \"/dev/pts/\" . unpack(\"i\", $n)) or die; \
         syswrite(S, \"x\\n\") or die; sysread(M, $b, 8) or die'",
    ),
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

/// Ends of a program, which walls must not change: a process namespace has an init between the program and its supervisor.
const ENDS: &[&str] = &[
    "exit 0",
    "exit 3",
    "exit 255",
    "kill -TERM $$; sleep 5",
    "kill -SEGV $$; sleep 5",
    "kill -KILL $$; sleep 5",
    "kill -INT $$; sleep 5",
    "kill -USR1 $$; sleep 5",
    // One process, since a shell tells of a child that the same signal ended, if it has one at that moment.
    "exec perl -e '$| = 1; $SIG{TERM} = sub { print qq(asked to end\\n); exit 0 }; print qq(ready\\n); sleep 90; exit 4'",
    "exec sh -c 'kill -ABRT $$'",
    "exec ./nothing",
    "(sleep 0.1; exit 9) & wait $!",
];

#[tokio::test]
async fn a_program_ends_behind_walls_as_it_does_without() {
    for script in ENDS {
        let mut ends = Vec::new();
        for isolation in [Isolation::default(), Isolation::best_effort()] {
            let machine = Machine::new();
            let mut limit = Duration::from_secs(if script.contains("ready") { 1 } else { 30 });
            let mut outcome = machine.tries_for(limit, script, isolation.clone()).await;
            // What is to be asked to end must have got so far, however busy the machine is.
            while script.contains("ready") && !outcome.log().tail.contains("ready") {
                assert!(limit < Duration::from_secs(60), "{script}: {outcome:?}");
                limit *= 2;
                outcome = machine.tries_for(limit, script, isolation.clone()).await;
            }
            let described = outcome.describe();
            // The seconds until its end are the machine's.
            let described = described.split(" after ").next().unwrap_or_default();
            let told = format!("{described}\n{}", outcome.log().tail);
            ends.push(told.replace(&machine.folder.path().display().to_string(), ""));
        }
        assert_eq!(ends[0], ends[1], "{script}");
    }
}

#[tokio::test]
async fn orphans_are_reaped_and_only_processes_of_its_own_are_seen() {
    let enforcement = Isolation::best_effort().enforcement();
    if let Some(missing) = enforcement.missing().find(|missing| missing.name == "process namespace") {
        println!("skipped: {}", missing.how);
        return;
    }
    // A process here may have the lab's number, and was started at another time.
    let lab = std::fs::read_to_string("/proc/self/stat").unwrap();
    let since = lab.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
    let script = format!(
        "for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.1' &) ; done\n\
         for i in $(seq 100); do test $(ls -d /proc/[0-9]* | wc -l) -lt 8 && break; sleep 0.1; done\n\
         test $(ls -d /proc/[0-9]* | wc -l) -lt 8 || {{ cat /proc/[0-9]*/stat; exit 4; }}\n\
         test -d /proc/1 || exit 6\n\
         grep -qs ' {since} ' /proc/{}/stat && exit 7\n\
         cat /proc/1/environ 2> /dev/null | tr '\\0' '\\n' | grep PATH= && exit 5\n\
         kill -9 1; kill -STOP 1; sleep 0.1; echo went on",
        std::process::id()
    );
    let outcome = Machine::new().tries(&script, Isolation::best_effort()).await;
    assert!(outcome.log().tail.ends_with("went on\n"), "{outcome:?}");
    assert!(outcome.log().peak_memory.unwrap_or_default() > 0, "{outcome:?}");
}

/// A build in the shape of cargo's: it compiles what is newer than what it made of it.
const BUILDS: &str = "set -e\nmkdir -p $TARGET\nif test source -nt $TARGET/object; then cat source > $TARGET/object; echo compiled; fi\n";

#[tokio::test]
async fn each_candidate_builds_in_what_the_baseline_left() {
    let machine = Machine::new();
    let target = machine.folder.path().join("cache/target");
    let slots = [machine.folder.path().join("slots/0")];
    let executor = LocalExecutor::new(slots, machine.folder.path().join("logs"));
    let executor = executor.isolated(Isolation::best_effort().pristine(&target));
    let job = |number: u32, source: &str, script: &str| {
        let build = format!("TARGET={}\n{BUILDS}{script}", target.display());
        let run = format!("TARGET={}\ncat $TARGET/object; ls $TARGET; cat $1/object", target.display());
        let tree = Tree::new([("build.sh", build), ("run.sh", run), ("source", source.to_owned())]).unwrap();
        let argv = |script: &str| ["bash", script].map(str::to_owned).to_vec();
        let mut job = Job::new(JobName::new("t", number.to_string()), tree, argv("run.sh"), Duration::from_secs(30));
        job.build.argv = argv("build.sh");
        job.keeps = vec![target.join("object")];
        job.run.argv.push("{built}".into());
        job.is_baseline = number == 0;
        job
    };
    let tail = async |job: Job| {
        let outcome = executor.run(&job, &Cancel::new()).await.unwrap();
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        outcome.log().tail.clone()
    };
    let baseline = tail(job(0, "one\n", "")).await;
    assert_eq!(baseline, "compiled\none\nobject\none\n");
    assert_eq!(std::fs::read_to_string(target.join("object")).unwrap(), "one\n");
    // Its run sees what its build made; the next candidate sees the baseline's, which is up to date for the baseline alone.
    let poison = "echo poison > $TARGET/object; echo x > $TARGET/more; rm -f $TARGET/nothing";
    assert_eq!(tail(job(1, "two\n", poison)).await, "compiled\npoison\nmore\nobject\npoison\n");
    assert_eq!(tail(job(2, "three\n", "")).await, "compiled\nthree\nobject\nthree\n");
    let again = tail(job(0, "one\n", poison)).await;
    assert_eq!(again, "compiled\npoison\nmore\nobject\npoison\n", "it leaves nothing twice");
    // A time that a candidate gives to its file says nothing to a later one of the same content.
    assert_eq!(tail(job(4, "five\n", "touch -d @0 source")).await, "compiled\nfive\nobject\nfive\n");
    assert_eq!(tail(job(5, "five\n", "")).await, "compiled\nfive\nobject\nfive\n");
    // A link in place of a file that is kept leads to what the candidate may read alone.
    let secret = machine.folder.path().join("secret");
    std::fs::write(&secret, "secret\n").unwrap();
    let link = job(3, "four\n", &format!("ln -sf {} $TARGET/object", secret.display()));
    let outcome = executor.run(&link, &Cancel::new()).await.unwrap();
    assert!(outcome.describe().contains("left no file") && !outcome.log().tail.contains("secret\n"), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(target.join("object")).unwrap(), "one\n");
    let left = std::fs::read_dir(&target).unwrap().count();
    assert!(left == 1 && !machine.folder.path().join("slots/0.layers").exists(), "{left}");
}

/// A build may leave anything in the folders in which it writes: it opens no more to the run than the build had.
#[tokio::test]
async fn what_a_build_leaves_opens_nothing_to_the_run() {
    let machine = Machine::new();
    let place = |name: &str| machine.folder.path().join(name);
    let (shared, secret) = (place("shared"), place("user/keys/secret"));
    std::fs::create_dir_all(&shared).unwrap();
    std::fs::create_dir_all(secret.parent().unwrap()).unwrap();
    std::fs::write(&secret, "1234\n").unwrap();
    let keys = secret.parent().unwrap().display().to_string();
    let builds = [
        // As a virtual environment, whose Python lies elsewhere.
        format!("echo home = {keys} > pyvenv.cfg; cp pyvenv.cfg $TMPDIR; cp pyvenv.cfg $SHARED"),
        "rm -f $SHARED/pyvenv.cfg; mkfifo pyvenv.cfg $TMPDIR/pyvenv.cfg $SHARED/pyvenv.cfg".to_owned(),
        format!("rm -rf $SHARED/named; ln -s {keys} $SHARED/named"),
        format!("rm -rf $SHARED/named; mkdir -p $SHARED/named/lib; ln -s {keys} $SHARED/named/lib/site-packages"),
    ];
    let executor = LocalExecutor::new([place("slots/0")], place("logs"));
    let executor = executor.isolated(Isolation::best_effort().write(&shared).read(shared.join("named")));
    for (number, build) in (1..).zip(&builds) {
        let run = "cat $1/secret $2/secret $2/lib/site-packages/secret; echo ended".to_owned();
        let tree = Tree::new([("build.sh", build.clone()), ("run.sh", run), ("keys", keys.clone())]);
        let named = shared.join("named").display().to_string();
        // No argument names the folder with the keys: that would open it.
        let argv = ["bash", "-c", "bash run.sh \"$(cat keys)\" \"$NAMED\""].map(str::to_owned).to_vec();
        let mut job = Job::new(JobName::new("t", number.to_string()), tree.unwrap(), argv, Duration::from_secs(30));
        job.build.argv = ["bash", "build.sh"].map(str::to_owned).to_vec();
        for step in [&mut job.build, &mut job.run] {
            step.environment = vec![("SHARED".into(), shared.clone().into()), ("NAMED".into(), named.clone().into())];
        }
        let outcome = executor.run(&job, &Cancel::new()).await.unwrap();
        assert!(
            outcome.log().tail.ends_with("ended\n") && !outcome.log().tail.contains("1234"),
            "{build}: {outcome:?}"
        );
    }
}

/// The limit of files cuts the copy, as a full disk would.
#[tokio::test]
async fn a_file_of_which_a_part_is_copied_is_not_run() {
    let machine = Machine::new();
    let place = |name: &str| machine.folder.path().join(name);
    std::fs::write(place("train.py"), "#".repeat(100_000)).unwrap();
    let executor = LocalExecutor::new([place("slots/0")], place("logs")).isolated(Isolation::best_effort());
    let tree = Tree::new([("build.sh", "ln -s train.py program\n"), ("run.sh", "echo ran\n")]).unwrap();
    let argv = |script: &str| ["sh", script].map(str::to_owned).to_vec();
    let mut job = Job::new(JobName::new("t", "1"), tree, argv("run.sh"), Duration::from_secs(30));
    job.provisions = vec![Provision::link(place("train.py"), "train.py")];
    job.build.argv = argv("build.sh");
    job.build.limits.file_size = Some(10_000);
    job.keeps = vec!["program".into()];
    let outcome = executor.run(&job, &Cancel::new()).await.unwrap();
    assert!(outcome.describe().contains("what the build left could not be copied"), "{outcome:?}");
    assert!(!outcome.log().tail.contains("ran"), "{outcome:?}");
    job.build.limits.file_size = None;
    let outcome = executor.run(&job, &Cancel::new()).await.unwrap();
    assert!(outcome.log().tail.ends_with("ran\n"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pristine_folders_are_written_by_one_job_and_once() {
    let machine = Machine::new();
    let place = |name: &str| machine.folder.path().join(name);
    let executor = || {
        let executor = LocalExecutor::new([place("slots/0"), place("slots/1")], place("logs"));
        executor.isolated(Isolation::best_effort().pristine(place("target")))
    };
    let job = |slot: u32, is_baseline: bool| {
        let script =
            format!("cd {}; echo x >> built; sleep 0.1; echo x >> built; cat built | wc -l", place("target").display());
        let argv = ["bash", "-c", &script].map(str::to_owned).to_vec();
        let tree = Tree::new([("a", "1\n")]).unwrap();
        let mut job = Job::new(JobName::new("t", slot.to_string()), tree, argv, Duration::from_secs(30));
        (job.slot, job.is_baseline) = (slot, is_baseline);
        job
    };
    let lines = async |executor: &LocalExecutor, job: Job| {
        executor.run(&job, &Cancel::new()).await.unwrap().log().tail.trim().to_owned()
    };
    let built = || std::fs::read_to_string(place("target/built")).unwrap().lines().count();
    let first = executor();
    let (one, other) = tokio::join!(lines(&first, job(0, true)), lines(&first, job(1, true)));
    let mut both = [one, other];
    both.sort();
    // The second one waits for the first, and sees all of what that left.
    assert_eq!((both, built()), (["2", "4"].map(str::to_owned), 2));
    let resumed = executor();
    let (candidate, baseline) = tokio::join!(lines(&resumed, job(0, false)), lines(&resumed, job(1, true)));
    assert_eq!((candidate.as_str(), baseline.as_str(), built()), ("4", "4", 2));
    // What is gone is made again.
    std::fs::remove_dir_all(place("target")).unwrap();
    assert_eq!((lines(&resumed, job(0, true)).await.as_str(), built()), ("2", 2));
}

#[tokio::test]
async fn a_path_on_the_way_to_which_is_a_link_is_open() {
    let machine = Machine::new();
    let place = |name: &str| machine.folder.path().join(name);
    std::fs::create_dir_all(place("real-and-longer-than-the-link/lib")).unwrap();
    std::fs::write(place("real-and-longer-than-the-link/lib/a"), "a\n").unwrap();
    std::os::unix::fs::symlink(place("real-and-longer-than-the-link"), place("between")).unwrap();
    std::os::unix::fs::symlink("between", place("link")).unwrap();
    let script = format!("cat {}", place("link/lib/a").display());
    for paths in [&["link", "link/lib"][..], &["link/lib"], &["link"]] {
        let isolation = paths.iter().fold(Isolation::best_effort(), |isolation, path| isolation.read(place(path)));
        let outcome = machine.tries(&script, isolation).await;
        assert!(outcome.log().tail.starts_with("a\n"), "{paths:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_package_of_python_finds_those_beside_it() {
    let machine = Machine::new();
    let packages = machine.folder.path().join("lib/site-packages");
    for name in ["torch/lib", "nvidia/lib"] {
        std::fs::create_dir_all(packages.join(name)).unwrap();
    }
    std::fs::write(packages.join("nvidia/lib/a"), "a\n").unwrap();
    let link = machine.folder.path().join("libtorch");
    std::os::unix::fs::symlink("lib/site-packages/torch", &link).unwrap();
    let script = format!("cat {}/lib/../../nvidia/lib/a", link.display());
    let outcome = machine.tries(&script, Isolation::best_effort().read(&link)).await;
    assert!(outcome.log().tail.starts_with("a\n"), "{outcome:?}");
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
    let tests = [
        "hosts::a_command_reaches_what_the_lab_serves_and_keeps_nothing_of_it",
        "strict_isolation_runs_nothing_without_all_protections",
        "orphans_are_reaped_and_only_processes_of_its_own_are_seen",
        "each_candidate_builds_in_what_the_baseline_left",
        "a_program_ends_behind_walls_as_it_does_without",
        "honest_work_goes_on_behind_walls",
        "what_a_candidate_may_do_without_walls_fails_behind_them",
        "the_local_executor_keeps_its_contract_behind_walls",
    ];
    // The others take half a minute.
    for test in &tests[..test_fixtures::by_default_or_thorough(4, tests.len())] {
        let said = super::hostile::output_as_an_ordinary_user(&format!("isolation::{test}"), &[]);
        assert!(said.contains("1 passed"), "{said}");
    }
}
