//! Runs whose lab dies: at every write boundary, again during the recovery, at random moments, and when the disk is full.
//! Every one of them ends like a run that was never interrupted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autoresearch_core::ExperimentId;
use autoresearch_core::internal::git::Lineage;

#[path = "crash/order.rs"]
mod order;
#[path = "crash/run_folder.rs"]
mod run_folder;

use run_folder::{FAILED, FOLDER, Files, Outcome, RunFolder};

/// Changes that lead to every kind of decision.
const SCRIPT: &[&str] = &[
    "echo 'score: 4'",
    "echo 'score: 4' # a tie",
    "exit 3 # a crash",
    "fixed: not editable",
    "echo 'score: 6'",
    "echo 'score: 4' # a tie",
    "echo 'score: 3'",
    "echo 'score: 3.5'",
];
/// Changes that lead to every kind of write, for the crashes within a recovery.
const SHORT_SCRIPT: &[&str] = &["echo 'score: 4'", "fixed: not editable", "echo 'score: 6'"];
/// Changes for screening and an excursion: one is screened out; one is sacrificed; one is kept as the end of the side line,
/// with noise on its rungs; one is kept after a second trial on a rung; and one is promoted as a control.
const EXCURSION_SCRIPT: &[&str] = &[
    "echo 'score: 9'",
    "echo 'score: 5.5' # on the way",
    "case $AUTORESEARCH_FIDELITY in 1) echo 'score: 4';; *) echo \"score: 4.$((AUTORESEARCH_SEED > 0))\";; esac",
    "case $AUTORESEARCH_FIDELITY in 0.2) echo 'score: 4.2';; *) echo 'score: 3';; esac",
    "echo 'score: 8'",
];
/// Most points of one recovery at which the lab dies.
const RECOVERY_POINTS: usize = 18;
/// Kills of the loop in a thorough run of the tests.
const KILLS: usize = 200;
/// Kills of the loop otherwise.
const KILLS_BY_DEFAULT: usize = 12;

fn script(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// The lab of the other tests: one run, until somebody kills it.
#[tokio::test]
async fn lab_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    if let Err(error) = run_folder::go_on(Path::new(&folder)).await {
        eprintln!("the run failed: {error}");
        std::process::exit(FAILED);
    }
}

/// Lets a run go to its end. Returns the template of its folder, its outcome, and the points at which a lab can die.
fn uninterrupted(script: &[String], files: Files) -> (RunFolder, Outcome, Vec<String>) {
    uninterrupted_in(RunFolder::new(script, files))
}

fn uninterrupted_in(template: RunFolder) -> (RunFolder, Outcome, Vec<String>) {
    let run = template.copy();
    let (status, points) = run.go_on_listing();
    assert!(status.success(), "{}", run.errors());
    let outcome = run.outcome();
    assert_eq!(outcome.mine, template.outcome().mine, "the user's files");
    assert_eq!(run.violations_at_the_end(status, b"", &outcome), [""; 0]);
    (template, outcome, points)
}

/// Lets the lab die at the `at`-th point; with `pairs` its recovery dies as well, at every point. Returns the number of
/// recoveries that died.
fn dies_at(
    at: usize,
    template: &RunFolder,
    reference: &Outcome,
    pairs: bool,
    report: &dyn Fn(String, Vec<String>),
) -> usize {
    let crashed = template.copy();
    let status = crashed.go_on(Some(at));
    let case = format!("point {at}");
    if !was_killed(status) {
        report(case, vec![format!("the lab did not die: {status}")]);
        return 0;
    }
    report(format!("{case}, after the crash"), [crashed.violations(b"", reference), crashed.survivors()].concat());

    let acknowledged = crashed.journal();
    let recovered = crashed.copy();
    let (status, points) = recovered.go_on_listing();
    report(format!("{case}, recovered"), recovered.violations_at_the_end(status, &acknowledged, reference));
    if !pairs {
        return 0;
    }
    // Points after the recovery's first trial belong to other cases.
    let until = points.iter().position(|name| name == "lab: a run ended").unwrap_or(points.len()).min(RECOVERY_POINTS);
    for again in 1..=until {
        let run = crashed.copy();
        let case = format!("{case}, again at {again} ({})", points[again - 1]);
        let status = run.go_on(Some(again));
        if !was_killed(status) {
            report(case, vec![format!("the recovery did not die: {status}: {}", run.errors())]);
            continue;
        }
        report(format!("{case}, after the crash"), run.violations(&acknowledged, reference));
        let acknowledged = run.journal();
        // At once: what the dead recovery started may still be there.
        let status = run.go_on(None);
        report(format!("{case}, recovered"), run.violations_at_the_end(status, &acknowledged, reference));
    }
    until
}

#[test]
fn every_write_boundary_is_a_good_place_to_die() {
    let (template, outcome, points) = uninterrupted(&script(SCRIPT), Files::InMemory);
    let kinds: Vec<&str> = ["keep", "keep", "discard", "crash", "discard", "keep", "discard"].into();
    let decided: Vec<&str> = outcome.decisions.iter().map(|d| d.split(' ').nth(1).unwrap()).collect();
    assert_eq!(decided, kinds);
    let (short_template, short_outcome, short_points) = uninterrupted(&script(SHORT_SCRIPT), Files::InMemory);
    let short = test_fixtures::sampled(short_points.len(), 20);
    let short: Vec<_> = short.into_iter().map(|at| (at, &short_template, &short_outcome, true)).collect();
    let whole = test_fixtures::sampled(points.len(), 24);
    let cases = [short, whole.into_iter().map(|at| (at, &template, &outcome, false)).collect()].concat();

    let (next, pairs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let violations = Mutex::new(Vec::new());
    let report = |case: String, found: Vec<String>| {
        violations.lock().unwrap().extend(found.into_iter().map(|violation| format!("{case}: {violation}")));
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((at, template, outcome, with_pairs)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = dies_at(*at, template, outcome, *with_pairs, &report);
                    pairs.fetch_add(made, Ordering::Relaxed);
                }
            });
        }
    });
    let (violations, pairs) = (violations.into_inner().unwrap(), pairs.into_inner());
    println!("evidence crash-points points {} pairs {pairs} violations {}", cases.len(), violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    let wanted = test_fixtures::by_default_or_thorough(10, 200);
    assert!(cases.len() > wanted && 2 * pairs > 5 * wanted, "fewer than there should be: {} and {pairs}", cases.len());
}

#[test]
fn every_write_boundary_of_screening_and_of_an_excursion_is_one_too() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let (template, outcome, points) =
        uninterrupted_in(RunFolder::with_excursions(&script(EXCURSION_SCRIPT), Files::InMemory));
    let brief: Vec<String> =
        outcome.decisions.iter().map(|d| d.split([':', ';']).next().unwrap().replace("0000", "")).collect();
    let wanted = ["keep", "discard screened out", "discard worse", "keep better", "keep better", "discard worse"];
    for (decided, wanted) in brief.iter().zip(wanted) {
        assert!(decided.split_once(' ').unwrap().1.starts_with(wanted), "{:#?}", outcome.decisions);
    }
    assert_eq!(brief.len(), wanted.len());
    assert!(outcome.decisions[2].contains("sacrificed"), "{:#?}", outcome.decisions);

    let violations = Mutex::new(Vec::new());
    let report = |case: String, found: Vec<String>| {
        violations.lock().unwrap().extend(found.into_iter().map(|violation| format!("{case}: {violation}")));
    };
    let (next, sample) = (AtomicUsize::new(0), test_fixtures::sampled(points.len(), 20));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(at) = sample.get(next.fetch_add(1, Ordering::Relaxed)) {
                    dies_at(*at, &template, &outcome, false, &report);
                }
            });
        }
    });
    let violations = violations.into_inner().unwrap();
    println!("evidence crash-excursions points {} violations {}", points.len(), violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(points.len() > 150, "fewer than there should be: {}", points.len());
}

/// A small generator of random numbers (SplitMix64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn random_kills_lose_nothing() {
    let mut random = Random(20_260_101);
    let experiment = |number: u64| match number % 6 {
        1 => format!("sleep 0.01; echo 'score: {}'", 5.0 - number as f64 / 10.0),
        3 => format!("sleep 0.02; exit {number}"),
        4 => format!("fixed: {number}"),
        _ => format!("sleep 0.0{}; echo 'score: {}'", 1 + number % 3, 6 + number),
    };
    let script: Vec<String> = (1..=test_fixtures::by_default_or_thorough(9, 29) as u64).map(experiment).collect();
    let began = Instant::now();
    let (template, outcome, _) = uninterrupted(&script, Files::OnDisk);
    // Long enough to get on, short enough for many kills in one run.
    let longest = u64::try_from(began.elapsed().as_micros()).unwrap() / 12;

    let (mut kills, mut runs, mut lost, mut equal, mut violations) = (0, 0, 0, 0, Vec::new());
    while kills < test_fixtures::by_default_or_thorough(KILLS_BY_DEFAULT, KILLS) {
        let run = template.copy();
        let (mut acknowledged, mut longest) = (Vec::new(), longest);
        loop {
            let mut lab = run.lab().spawn().unwrap();
            std::thread::sleep(Duration::from_micros(random.below(longest)));
            // Longer each time, so that the run comes to its end even if the machine becomes slow.
            longest += longest / 100;
            // A lab that has ended by itself stays a zombie until it is waited for, and keeps its own status.
            lab.kill().unwrap();
            let status = lab.wait().unwrap();
            if !was_killed(status) {
                violations.extend(run.violations_at_the_end(status, &acknowledged, &outcome));
                lost += usize::from(!run.journal().starts_with(&acknowledged));
                equal += usize::from(run.outcome().head == outcome.head);
                runs += 1;
                break;
            }
            kills += 1;
            violations.extend(run.violations(&acknowledged, &outcome));
            lost += usize::from(!run.journal().starts_with(&acknowledged));
            acknowledged = run.journal();
        }
    }
    println!("evidence kill-loop kills {kills} lost {lost} runs {runs} equal {equal}");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert_eq!((lost, equal), (0, runs));
}

#[test]
fn a_lock_that_a_dead_lab_left_is_broken_and_one_that_is_held_is_waited_for() {
    let (template, outcome, _) = uninterrupted(&script(SHORT_SCRIPT), Files::InMemory);
    let locks = ["refs/autoresearch/test/exp/0.lock", "refs/autoresearch/test/exp/1.lock"];
    let run = template.copy();
    for name in locks.into_iter().chain(["refs/heads/autoresearch/test.lock"]) {
        let lock = run.repo().join(".git").join(name);
        std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
        std::fs::write(lock, "half of a commit's name").unwrap();
    }
    let status = run.go_on(None);
    assert_eq!(run.violations_at_the_end(status, b"", &outcome), [""; 0]);

    let lineage = Lineage::open(&run.repo(), "test").unwrap();
    let lock = run.repo().join(".git/refs/autoresearch/test/exp/77.lock");
    let make = |age: Duration| {
        let lock = std::fs::File::create(&lock).unwrap();
        lock.set_modified(std::time::SystemTime::now() - age).unwrap();
    };
    let pin = |experiment: u32| {
        let began = Instant::now();
        lineage.pin(ExperimentId(experiment), &lineage.head().unwrap()).unwrap();
        began.elapsed()
    };
    // A lock counts as left after a second. A holder that a busy machine keeps from finishing by then is tried again.
    let patience = Duration::from_millis(900);
    let is_waited_for = || {
        let began = Instant::now();
        make(Duration::ZERO);
        let releases = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                releases.store(true, Ordering::SeqCst);
                std::fs::remove_file(&lock).is_ok()
            });
            pin(77);
            let (took, has_waited) = (began.elapsed(), releases.load(Ordering::SeqCst));
            let had_lock = holder.join().unwrap();
            run.git(&["update-ref", "-d", "refs/autoresearch/test/exp/77"]);
            assert!(has_waited || took >= patience, "the holder had not finished after {took:?}");
            has_waited && had_lock
        })
    };
    assert!((0..20).any(|_| is_waited_for()), "no lock was waited for");
    let is_broken_at_once = || {
        make(Duration::from_secs(60));
        let took = pin(77);
        assert!(!lock.exists());
        run.git(&["update-ref", "-d", "refs/autoresearch/test/exp/77"]);
        took < patience
    };
    assert!((0..20).any(|_| is_broken_at_once()), "nobody holds it");
}

/// A limit on the size of files stands in for a full disk: a write fails in its middle in the same way, with EFBIG rather
/// than ENOSPC, and no special rights are needed.
#[test]
fn a_full_disk_ends_the_run_cleanly_and_loses_nothing() {
    let (template, outcome, _) = uninterrupted(&script(SCRIPT), Files::InMemory);
    let mut halts = 0;
    // In blocks of 512 bytes. With none, nothing can be written at all.
    for blocks in (0..8).chain((8..40).step_by(4)) {
        let run = template.copy();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
        let lab = run.lab();
        command.arg(lab.get_program()).args(lab.get_args());
        run.prepare(&mut command);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            assert!(halts > 5, "the journal fits into {blocks} blocks");
            break;
        }
        assert_eq!(output.status.code(), Some(FAILED), "{blocks} blocks: {said}");
        assert!(said.contains("the run failed") && said.contains("too large"), "{blocks} blocks: {said}");
        assert_eq!(run.violations(b"", &outcome), [""; 0], "{blocks} blocks");
        halts += 1;

        let acknowledged = run.journal();
        let status = run.go_on(None);
        assert_eq!(run.violations_at_the_end(status, &acknowledged, &outcome), [""; 0], "{blocks} blocks");
    }
    println!("evidence full-disk halts {halts} resumed {halts}");
}

/// Writes an executable script that says that it ran. As a filter or a signer it also passes its input on.
fn trap(path: &Path, canary: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\necho {} >> '{}'\ncat\n", path.display(), canary.display())).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "reference-transaction",
    "update",
];

#[test]
fn no_configuration_of_the_repository_runs_anything() {
    // The first candidate leaves files for the tools of the next one; the next one fails if it finds any.
    let dirty = "mkdir -p .cargo .git/hooks; printf '[build]\\nrustc-wrapper = \"../trap\"\\n' > .cargo/config.toml; \
                 cp .cargo/config.toml rust-toolchain.toml; printf '[core]\\nfsmonitor = ../trap\\n' > .git/config; \
                 echo ref: refs/heads/main > .git/HEAD; cp ../trap .git/hooks/post-commit; echo 'score: 4'";
    let clean = "test ! -e .git && test ! -e .cargo && test ! -e rust-toolchain.toml && echo 'score: 3'";
    for hooks_elsewhere in [false, true] {
        let run = RunFolder::new(&script(&[dirty, clean, "echo 'score: 9'"]), Files::InMemory);
        let canary = run.path().join("canary");
        let script: PathBuf = run.path().join("trap");
        trap(&script, &canary);
        // The attributes are committed while nothing is configured yet.
        std::fs::write(run.repo().join(".gitattributes"), "* filter=x diff=x merge=x text=auto\n").unwrap();
        run.git(&["add", ".gitattributes"]);
        run.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "attributes"]);
        let config = format!(
            "[core]\n\tfsmonitor = {0}\n\teditor = {0}\n\tpager = {0}\n\tsshCommand = {0}\n\taskPass = {0}\n\
             [filter \"x\"]\n\tclean = {0}\n\tsmudge = {0}\n\tprocess = {0}\n\trequired = true\n\
             [diff]\n\texternal = {0}\n[diff \"x\"]\n\ttextconv = {0}\n\tcommand = {0}\n\
             [merge \"x\"]\n\tdriver = {0}\n\
             [commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {0}\n[gc]\n\tauto = 1\n[credential]\n\thelper = {0}\n",
            script.display()
        );
        let home = run.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join(".gitconfig"), &config).unwrap();
        let own = run.repo().join(".git/config");
        let mut text = std::fs::read_to_string(&own).unwrap() + &config;
        let mut hooks = run.repo().join(".git/hooks");
        if hooks_elsewhere {
            hooks = run.path().join("hooks");
            text += &format!("[core]\n\thooksPath = {}\n", hooks.display());
        }
        std::fs::write(&own, text).unwrap();
        HOOKS.iter().for_each(|name| trap(&hooks.join(name), &canary));

        let go_on = || run.lab().env("HOME", &home).env("XDG_CONFIG_HOME", &home).status().unwrap();
        // A filter would change files at checkout: the run does not start, and finds that out without running a filter.
        assert_eq!(go_on().code(), Some(FAILED), "{}", run.errors());
        assert!(run.errors().contains("filter=x in .gitattributes"), "{}", run.errors());
        assert!(!canary.exists(), "a filter ran");
        std::fs::write(run.repo().join(".gitattributes"), "* diff=x merge=x text=auto\n").unwrap();
        let quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false"];
        run.git(&[&quiet[..], &["add", ".gitattributes"]].concat());
        let message = ["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "no filter"];
        run.git(&[&quiet[..], &message].concat());
        let _ = std::fs::remove_file(&canary);

        let status = go_on();
        assert!(status.success(), "{}", run.errors());
        let ran = std::fs::read_to_string(&canary).unwrap_or_default();
        assert_eq!(ran, "", "these ran");
        let decided: Vec<String> = run.outcome().decisions;
        let kinds: Vec<&str> = decided.iter().map(|decision| decision.split(' ').nth(1).unwrap()).collect();
        assert_eq!(kinds, ["keep", "keep", "keep", "discard"], "{decided:?}");
        assert!(!run.path().join("slot/.git").exists(), "the slot is a repository");

        // The control: git itself runs them in this very repository.
        let _ = Command::new("git").args(["add", "-A"]).current_dir(run.repo()).output().unwrap();
        assert!(canary.exists(), "the traps are laid");
    }
    println!("evidence configuration runs 2 ran 0");
}
