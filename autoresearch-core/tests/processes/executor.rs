//! Every shipped executor keeps the contract, and a sandbox works over each of them.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoresearch_core::testkit::conformance::{self, ExecutorCase, SandboxCases};
use autoresearch_core::testkit::{QueueExecutor, QueueRunner};
use autoresearch_core::*;
use autoresearch_core::{Commands, Executor, Job, JobName, JobStatus, LocalExecutor, Tree};

#[tokio::test]
async fn the_local_executor_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let make = move || {
        let slots = [place.join("slots/0"), place.join("slots/1")];
        Arc::new(LocalExecutor::new(slots, place.join("logs"))) as Arc<dyn Executor>
    };
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    conformance::executor(&ExecutorCase { make: Box::new(make), shared, outlives: false }).await;
}

#[tokio::test]
async fn a_queue_of_jobs_keeps_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let queue = folder.path().join("queue");
    let _runner = QueueRunner::start(&queue, 2).unwrap();
    let make = move || Arc::new(QueueExecutor::new(&queue)) as Arc<dyn Executor>;
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    conformance::executor(&ExecutorCase { make: Box::new(make), shared, outlives: true }).await;
}

#[tokio::test]
async fn a_command_sandbox_works_over_a_queue_of_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let queue = folder.path().join("queue");
    let _runner = QueueRunner::start(&queue, 2).unwrap();
    let count = std::cell::Cell::new(0);
    let make = || -> Arc<dyn Sandbox> {
        count.set(count.get() + 1);
        let repo = folder.path().join(count.get().to_string());
        std::fs::create_dir_all(&repo).unwrap();
        std::fs::write(repo.join("value.sh"), "echo 'score: 5'\n").unwrap();
        for arguments in ["init -q", "add .", "-c user.name=u -c user.email=u@localhost commit -qm start"] {
            let git = std::process::Command::new("git").args(arguments.split(' ')).current_dir(&repo).status();
            assert!(git.unwrap().success());
        }
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            run: vec!["sh".into(), "value.sh".into()],
            ..Commands::default()
        };
        Arc::new(CommandSandbox::new(&repo, "t", commands, Arc::new(QueueExecutor::new(&queue))).unwrap())
    };
    let write = |text: &str| Patch { edits: vec![FileEdit::Write { path: "value.sh".into(), text: text.into() }] };
    let cases = SandboxCases {
        good: write("echo 'score: 4'\n"),
        other: write("echo 'score: 6'\n"),
        bad: Some(Patch::replace("value.sh", "not there", "x")),
        endless: Some(write("sleep 100\n")),
        crashing: Some(write("exit 3\n")),
    };
    conformance::sandbox(make, cases).await;
}

const PROMPT: Duration = Duration::from_secs(20);

fn counting(folder: &Path) -> Job {
    let tree = Tree::new([("value", "score: 4\n")]).unwrap();
    let (starts, go) = (folder.join("starts"), folder.join("go"));
    let script =
        format!("echo x >> {}; until [ -e {} ]; do sleep 0.02; done; cat value", starts.display(), go.display());
    let name = JobName::new("kill", "0001");
    Job::new(name, tree, ["sh", "-c", &script].map(str::to_owned).to_vec(), Duration::from_secs(60))
}

fn starts(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("starts")).map_or(0, |text| text.lines().count())
}

async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PROMPT, "it happens within {PROMPT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// This test binary as another process, which plays the part `role` until somebody kills it.
fn process(role: &str, folder: &Path) -> std::process::Child {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "executor::plays_a_part_until_it_is_killed"])
        .env("EXECUTOR_ROLE", role)
        .env("EXECUTOR_FOLDER", folder);
    process.stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn plays_a_part_until_it_is_killed() {
    let (Ok(role), Some(folder)) = (std::env::var("EXECUTOR_ROLE"), std::env::var_os("EXECUTOR_FOLDER")) else {
        return;
    };
    let folder = PathBuf::from(folder);
    match role.as_str() {
        "runner" => {
            let _runner = QueueRunner::start(&folder.join("queue"), 1).unwrap();
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        "lab" => drop(QueueExecutor::new(folder.join("queue")).run(&counting(&folder), &Cancel::new()).await),
        role => panic!("there is no part {role}"),
    }
}

#[tokio::test]
async fn a_job_outlives_the_lab_and_even_its_runner() {
    let folder = tempfile::tempdir().unwrap();
    let job = counting(folder.path());
    let (mut runner, mut lab) = (process("runner", folder.path()), process("lab", folder.path()));
    until(|| starts(folder.path()) == 1).await;

    lab.kill().unwrap();
    lab.wait().unwrap();
    let executor = QueueExecutor::new(folder.path().join("queue"));
    assert_eq!(executor.find(&job.name).await.unwrap(), Some(JobStatus::Running), "found by its name");

    // The machine that runs it dies, and another one takes its jobs over: it starts anew.
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert_eq!(executor.find(&job.name).await.unwrap(), Some(JobStatus::Running), "it waits in the queue");
    let mut second = process("runner", folder.path());
    until(|| starts(folder.path()) == 2).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    let outcome = executor.attach(&job.name, &Cancel::new()).await.unwrap();
    assert!(matches!(&outcome, Outcome::Completed(log) if log.tail == "score: 4\n"), "{outcome:?}");
    assert_eq!(executor.find(&job.name).await.unwrap(), Some(JobStatus::Ended(outcome)));
    second.kill().unwrap();
    second.wait().unwrap();
}
