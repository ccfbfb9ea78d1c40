//! Several slots of one sandbox, with real processes: builds ahead of their trials, files that builds leave for trials, and
//! devices of each worker.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use autoresearch_core::Slot;
use autoresearch_core::internal::process::Cpus;
use autoresearch_core::*;
use autoresearch_core::{Commands, Device};

const LIMIT: Duration = Duration::from_secs(60);

/// A repository with a build script and a program, and a folder `shared` that all slots write to.
struct Fixture {
    folder: tempfile::TempDir,
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

fn trial(experiment: u32, number: u32, slot: u32, worker: Option<u32>) -> Trial {
    let mut trial = Trial::new(ExperimentId(experiment), number, 0, LIMIT.into());
    (trial.slot, trial.worker) = (slot, worker);
    trial
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(fixture.repo()).unwrap();
        std::fs::create_dir_all(fixture.shared()).unwrap();
        std::fs::write(fixture.repo().join("name"), "base\n").unwrap();
        test_fixtures::init(&fixture.repo());
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn shared(&self) -> PathBuf {
        self.folder.path().join("shared")
    }

    fn slot(&self, slot: usize) -> PathBuf {
        self.folder.path().join(format!("slots/{slot}"))
    }

    /// A sandbox with two slots; its commands know the shared folder as `$SHARED`.
    fn sandbox(&self, commands: Commands) -> CommandSandbox {
        let commands = Commands {
            editable: EditablePaths::new(["name"]),
            environment: vec![("SHARED".into(), self.shared().into())],
            ..commands
        };
        let slots = vec![Slot::new(self.slot(0)), Slot::new(self.slot(1))];
        CommandSandbox::local(&self.repo(), "test", commands, slots, self.folder.path().join("logs")).unwrap()
    }

    /// Number of builds so far.
    fn builds(&self) -> usize {
        std::fs::read_to_string(self.shared().join("builds")).map_or(0, |builds| builds.lines().count())
    }
}

async fn stage(sandbox: &CommandSandbox, experiment: u32, name: &str) -> Candidate {
    let base = sandbox.baseline().await.unwrap().revision;
    let change = Patch { edits: vec![FileEdit::Write { path: "name".into(), text: format!("{name}\n") }] };
    sandbox.stage(ExperimentId(experiment), &base, &change, name).await.unwrap()
}

async fn run(sandbox: &CommandSandbox, candidate: &Candidate, trial: &Trial) -> Outcome {
    sandbox.run(candidate, trial, &Cancel::new()).await.unwrap()
}

async fn build(sandbox: &CommandSandbox, candidate: &Candidate, trial: &Trial) -> Option<Outcome> {
    sandbox.build(candidate, trial, &Cancel::new()).await.unwrap()
}

/// Last line of a trial that completed.
#[track_caller]
fn said(outcome: &Outcome) -> &str {
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    outcome.log().tail.lines().last().unwrap_or_default()
}

#[tokio::test]
async fn what_was_built_ahead_is_run_once_and_by_its_own_trial_only() {
    let fixture = Fixture::new();
    let sandbox = fixture.sandbox(Commands {
        build: sh("echo building; cat name >> $SHARED/builds; cp name built; echo left > $TMPDIR/left"),
        run: sh("cat $TMPDIR/left; cat built"),
        ..Commands::default()
    });
    let (a, b) = (stage(&sandbox, 1, "a").await, stage(&sandbox, 2, "b").await);
    assert_eq!(build(&sandbox, &a, &trial(1, 1, 1, None)).await, None);
    assert_eq!(fixture.builds(), 1);
    let outcome = run(&sandbox, &a, &trial(1, 1, 1, Some(0))).await;
    assert_eq!((said(&outcome), fixture.builds()), ("a", 1));
    let log = outcome.log();
    assert_eq!(log.tail, "building\nleft\na\n", "one log, and the build's files as it left them");
    assert!(!log.build.is_zero() && log.cpu.is_some() && !log.elapsed.is_zero(), "{log:?}");

    // A second trial builds again, and so does every other trial in that slot.
    assert_eq!(said(&run(&sandbox, &a, &trial(1, 1, 1, Some(0))).await), "a");
    assert_eq!(fixture.builds(), 2);
    let others = [(&a, trial(1, 3, 1, Some(0))), (&a, trial(3, 2, 1, Some(0))), (&b, trial(1, 2, 1, Some(0)))];
    for (at, (candidate, other)) in others.iter().enumerate() {
        let ahead = trial(1, 2, 1, None);
        assert_eq!(build(&sandbox, &a, &ahead).await, None);
        let before = fixture.builds();
        run(&sandbox, candidate, other).await;
        assert_eq!(fixture.builds(), before + 1, "case {at} has nothing to do with what was built");
        // The build for the first is forgotten, since the slot holds something else now.
        assert_eq!(said(&run(&sandbox, &a, &trial(1, 2, 1, Some(0))).await), "a");
        assert_eq!(fixture.builds(), before + 2, "case {at}");
    }
    // Another slot leaves it alone, and a second build takes its place.
    build(&sandbox, &a, &trial(1, 2, 1, None)).await;
    build(&sandbox, &b, &trial(2, 1, 0, None)).await;
    let before = fixture.builds();
    assert_eq!(said(&run(&sandbox, &a, &trial(1, 2, 1, Some(0))).await), "a");
    assert_eq!(said(&run(&sandbox, &b, &trial(2, 1, 0, Some(0))).await), "b");
    assert_eq!(fixture.builds(), before);
}

#[tokio::test]
async fn a_build_that_fails_ahead_ends_as_it_would_have_in_the_trial() {
    let fixture = Fixture::new();
    for script in ["echo 'error: no such type'; exit 3", "echo 'out of memory' >&2; exit 1", "sleep 60"] {
        let sandbox = fixture.sandbox(Commands { build: sh(script), run: sh("echo ran"), ..Commands::default() });
        let a = stage(&sandbox, 1, "a").await;
        let mut trial = trial(1, 1, 0, None);
        trial.budget.build = Duration::from_millis(if script == "sleep 60" { 100 } else { 60_000 });
        let ahead = build(&sandbox, &a, &trial).await.unwrap();
        let at_once = run(&sandbox, &a, &trial).await;
        let told = |outcome: &Outcome| {
            let log = outcome.log();
            (std::mem::discriminant(outcome), log.phase, log.tail.clone(), log.path.clone(), log.elapsed)
        };
        assert_eq!(told(&ahead), told(&at_once), "{script}");
        if let (Outcome::Crashed { message, .. }, Outcome::Crashed { message: other, .. }) = (&ahead, &at_once) {
            assert_eq!((message, message.as_str()), (other, "the build ended with exit code 3: error: no such type"));
        }
        assert!(!matches!(ahead, Outcome::Completed(_)) && !ahead.log().tail.contains("ran"), "{ahead:?}");
    }
}

#[tokio::test]
async fn a_trial_has_its_own_copy_of_what_builds_leave_in_a_shared_folder() {
    let fixture = Fixture::new();
    let program = fixture.shared().join("program");
    let sandbox = fixture.sandbox(Commands {
        build: sh("printf '#!/bin/sh\\necho program %s\\n' $(cat name) > $SHARED/program; chmod +x $SHARED/program; cp name x"),
        keeps: vec![program.clone(), "x".into()],
        run: sh("rm -f x; {built}/program; cat {built}/x"),
        ..Commands::default()
    });
    let (a, b) = (stage(&sandbox, 1, "a").await, stage(&sandbox, 2, "b").await);
    assert_eq!(build(&sandbox, &a, &trial(1, 1, 0, None)).await, None);
    assert_eq!(build(&sandbox, &b, &trial(2, 1, 1, None)).await, None);
    // Copies, and not other names of the same file.
    std::fs::write(&program, "#!/bin/sh\nexit 9\n").unwrap();
    for (candidate, trial, name) in [(&a, trial(1, 1, 0, Some(0)), "a"), (&b, trial(2, 1, 1, Some(1)), "b")] {
        let outcome = run(&sandbox, candidate, &trial).await;
        assert_eq!(said(&outcome), name);
        assert_eq!(outcome.log().tail, format!("program {name}\n{name}\n"));
    }
    // A worker that builds its own trial has them as well, and the slot's next build does not find them.
    assert_eq!(run(&sandbox, &b, &trial(3, 1, 0, Some(0))).await.log().tail, "program b\nb\n");

    let sandbox = fixture.sandbox(Commands {
        build: sh("echo done; test ! -e $SHARED/../slots/0.built"),
        keeps: vec!["target/program".into()],
        run: sh("echo ran"),
        ..Commands::default()
    });
    let Some(Outcome::Crashed { message, log }) = build(&sandbox, &a, &trial(1, 2, 0, None)).await else { panic!() };
    assert_eq!(message, "the build ended well, but left no file target/program");
    assert_eq!((log.phase, log.tail.as_str()), (Phase::Build, "done\n"));
    assert!(
        matches!(run(&sandbox, &a, &trial(1, 3, 0, Some(0))).await, Outcome::Crashed { message: again, .. } if again == message)
    );

    let twice = Commands { build: sh("cp name x"), keeps: vec!["x".into(), "../0/x".into()], ..Commands::default() };
    let error = fixture.sandbox(twice).build(&a, &trial(1, 4, 0, None), &Cancel::new()).await.unwrap_err();
    assert!(error.to_string().contains("../0/x cannot be kept"), "{error}");
}

/// The processors that a program may use here.
fn allowed() -> Vec<usize> {
    let numbers = 0..1024;
    numbers.filter(|number| Cpus::new([*number]).unwrap().check().is_ok()).collect()
}

#[tokio::test]
async fn a_worker_has_its_devices_and_builds_ahead_have_theirs() {
    let fixture = Fixture::new();
    let allowed = allowed();
    let (first, last) = (allowed[0], *allowed.last().unwrap());
    let all = Cpus::new(allowed.iter().copied()).unwrap().to_string();
    let tell = "sed -n 's/Cpus_allowed_list:\\t//p' /proc/self/status";
    let devices = |first: &str, last: &str| vec![Device::parse(first).unwrap(), Device::parse(last).unwrap()];
    let commands = Commands {
        build: sh(&format!("echo build ${{CUDA_VISIBLE_DEVICES-none}} $({tell})")),
        run: sh(&format!("echo run ${{CUDA_VISIBLE_DEVICES-none}} $({tell})")),
        run_environment: vec![("CUDA_VISIBLE_DEVICES".into(), "7".into())],
        build_cpus: Cpus::new([last]).unwrap(),
        devices: devices(&format!("cuda:0+1/cpus:{first}"), &format!("cuda:GPU-1a/cpus:{last}")),
        ..Commands::default()
    };
    let inherited = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or("none".into());
    let sandbox = fixture.sandbox(commands.clone());
    let a = stage(&sandbox, 1, "a").await;
    let log = |outcome: Outcome| {
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        outcome.log().tail.clone()
    };
    for (worker, gpus, cpu) in [(0, "0,1", first), (1, "GPU-1a", last)] {
        let of_worker = trial(1, 1, worker, Some(worker));
        let built = format!("build {inherited} {cpu}\nrun {gpus} {cpu}\n");
        assert_eq!(log(run(&sandbox, &a, &of_worker).await), built, "built by the worker");
        assert_eq!(build(&sandbox, &a, &trial(1, 1, worker, None)).await, None);
        let built = format!("build {inherited} {last}\nrun {gpus} {cpu}\n");
        assert_eq!(log(run(&sandbox, &a, &of_worker).await), built, "built ahead");
    }
    let error = sandbox.run(&a, &trial(1, 1, 0, Some(2)), &Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("worker 2 has no devices: there are those of 2 workers"), "{error}");

    // A worker without processors of its own has those of all trials; without devices nothing is restricted.
    let cpus = Cpus::new([first]).unwrap();
    let shared = Commands { devices: devices("cuda:3", "cuda:4"), cpus, ..commands.clone() };
    let shared = log(run(&fixture.sandbox(shared), &a, &trial(1, 1, 0, Some(1))).await);
    assert_eq!(shared, format!("build {inherited} {all}\nrun 4 {first}\n"));
    let plain = Commands { devices: Vec::new(), cpus, ..commands };
    let plain = log(run(&fixture.sandbox(plain), &a, &Trial::new(ExperimentId(1), 1, 0, LIMIT.into())).await);
    assert_eq!(plain, format!("build {inherited} {all}\nrun 7 {first}\n"));
}

#[tokio::test]
async fn trials_run_at_the_same_time_and_builds_one_after_the_other() {
    let fixture = Fixture::new();
    // A build fails while another one is running; a trial ends only when the other one has started.
    let sandbox = fixture.sandbox(Commands {
        build: sh("mkdir $SHARED/turn && sleep 0.2 && rmdir $SHARED/turn"),
        run: sh("touch $SHARED/$(cat name); until [ -e $SHARED/a ] && [ -e $SHARED/b ]; do sleep 0.01; done; cat name"),
        ..Commands::default()
    });
    let (a, b) = (stage(&sandbox, 1, "a").await, stage(&sandbox, 2, "b").await);
    let (trial_a, trial_b) = (trial(1, 1, 0, Some(0)), trial(2, 1, 1, Some(1)));
    let outcomes = tokio::join!(run(&sandbox, &a, &trial_a), run(&sandbox, &b, &trial_b));
    assert_eq!((said(&outcomes.0), said(&outcomes.1)), ("a", "b"));
    let built = tokio::join!(build(&sandbox, &a, &trial_a), build(&sandbox, &b, &trial_b));
    assert_eq!(built, (None, None));
}

#[tokio::test]
async fn waiting_for_a_turn_costs_a_build_nothing_and_can_be_cancelled() {
    let fixture = Fixture::new();
    let sandbox = fixture.sandbox(Commands {
        build: sh("touch $SHARED/began; until [ -e $SHARED/go ]; do sleep 0.01; done"),
        run: sh("cat name"),
        ..Commands::default()
    });
    let (a, b) = (stage(&sandbox, 1, "a").await, stage(&sandbox, 2, "b").await);
    let limit = Duration::from_secs(2);
    let (first, mut second) = (trial(1, 1, 0, None), trial(2, 1, 1, None));
    second.budget.build = limit;
    let cancel = Cancel::new();
    let waits = async {
        until(&fixture.shared().join("began")).await;
        let cancelled = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(sandbox.build(&b, &second, &cancel), cancelled);
        assert!(matches!(result, Err(SandboxError::Cancelled)), "{result:?}");
        let open = async {
            tokio::time::sleep(limit + Duration::from_millis(200)).await;
            std::fs::write(fixture.shared().join("go"), "").unwrap();
        };
        tokio::join!(build(&sandbox, &b, &second), open).0
    };
    assert_eq!(tokio::join!(build(&sandbox, &a, &first), waits), (None, None));
    assert!(run(&sandbox, &b, &second).await.log().build < limit);
}

async fn until(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_slot_that_is_not_there_is_a_clear_error() {
    let fixture = Fixture::new();
    let sandbox = fixture.sandbox(Commands { run: sh("cat name"), ..Commands::default() });
    let a = stage(&sandbox, 1, "a").await;
    let unknown = trial(1, 1, 2, Some(0));
    for error in [
        sandbox.run(&a, &unknown, &Cancel::new()).await.unwrap_err(),
        sandbox.build(&a, &unknown, &Cancel::new()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("there is no slot 2: this sandbox has 2"), "{error}");
    }
    assert_eq!(
        said(&run(&sandbox, &a, &Trial::new(ExperimentId(1), 1, 0, LIMIT.into())).await),
        "a",
        "as for a holdout"
    );
}

#[tokio::test]
async fn what_an_earlier_lab_left_in_any_slot_is_ended() {
    let fixture = Fixture::new();
    let sandbox = fixture.sandbox(Commands::default());
    let left = [0, 1, 2].map(|slot| {
        let mut sleep = Command::new("sleep");
        sleep.arg("60").env("AUTORESEARCH_SLOT", fixture.slot(slot)).spawn().unwrap()
    });
    // Until it has become `sleep`, its environment is the test's.
    let is_ready = |id: u32| std::fs::read(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with(b"sleep"));
    while !left.iter().all(|child| is_ready(child.id())) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // They stay zombies of this process until somebody waits for them.
    sandbox.recover().await.unwrap();
    let [mut first, mut second, mut other] = left;
    assert!(first.wait().unwrap().code().is_none() && second.wait().unwrap().code().is_none());
    assert!(other.try_wait().unwrap().is_none(), "another sandbox's");
    other.kill().unwrap();
    other.wait().unwrap();
}
