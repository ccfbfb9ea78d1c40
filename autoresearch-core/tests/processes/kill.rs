//! Nothing of a command survives it, whatever it does: real processes that leave their session, fork twice, ignore requests
//! to end, hold the output open, fork on, or kill their supervisor; after a timeout, a cancellation, a clean exit, and the
//! death of the lab itself.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use autoresearch_core::Cancel;
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::internal::process::{Command, Ending, Isolated, Limits, describe, log_tail, sweep};

/// Marks the processes of one case, so that survivors can be found however they hide.
const MARK: &str = "KILL_SUITE_CASE";
const GRACE: Duration = Duration::from_millis(400);
/// Within this after the grace period everything must be gone. What the cases start would live three times as long.
const PROMPT: Duration = Duration::from_secs(30);
/// Time within which a case gets so far that it prints `ready`.
const PATIENCE: Duration = Duration::from_secs(60);

/// Scripts that print `ready` when their children run, by what they do. `$0` is the script itself.
const CASES: &[(&str, &str)] = &[
    ("plain child", "sleep 97 & echo ready; sleep 97"),
    ("setsid", "setsid sleep 97 & echo ready; sleep 97"),
    ("double fork", "( ( sleep 97 & ) & ); echo ready; sleep 97"),
    ("setsid and double fork", "( setsid sh -c 'sleep 97 & sleep 97' & ); echo ready; sleep 97"),
    ("ignores TERM", "trap '' TERM HUP INT; (trap '' TERM; setsid sleep 97) & echo ready; while :; do sleep 1; done"),
    (
        "holds the output",
        "setsid sh -c 'trap \"\" TERM; while :; do echo still here; sleep 0.05; done' & echo ready; sleep 97",
    ),
    // Each generation is a new session that starts the next one and ends.
    (
        "forks on",
        "cat > on.sh <<'E'\nsleep 0.03\nsetsid sh on.sh &\nE\nsetsid sh on.sh & setsid sh on.sh & echo ready; sleep 97",
    ),
    ("many", "i=0; while [ $i -lt 150 ]; do setsid sleep 97 & i=$((i+1)); done; echo ready; sleep 97"),
    ("stopped", "sh -c 'kill -STOP $$' & setsid sh -c 'kill -STOP $$' & sleep 0.1; echo ready; sleep 97"),
    ("closed output", "setsid sleep 97 >/dev/null 2>&1 & echo ready; exec >/dev/null 2>&1; sleep 97"),
    // Its parent is the supervisor: without it, only the environment tells whose child this is.
    ("kills its supervisor", "setsid sleep 97 & echo ready; sleep 0.2; kill -9 $PPID; sleep 97"),
];

/// The cases, each without walls and behind them. There the command has a process namespace, whose init is to leave nothing either.
fn cases() -> impl Iterator<Item = (String, &'static str)> {
    let walls = [PLAIN, WALLED].into_iter();
    walls.flat_map(|walls| CASES.iter().map(move |(case, script)| (format!("{walls}{case}"), *script)))
}

const PLAIN: &str = "";
const WALLED: &str = "behind walls: ";

fn command(case: &str, script: &str, folder: &Path, limit: Duration) -> Command {
    let isolation = case.contains(WALLED).then(|| Isolated {
        isolation: Isolation::best_effort(),
        own: vec![folder.into()],
        home: folder.join("home"),
        ..Isolated::default()
    });
    Command {
        argv: vec!["sh".into(), "-c".into(), script.into()],
        directory: folder.into(),
        environment: vec![(MARK.into(), mark(case).into())],
        log: folder.join("log"),
        limit,
        grace: GRACE,
        limits: Limits::default(),
        isolation,
        results: None,
    }
}

/// Unique to this process and case.
fn mark(case: &str) -> String {
    format!("{case} {}", std::process::id())
}

/// Processes, zombies not counted, whose environment carries the mark.
fn survivors(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let marked = folders.filter(|path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    });
    marked
        .map(|path| std::fs::read_to_string(path.join("stat")).unwrap_or_default())
        .filter(|s| !s.is_empty())
        .collect()
}

#[tokio::test]
async fn nothing_survives_a_timeout() {
    let (mut worst, mut tried) = (Duration::ZERO, 0);
    for (case, script) in test_fixtures::one_in(5, cases()) {
        tried += 1;
        let mut limit = Duration::from_millis(900);
        loop {
            let folder = tempfile::tempdir().unwrap();
            let command = command(&case, script, folder.path(), limit);
            let began = Instant::now();
            let finished = command.run(&Cancel::new(), &|_| {}).await.unwrap();
            let late = began.elapsed().saturating_sub(limit + GRACE);
            worst = worst.max(late);
            assert_eq!(survivors(&mark(&case)), [""; 0], "{case}");
            assert!(late < PROMPT, "{case}: {late:?} after the grace period");
            // It must have got so far, and gets more time on a machine that is too busy.
            if log_tail(&command.log).unwrap_or_default().contains("ready") {
                if !case.contains("kills its supervisor") {
                    assert_eq!(finished.ending, Ending::Limit, "{case}");
                }
                break;
            }
            assert!(limit < PATIENCE, "{case}: it prints nothing within {limit:?}");
            limit *= 2;
        }
    }
    println!("evidence kill-timeout cases {tried} survivors 0 worst_ms {}", worst.as_millis());
}

#[tokio::test]
async fn nothing_survives_a_clean_exit() {
    for (case, script) in cases().filter(|(_, script)| script.contains("echo ready; sleep 97")) {
        let folder = tempfile::tempdir().unwrap();
        let script = script.replace("echo ready; sleep 97", "sleep 0.1; echo ready; exit 0");
        let command = command(&format!("clean {case}"), &script, folder.path(), PATIENCE);
        let began = Instant::now();
        let finished = command.run(&Cancel::new(), &|_| {}).await.unwrap();
        assert!(describe(finished.ending).is_none(), "{case}");
        assert!(began.elapsed() < PATIENCE, "{case}: a held output must not hold the reader");
        assert_eq!(survivors(&mark(&format!("clean {case}"))), [""; 0], "{case}");
    }
}

#[tokio::test]
async fn nothing_survives_a_dropped_future() {
    for (case, script) in cases().filter(|(case, _)| !case.contains("kills its supervisor")) {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("drop {case}");
        let command = command(&name, script, folder.path(), 2 * PATIENCE);
        let cancel = Cancel::new();
        tokio::select! {
            finished = command.run(&cancel, &|_| {}) => panic!("{case}: it has not been dropped: {finished:?}"),
            () = until_ready(&command.log, &case) => {}
        }
        assert_gone(&name).await;
    }
}

#[tokio::test]
async fn a_log_flood_is_bounded_and_keeps_its_ends() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo first; head -c 60000000 /dev/zero | tr '\\0' x; echo; echo last";
    let command = command("flood", script, folder.path(), Duration::from_secs(60));
    let finished = command.run(&Cancel::new(), &|_| {}).await.unwrap();
    assert!(describe(finished.ending).is_none());
    let log = std::fs::read(&command.log).unwrap();
    assert!(log.len() < 9 << 20, "{} bytes", log.len());
    assert!(log.starts_with(b"first\n") && log.ends_with(b"\nlast\n"));
    assert!(String::from_utf8_lossy(&log).contains("bytes left out"));
}

/// The lab of the next test: runs one command of the suite until somebody kills it.
#[tokio::test]
async fn lab_to_be_killed() {
    let Ok(folder) = std::env::var("KILL_SUITE_FOLDER") else { return };
    let (case, script) = cases().nth(std::env::var("KILL_SUITE_INDEX").unwrap().parse().unwrap()).unwrap();
    let mut command = command(&case, script, Path::new(&folder), 2 * PATIENCE);
    command.environment = vec![(MARK.into(), std::env::var(MARK).unwrap().into())];
    let _ = command.run(&Cancel::new(), &|_| {}).await;
}

#[tokio::test]
async fn nothing_survives_the_lab() {
    for (index, (case, _)) in cases().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("lab {case}");
        let mut lab = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::lab_to_be_killed"])
            .env("KILL_SUITE_FOLDER", folder.path())
            .env("KILL_SUITE_INDEX", index.to_string())
            .env(MARK, mark(&name))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until_ready(&folder.path().join("log"), &case).await;
        if case.contains("kills its supervisor") {
            // Then nobody is left to see the lab die: what a run that goes on does first. The shell dies with its supervisor;
            // behind walls it cannot reach it.
            let deadline = Instant::now() + PATIENCE;
            while !case.contains(WALLED) && survivors(&mark(&name)).iter().any(|stat| stat.contains("(sh)")) {
                assert!(Instant::now() < deadline, "{case}: {:?}", survivors(&mark(&name)));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            lab.kill().unwrap();
            lab.wait().unwrap();
            sweep(MARK, mark(&name).as_ref());
        } else {
            lab.kill().unwrap();
            lab.wait().unwrap();
        }
        assert_gone(&name).await;
    }
}

/// Waits until a case has printed that its children run.
async fn until_ready(log: &Path, case: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(log).is_ok_and(|text| text.contains("ready")) {
        assert!(Instant::now() < deadline, "{case}: it prints nothing within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn assert_gone(name: &str) {
    let deadline = Instant::now() + PROMPT;
    loop {
        let left = survivors(&mark(name));
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{name}: {left:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
