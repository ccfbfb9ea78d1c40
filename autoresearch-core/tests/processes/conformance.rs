//! The library's own implementations keep the contracts that the conformance suites check, and the suites notice those that
//! do not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;
use std::sync::Arc;

use autoresearch_core::Commands;
use autoresearch_core::testkit::conformance::{self, SandboxCases};
use autoresearch_core::testkit::{Faulty, FaultyProposer, Script, SimulatedMachine, Step};
use autoresearch_core::*;

fn cases() -> SandboxCases<Step> {
    SandboxCases {
        good: Step::score(1.0).twin(1),
        other: Step::score(2.0).twin(2),
        bad: Some(Step::refused()),
        endless: None,
        crashing: Some(Step::crash()),
    }
}

#[tokio::test]
async fn the_machine_in_memory_keeps_the_contract_of_a_sandbox() {
    let machine = || SimulatedMachine::new(Step::score(5.0).twin(0)).sandbox();
    conformance::sandbox(machine, cases()).await;
}

#[tokio::test]
async fn the_sandbox_of_commands_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    let make = || -> Arc<dyn Sandbox> {
        count.set(count.get() + 1);
        let place = folder.path().join(count.get().to_string());
        let repo = place.join("repo");
        std::fs::create_dir_all(&repo).unwrap();
        std::fs::write(repo.join("value.sh"), "echo 'score: 5'\n").unwrap();
        for arguments in [
            &["init", "-q"][..],
            &["add", "."],
            &["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"],
        ] {
            assert!(Command::new("git").args(arguments).current_dir(&repo).status().unwrap().success());
        }
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            run: vec!["sh".into(), "value.sh".into()],
            ..Commands::default()
        };
        let slots = [place.join("slot")];
        Arc::new(CommandSandbox::local(&repo, "t", commands, slots, place.join("logs")).unwrap())
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

#[test]
fn the_log_metric_keeps_its_contract() {
    let log = RunLog { tail: "---\nscore: 1\n".into(), ..RunLog::default() };
    conformance::metric(&LogMetric::new("score", Direction::Minimise), log);
}

#[test]
fn the_other_metrics_keep_their_contract() {
    conformance::metric(&Timing::new("ms"), RunLog::saying("---\nms: 2 3 4\n"));
    let repeats =
        LogMetric::new("ms", Direction::Minimise).repeats_of(autoresearch_core::internal::metric::Repeats::Median);
    conformance::metric(&repeats, RunLog::saying("ms: 2\n"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items");
    std::fs::write(&path, "1 2 3").unwrap();
    let log = RunLog { artifacts: [("items".to_owned(), path)].into(), ..RunLog::default() };
    conformance::metric(&ItemMetric::new("loss", Direction::Minimise), log);
}

#[tokio::test(start_paused = true)]
async fn a_script_is_a_deterministic_proposer_also_with_faults() {
    let script = || Script::new([Step::score(4.0), Step::crash(), Step::refused(), Step::score(3.0), Step::score(3.0)]);
    let machine = || SimulatedMachine::new(Step::score(5.0)).sandbox();
    let metric = || Arc::new(LogMetric::new("score", Direction::Minimise));
    conformance::proposer(|| Box::new(script()), machine, metric(), 4, true).await;
    conformance::proposer(|| Box::new(FaultyProposer::new(Box::new(script()), 2)), machine, metric(), 4, true).await;
    let faulty = || Arc::new(Faulty::new(machine(), 3)) as Arc<dyn Sandbox<Step>>;
    conformance::proposer(|| Box::new(script()), faulty, metric(), 4, true).await;
}
