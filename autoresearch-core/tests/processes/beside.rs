//! Files that a candidate gets beside its commit, and guards that it must pass beside its run.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::internal::Settings;
use autoresearch_core::*;

const LIMIT: Duration = Duration::from_secs(60);

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// A repository with a value and a folder of which one file is committed; another one and a cache beside it are not.
    fn new() -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        for (name, text) in [("value", "5\n"), ("data/README", "rows\n"), (".gitignore", "data/*.bin\n.cache/\n")] {
            let path = fixture.repo().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        test_fixtures::init(&fixture.repo());
        std::fs::write(fixture.repo().join("data/train.bin"), "0101\n").unwrap();
        std::fs::create_dir(fixture.repo().join(".cache")).unwrap();
        std::fs::write(fixture.repo().join(".cache/seen"), "").unwrap();
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn sandbox(&self, run: &str, guards: Vec<Guard>) -> CommandSandbox {
        self.sandbox_that_builds("", run, guards)
    }

    fn sandbox_that_builds(&self, build: &str, run: &str, guards: Vec<Guard>) -> CommandSandbox {
        let argv = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
        let commands = Commands {
            editable: EditablePaths::new(["value"]),
            build: if build.is_empty() { Vec::new() } else { argv(build) },
            run: argv(run),
            provisions: vec![
                Provision::link(self.repo().join("data"), "data"),
                Provision::copy(self.repo().join(".cache"), ".cache"),
            ],
            guards,
            ..Commands::default()
        };
        let (slot, logs) = (self.folder.path().join("slot"), self.folder.path().join("logs"));
        CommandSandbox::local(&self.repo(), "test", commands, [slot], logs).unwrap()
    }
}

fn guard(script: &str, when: GuardTime) -> Guard {
    Guard::new(["sh", "-c", script], when, LIMIT)
}

async fn run(sandbox: &CommandSandbox, candidate: &Candidate, number: u32) -> Outcome {
    sandbox
        .run(candidate, &Trial::new(ExperimentId(candidate_number(candidate)), number, 0, LIMIT.into()), &Cancel::new())
        .await
        .unwrap()
}

fn candidate_number(candidate: &Candidate) -> u32 {
    u32::from(candidate.added_lines != 0)
}

#[tokio::test]
async fn what_is_shared_or_copied_is_there_and_in_no_commit() {
    let fixture = Fixture::new();
    let sandbox = fixture.sandbox(
        "cat data/README data/train.bin; echo more >> .cache/seen; wc -l < .cache/seen; echo $AUTORESEARCH_COMMIT",
        Vec::new(),
    );
    let baseline = sandbox.baseline().await.unwrap();
    for number in [1, 2] {
        let outcome = run(&sandbox, &baseline, number).await;
        let said: Vec<&str> = outcome.log().tail.split_whitespace().collect();
        // The copy is fresh each time, and the user's stays as it was.
        assert_eq!(said, ["rows", "0101", "1", &baseline.revision.0], "{outcome:?}");
    }
    assert_eq!(std::fs::read_to_string(fixture.repo().join(".cache/seen")).unwrap(), "");
    let change = Patch { edits: vec![FileEdit::Write { path: "value".into(), text: "4\n".into() }] };
    let candidate = sandbox.stage(ExperimentId(1), &baseline.revision, &change, "lower").await.unwrap();
    run(&sandbox, &candidate, 1).await;
    let kept = sandbox.commit(&candidate, Some(&baseline.revision), "lower\n").await.unwrap();
    let files = test_fixtures::git(&fixture.repo(), &["ls-tree", "-r", "--name-only", &kept.0]);
    assert_eq!(files.split_whitespace().collect::<Vec<_>>(), [".gitignore", "data/README", "value"]);
    // A folder that is emptied holds links, whose targets are the user's.
    assert!(fixture.repo().join("data/train.bin").is_file());
}

#[tokio::test]
async fn a_source_that_is_gone_is_a_failure_of_ours() {
    let fixture = Fixture::new();
    let sandbox = fixture.sandbox("cat value", Vec::new());
    let baseline = sandbox.baseline().await.unwrap();
    std::fs::remove_dir_all(fixture.repo().join(".cache")).unwrap();
    let error =
        sandbox.run(&baseline, &Trial::new(ExperimentId(0), 1, 0, LIMIT.into()), &Cancel::new()).await.unwrap_err();
    assert!(error.to_string().contains(".cache, which candidates need beside the commit, is not there"), "{error}");
}

#[tokio::test]
async fn a_candidate_is_guarded_once() {
    let fixture = Fixture::new();
    let count = fixture.folder.path().join("count");
    let script = format!("echo tested; echo x >> {}", count.display());
    let sandbox =
        fixture.sandbox("cat value", vec![guard(&script, GuardTime::Before), guard("test -f value", GuardTime::After)]);
    let baseline = sandbox.baseline().await.unwrap();
    for number in [1, 2] {
        assert_eq!(run(&sandbox, &baseline, number).await.log().tail, "5\n", "a guard says nothing in the run's log");
    }
    let audit = internal::for_purpose(Trial::new(ExperimentId(0), 1, 0, LIMIT.into()), internal::Purpose::Audit);
    sandbox.run(&baseline, &audit, &Cancel::new()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n");
    let log = std::fs::read_to_string(fixture.folder.path().join("logs/0000.guard.log"));
    assert_eq!(log.unwrap(), "tested\n");
}

#[tokio::test]
async fn a_run_that_rewrites_the_files_of_a_guard_does_not_pass_it() {
    let fixture = Fixture::new();
    let outside = fixture.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("README"), "passes\n").unwrap();
    let passes = || vec![guard("test \"$(cat data/README)\" = passes", GuardTime::After)];
    let link = format!("rm -r data; ln -s {} data", outside.display());
    for forges in [
        "echo passes > data/README",
        "mkdir other; echo passes > other/README; ln -sf ../other/README data/README",
        "echo passes > data/README; chmod 500 data; chmod 400 data/README",
        &link,
    ] {
        let sandbox = fixture.sandbox(&format!("{forges}; cat data/README"), passes());
        let baseline = sandbox.baseline().await.unwrap();
        let outcome = run(&sandbox, &baseline, 1).await;
        let message = outcome.describe();
        assert!(message.contains("guard failed: ") && message.contains("exit code 1"), "{forges}: {message}");
    }
    assert_eq!(std::fs::read_to_string(outside.join("README")).unwrap(), "passes\n");
}

#[tokio::test]
async fn a_guard_before_the_run_leaves_what_the_build_made() {
    let fixture = Fixture::new();
    let builds = "ls -i .gitignore > inode; echo built > data/README; rm value; mkdir value; echo deep > value/a";
    let sees =
        "test $(cat data/README) = rows && test $(cat value) = 5 && test \"$(ls -i .gitignore)\" = \"$(cat inode)\"";
    let script = "cat data/README data/train.bin value/a; ls -i .gitignore | diff - inode && echo same";
    let sandbox = fixture.sandbox_that_builds(builds, script, vec![guard(sees, GuardTime::Before)]);
    let baseline = sandbox.baseline().await.unwrap();
    for number in [1, 2] {
        let outcome = run(&sandbox, &baseline, number).await;
        assert_eq!(outcome.log().tail, "built\n0101\ndeep\nsame\n", "{outcome:?}");
    }
    assert!(!fixture.folder.path().join("slot.replaced").exists());
}

/// Proposes the values of a list, one after the other.
struct Values(Vec<&'static str>);

#[async_trait::async_trait]
impl Proposer for Values {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let Some(value) = self.0.get(context.proposals()) else {
            return Err(ProposerError::Exhausted("the list ends".into()));
        };
        let change = Patch { edits: vec![FileEdit::Write { path: "value".into(), text: format!("{value}\n") }] };
        Ok(Proposal::new(change, format!("value {value}")))
    }
}

#[tokio::test]
async fn a_guard_that_fails_discards_with_the_name_of_the_test() {
    let fixture = Fixture::new();
    let tests = "test $(cat value) -gt 2 || { echo 'FAILED tests/test_value.py::test_large - assert'; exit 1; }";
    let sandbox = fixture.sandbox("echo score: $(cat value)", vec![guard(tests, GuardTime::After)]);
    let journal_path = fixture.folder.path().join("journal.jsonl");
    let program = Program::parse("Lower it.").unwrap();
    let mut settings = Settings::new("test", LIMIT);
    settings.stop = Stop::after(3);
    settings.base = Some(sandbox.base().clone());
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let lab = Lab::builder(Arc::new(sandbox), Box::new(Values(vec!["1", "4", "1", "3"])), metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(Journal::open(&journal_path).unwrap())
        .build();
    let mut lab: Lab<Patch> = lab.unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let state = lab.state();
    let decided: Vec<(Status, &str)> =
        state.experiments.iter().map(|made| (made.status, made.reason.split(" (").next().unwrap())).collect();
    assert_eq!(decided[1], (Status::Discard, "guard failed: tests/test_value.py::test_large"));
    assert_eq!(decided[2].0, Status::Keep);
    assert!(state.experiments[1].failed_guard() && !state.experiments[2].failed_guard());
    // The same change again would fail again: it is rejected and costs no trial.
    let rejected: Vec<&str> = state.rejections.iter().map(|made| made.description.as_str()).collect();
    assert_eq!(rejected, ["value 1"]);
    // The records replay to the same.
    let replayed = State::replay(&Journal::read(&journal_path).unwrap()).unwrap();
    assert_eq!(replayed.experiments[1].reason, state.experiments[1].reason);
}
