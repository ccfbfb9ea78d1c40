use super::*;

async fn run_with(
    script: &str,
    limit: Duration,
    limits: Limits,
    cancel: &Cancel,
) -> (Result<Finished, SandboxError>, String) {
    run_telling(script, limit, limits, cancel, &|_| {}).await
}

async fn run_telling(
    script: &str,
    limit: Duration,
    limits: Limits,
    cancel: &Cancel,
    on_line: &(dyn Fn(String) + Send + Sync),
) -> (Result<Finished, SandboxError>, String) {
    let folder = tempfile::tempdir().unwrap();
    let command = Command {
        argv: vec!["sh".into(), "-c".into(), script.into()],
        directory: folder.path().into(),
        environment: vec![("GIVEN".into(), "yes".into())],
        log: folder.path().join("log"),
        limit,
        grace: Duration::from_millis(300),
        limits,
        isolation: None,
        results: None,
    };
    let finished = command.run(cancel, on_line).await;
    (finished, log_tail(&command.log).unwrap_or_default())
}

async fn run(script: &str, limit: Duration) -> (Finished, String) {
    let (finished, log) = run_with(script, limit, Limits::default(), &Cancel::new()).await;
    (finished.unwrap(), log)
}

const LONG: Duration = Duration::from_secs(20);

/// Limits of a command that must get somewhere before it is ended: longer each time, since a busy machine may start it late.
fn limits(first_ms: u64) -> impl Iterator<Item = Duration> {
    (0..6).map(move |round| Duration::from_millis(first_ms << round))
}

#[tokio::test]
async fn output_and_exit_code_are_seen() {
    let (finished, log) = run("echo out; echo err >&2; exit 3", LONG).await;
    assert_eq!(describe(finished.ending).unwrap(), "ended with exit code 3");
    assert_eq!(log, "out\nerr\n");
}

#[tokio::test]
async fn a_signal_is_told_by_its_name() {
    let (finished, _) = run("kill -SEGV $$", LONG).await;
    assert_eq!(describe(finished.ending).unwrap(), "was ended by SIGSEGV");
    // Killed by somebody, not by the kernel for want of memory.
    let (finished, _) = run("kill -9 $$", LONG).await;
    assert_eq!(describe(finished.ending).unwrap(), "was ended by SIGKILL");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_somebody_still_holds_open_for_writing_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program.sh");
    std::fs::write(&program, "#!/bin/sh\necho started\n").unwrap();
    let busy = std::fs::File::options().write(true).create(true).truncate(false).open(&program).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let command = Command {
        argv: vec![program.display().to_string()],
        directory: folder.path().into(),
        environment: vec![],
        log: folder.path().join("log"),
        limit: LONG,
        grace: GRACE,
        limits: Limits::default(),
        isolation: None,
        results: None,
    };
    let close = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        drop(busy);
    };
    let (finished, ()) = tokio::join!(
        async {
            let cancel = Cancel::new();
            command.run(&cancel, &|_| {}).await
        },
        close
    );
    assert!(finished.unwrap().succeeded());
    assert_eq!(log_tail(&command.log).unwrap(), "started\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_cannot_start() {
    let folder = tempfile::tempdir().unwrap();
    let command = Command {
        argv: vec!["no-such-program".into()],
        directory: folder.path().into(),
        environment: vec![],
        log: folder.path().join("log"),
        limit: LONG,
        grace: GRACE,
        limits: Limits::default(),
        isolation: None,
        results: None,
    };
    let error = command.run(&Cancel::new(), &|_| {}).await.unwrap_err();
    assert!(matches!(error, SandboxError::CannotStart { .. }), "{error}");
}

#[tokio::test]
async fn the_lab_s_environment_and_files_stay_out_of_sight() {
    let (finished, log) = run("env; ls /proc/self/fd", LONG).await;
    assert!(describe(finished.ending).is_none());
    assert!(log.contains("GIVEN=yes"));
    assert!(!log.contains("CARGO_MANIFEST_DIR"), "{log}");
    let descriptors = log.lines().filter(|line| line.parse::<u32>().is_ok()).count();
    // Input, output, error, and the one that `ls` reads the folder with.
    assert_eq!(descriptors, 4, "{log}");
}

#[tokio::test]
async fn the_limit_kills_children_too() {
    for limit in limits(300) {
        let (finished, log) = run("sleep 60 & echo $!; sleep 60", limit).await;
        assert_eq!(finished.ending, Ending::Limit);
        if let Ok(child) = log.trim().parse() {
            return assert_gone(child);
        }
    }
    panic!("it starts no child");
}

#[tokio::test]
async fn what_is_left_after_a_clean_exit_is_swept() {
    let (finished, log) = run("sleep 60 & echo $!", LONG).await;
    assert!(describe(finished.ending).is_none());
    assert_gone(log.trim().parse().unwrap());
}

#[tokio::test]
async fn a_cancelled_run_ends_at_once() {
    let cancel = Cancel::new();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    };
    let run = run_with("sleep 60", LONG, Limits::default(), &cancel);
    let ((finished, _), ()) = tokio::join!(run, stop);
    assert!(matches!(finished, Err(SandboxError::Cancelled)));
}

#[tokio::test]
async fn processor_time_and_memory_of_the_whole_tree_are_counted() {
    // A grandchild does the work: half a second of counting, and 64 MiB of a string.
    let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; head -c 67108864 /dev/zero | tr \"\\\\0\" x | tail -c 67108864 >/dev/null'; true";
    let (finished, log) = run(script, LONG).await;
    assert!(describe(finished.ending).is_none(), "{log}");
    if cfg!(target_os = "linux") {
        assert!(finished.cpu.unwrap() > Duration::from_millis(20), "{finished:?}");
        assert!(finished.peak_memory.unwrap() > 60 << 20, "{finished:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn limits_are_enforced() {
    let limits = Limits { memory: Some(64 << 20), file_size: Some(1 << 20), ..Limits::default() };
    let (finished, log) = run_with("awk 'BEGIN { s = \"x\"; while (1) s = s s }'", LONG, limits, &Cancel::new()).await;
    assert!(describe(finished.unwrap().ending).is_some() && log.contains("memory"), "{log}");
    let (finished, _) = run_with("head -c 2000000 /dev/zero > big", LONG, limits, &Cancel::new()).await;
    assert!(describe(finished.unwrap().ending).is_some());
}

fn assert_gone(pid: i32) {
    // A killed orphan is a zombie until init reaps it: that counts as gone.
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => return,
            Ok(stat) if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')) => return,
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("process {pid} is still running");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_and_all_that_it_starts_run_on_the_cpus_given() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let last: usize = allowed.rsplit([',', '-']).next().unwrap().parse().unwrap();
    let limits = Limits { cpus: Cpus::new([last]).unwrap(), ..Limits::default() };
    let script = "grep Cpus_allowed_list /proc/self/status; sh -c 'grep Cpus_allowed_list /proc/self/status'";
    let (finished, log) = run_with(script, LONG, limits, &Cancel::new()).await;
    assert!(finished.unwrap().succeeded());
    assert_eq!(log, format!("Cpus_allowed_list:\t{last}\n").repeat(2));
    let here = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(here.contains(&format!("Cpus_allowed_list:\t{allowed}\n")), "the lab itself is not pinned");

    let limits = Limits { cpus: Cpus::new([1023]).unwrap(), ..Limits::default() };
    let (refused, log) = run_with("echo never", LONG, limits, &Cancel::new()).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("1023") && error.contains(allowed) && log.is_empty(), "{error}");
}

/// Runs a script, and blocks the task that waits for it from its first line on. Returns true if it has been blocked.
#[cfg(target_os = "linux")]
async fn run_blocked(script: &str, limit: Duration, block: Duration) -> (Finished, String, bool) {
    use std::sync::atomic::{AtomicBool, Ordering};
    let [has_begun, is_over] = [const { AtomicBool::new(false) }; 2];
    let (cancel, begins) = (Cancel::new(), |_| has_begun.store(true, Ordering::Relaxed));
    let run = async {
        let ended = run_telling(script, limit, Limits::default(), &cancel, &begins).await;
        is_over.store(true, Ordering::Relaxed);
        ended
    };
    let blocked = async {
        while !has_begun.load(Ordering::Relaxed) && !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let is_in_time = !is_over.load(Ordering::Relaxed);
        if is_in_time {
            std::thread::sleep(block);
        }
        is_in_time
    };
    let ((finished, log), was_blocked) = tokio::join!(run, blocked);
    (finished.unwrap(), log, was_blocked)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_limit_is_kept_while_the_task_is_blocked() {
    // A supervisor that wakes late on a busy machine has more time in the next round; a task that keeps the limit itself has
    // always been blocked for longer.
    let mut is_kept = false;
    for limit in limits(150) {
        let script = format!("echo begins; sleep {}; echo score: 1", 3.0 * limit.as_secs_f64());
        let (finished, log, was_blocked) = run_blocked(&script, limit, 6 * limit).await;
        assert_eq!(finished.ending, Ending::Limit);
        assert!(finished.elapsed >= limit, "{finished:?}");
        is_kept = was_blocked && log == "begins\n" && finished.elapsed < 6 * limit;
        if is_kept {
            break;
        }
    }
    assert!(is_kept, "it was ended at its limit");

    // And what is done in time is not blamed for the wait.
    let mut is_blameless = false;
    for limit in limits(250) {
        let (finished, _, was_blocked) = run_blocked("echo begins; sleep 0.1; echo score: 1", limit, 2 * limit).await;
        is_blameless = was_blocked && finished.succeeded() && finished.elapsed < limit;
        if is_blameless {
            break;
        }
    }
    assert!(is_blameless, "it was blamed for the wait");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_ends_by_itself_after_its_limit_has_not_completed() {
    // It ignores the request to end, and is done within the grace period.
    let script = "trap '' TERM; sleep 0.3; echo score: 1; exit 0";
    let (finished, _) = run(script, Duration::from_millis(150)).await;
    assert_eq!(finished.ending, Ending::Limit);
    // It stops its supervisor, so that nobody looks at the clock until it is done.
    for limit in limits(200) {
        let [done, woken] = [0.1, 0.5].map(|later| limit.as_secs_f64() + later);
        let script = format!("kill -STOP $PPID; (sleep {woken}; kill -CONT $PPID) & sleep {done}; echo score: 1");
        let (finished, log) = run(&script, limit).await;
        assert_eq!(finished.ending, Ending::Limit);
        // Else it was ended before it came to stop anybody.
        if log == "score: 1\n" {
            return assert!(finished.elapsed.as_secs_f64() >= woken - 0.1, "{finished:?}");
        }
    }
    panic!("it stops its supervisor too late each time");
}

/// A command stops its supervisor, and nobody waits for it any more: it ends all the same, and so does the supervisor.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_supervisor_ends_with_its_future() {
    let told = std::sync::Mutex::new(None);
    let tell =
        |line: String| *told.lock().unwrap() = line.strip_prefix("stopped ").and_then(|pid| pid.parse::<i32>().ok());
    let (cancel, script) = (Cancel::new(), "kill -STOP $PPID; echo stopped $PPID; exec sleep 97");
    let mut running = Box::pin(run_telling(script, Duration::from_secs(90), Limits::default(), &cancel, &tell));
    let pid = loop {
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut running).await.is_err(), "it ended");
        if let Some(pid) = *told.lock().unwrap() {
            break pid;
        }
    };
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    assert_eq!(state(), Some('T'));
    drop(running);
    for _ in 0..1000 {
        // Nobody need have reaped it.
        if matches!(state(), None | Some('Z')) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{pid} is {:?}", state());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_library_changes_nothing_of_the_process_that_uses_it() {
    let settings = || {
        let mut is_set: libc::c_int = -1;
        // SAFETY: writes a number that lives on this stack.
        unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &mut is_set) };
        // SAFETY: asks for a number.
        (is_set, unsafe { libc::prctl(libc::PR_GET_DUMPABLE) })
    };
    let before = settings();
    run("echo x", LONG).await;
    assert_eq!((settings(), before.0), (before, 0));
    assert!(std::env::vars().count() > 0, "its environment is still there");
}

#[tokio::test]
async fn limits_without_end_are_limits_too() {
    let folder = tempfile::tempdir().unwrap();
    let command = Command {
        argv: vec!["true".into()],
        directory: folder.path().into(),
        environment: vec![],
        log: folder.path().join("log"),
        limit: Duration::MAX,
        grace: Duration::MAX,
        limits: Limits::default(),
        isolation: None,
        results: None,
    };
    assert!(command.run(&Cancel::new(), &|_| {}).await.unwrap().succeeded());
    // And a limit of nothing is over at once.
    let command =
        Command { limit: Duration::ZERO, grace: Duration::ZERO, argv: vec!["sleep".into(), "60".into()], ..command };
    assert_eq!(command.run(&Cancel::new(), &|_| {}).await.unwrap().ending, Ending::Limit);
}
