//! Every shipped executor keeps the contract, and a sandbox works over each of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use autoresearch_core::command::{Commands, Executor, LocalExecutor};
use autoresearch_core::git::Lineage;
use autoresearch_core::testkit::conformance::{self, ExecutorCase, SandboxCases};
use autoresearch_core::testkit::{QueueExecutor, QueueRunner};
use autoresearch_core::*;

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
        let lineage = Lineage::open(&repo, "t").unwrap();
        let base = lineage.head().unwrap();
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            run: vec!["sh".into(), "value.sh".into()],
            ..Commands::default()
        };
        Arc::new(CommandSandbox::new(lineage, base, commands, Arc::new(QueueExecutor::new(&queue))))
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
