//! Attempts of a candidate, without walls and behind them: each succeeds without, so that it can fail.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::internal::attacks::{self, AttackFolders, AttackSuite, AttackVerdict, Defence};
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::testkit::conformance::{self, ExecutorCase};
use autoresearch_core::*;
use autoresearch_core::{Executor, Job, JobName, LocalExecutor, Provision, Tree};

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
        AttackSuite::new(folders, isolation, evaluates)
    }

    /// Runs a shell script as a candidate.
    async fn tries(&self, script: &str, isolation: Isolation) -> Outcome {
        let slot = self.folder.path().join("slots/0");
        let executor = LocalExecutor::new([slot], self.folder.path().join("logs")).isolated(isolation);
        let tree = Tree::new([("run.sh", script.to_owned())]).unwrap();
        let argv = ["bash", "run.sh"].map(str::to_owned).to_vec();
        let mut job = Job::new(JobName::new("t", "1"), tree, argv, Duration::from_secs(30));
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
    for attack in attacks::all() {
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
