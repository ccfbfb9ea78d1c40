//! The number of an evaluation: measured over what a run left, by files of the base commit, after the run is dead.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::internal::attacks::{self, EVALUATE};
use autoresearch_core::internal::isolation::Isolation;
use autoresearch_core::*;

const LIMIT: Duration = Duration::from_secs(60);
const METRIC: &str = "score";

/// A repository whose `run.sh` leaves a model, and whose `evaluate.sh` counts the lines of it that the data knows.
struct Fixture {
    folder: tempfile::TempDir,
    isolation: Isolation,
}

const RUN: &str = "mkdir -p out; printf 'a\\nb\\n' > out/model\n";

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap(), isolation: Isolation::default() };
        std::fs::create_dir_all(fixture.repo()).unwrap();
        for (name, text) in [("run.sh", RUN), ("evaluate.sh", EVALUATE)] {
            std::fs::write(fixture.repo().join(name), text).unwrap();
        }
        test_fixtures::init(&fixture.repo());
        std::fs::write(fixture.folder.path().join("data"), "a\nc\n").unwrap();
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn evaluation(&self) -> Evaluation {
        let mut evaluation = Evaluation::new(["sh", "evaluate.sh", "{inputs}"], ["out/*"], LIMIT);
        evaluation.provisions = vec![Provision::link(self.folder.path().join("data"), "data")];
        evaluation
    }

    fn commands(&self) -> Commands {
        Commands {
            editable: EditablePaths::new(["**"]),
            run: ["sh", "run.sh"].map(str::to_owned).to_vec(),
            evaluation: Some(self.evaluation()),
            ..Commands::default()
        }
    }

    fn sandbox(&self, commands: Commands) -> CommandSandbox {
        let folder = self.folder.path();
        let executor = LocalExecutor::new([folder.join("slots/0")], folder.join("logs"));
        let executor = Arc::new(executor.isolated(self.isolation.clone()));
        CommandSandbox::new(&self.repo(), "t", commands, executor).unwrap()
    }

    /// Runs a candidate with these files in place of the base's.
    async fn tries(&self, commands: Commands, files: &[(&str, &str)]) -> Result<Outcome, SandboxError> {
        let sandbox = self.sandbox(commands);
        let base = sandbox.baseline().await.unwrap();
        let write = |(path, text): &(&str, &str)| FileEdit::Write { path: (*path).into(), text: (*text).into() };
        let patch = Patch { edits: files.iter().map(write).collect() };
        let candidate = match files {
            [] => base,
            _ => sandbox.stage(ExperimentId(1), &base.revision, &patch, "a change").await.unwrap(),
        };
        sandbox.run(&candidate, &Trial::new(ExperimentId(1), 1, 7, LIMIT.into()), &Cancel::new()).await
    }

    async fn outcome(&self, files: &[(&str, &str)]) -> Outcome {
        self.tries(self.commands(), files).await.unwrap()
    }
}

/// The number that a metric reads.
#[track_caller]
fn score(outcome: &Outcome) -> f64 {
    let read = LogMetric::new(METRIC, Direction::Maximise).read(outcome);
    read.unwrap_or_else(|error| panic!("{error}: {outcome:?}")).score.get()
}

#[tokio::test]
async fn a_number_is_measured_over_what_the_run_left() {
    let fixture = Fixture::new();
    assert_eq!(score(&fixture.outcome(&[]).await), 1.0);
    let better = [("run.sh", "mkdir out; printf 'a\\nc\\n' > out/model\n")];
    let outcome = fixture.outcome(&better).await;
    assert_eq!(score(&outcome), 2.0);
    assert_eq!((outcome.log().tail.as_str(), outcome.log().phase), ("score: 2\n", Phase::Evaluation));
    assert!(!outcome.log().evaluation.is_zero(), "its time is known: {:?}", outcome.log());
    let logs = std::fs::read_dir(fixture.folder.path().join("logs")).unwrap().flatten();
    let said = logs.filter(|entry| entry.path().to_string_lossy().ends_with(".evaluation.log"));
    let said: Vec<String> = said.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect();
    assert!(said.len() == 1 && said[0].starts_with("looking at /"), "what it printed is kept beside: {said:?}");
    let left = fixture.folder.path().join("slots/0.evaluator.built");
    assert!(!left.exists(), "what it was given is gone");
}

#[tokio::test]
async fn no_candidate_can_print_the_number() {
    let fixture = Fixture::new();
    let honest = score(&fixture.outcome(&[]).await);
    let (mut counted, mut printed, cheats) = (0, 0, attacks::cheats().count());
    for cheat in attacks::cheats() {
        let files: Vec<(&str, &str)> =
            [("run.sh", cheat.script)].into_iter().chain(cheat.files().iter().copied()).collect();
        let (name, files) = (cheat.name, &files[..]);
        let outcome = fixture.outcome(files).await;
        let read = LogMetric::new(METRIC, Direction::Maximise).read(&outcome).map(|read| read.score.get());
        if read.is_ok_and(|score| score > honest) {
            counted += 1;
            println!("{name}: {outcome:?}");
        }
        // Where the run's word counts, the same candidate succeeds.
        let plain = Commands { evaluation: None, ..fixture.commands() };
        let outcome = fixture.tries(plain, files).await.unwrap();
        let read = LogMetric::new(METRIC, Direction::Maximise).read(&outcome).map(|read| read.score.get());
        printed += usize::from(read.is_ok_and(|score| score > honest));
    }
    println!("evidence cheats tried {} counted {counted} printed {printed}", cheats);
    assert_eq!(counted, 0, "none is better than the base by what it left");
    assert!(printed >= cheats - 1, "the attempts are real: {printed}");
}

#[tokio::test]
async fn a_failed_evaluation_is_a_crash_of_the_candidate_and_one_that_cannot_start_is_ours() {
    let fixture = Fixture::new();
    let with = |argv: &[&str]| {
        let mut evaluation = fixture.evaluation();
        evaluation.argv = argv.iter().map(|argument| (*argument).to_owned()).collect();
        Commands { evaluation: Some(evaluation), ..fixture.commands() }
    };
    let outcome = fixture.tries(with(&["sh", "-c", "echo Error: no such layer; exit 3"]), &[]).await.unwrap();
    let why = "the evaluation ended with exit code 3: Error: no such layer";
    assert_eq!(outcome.describe(), why);
    let outcome = fixture.tries(with(&["true"]), &[]).await.unwrap();
    assert_eq!(outcome.log().tail, "", "an evaluation that says nothing has no number");
    let mut slow = with(&["sleep", "60"]);
    slow.evaluation.as_mut().unwrap().limit = Duration::from_millis(300);
    let outcome = fixture.tries(slow, &[]).await.unwrap();
    assert!(outcome.describe().starts_with("the evaluation was killed at its limit"), "{}", outcome.describe());
    for program in ["./gone.sh", "no-such-program"] {
        let error = fixture.tries(with(&[program]), &[]).await.unwrap_err();
        assert!(matches!(&error, SandboxError::CannotStart { command, .. } if command == program), "{error}");
    }
}

#[tokio::test]
async fn the_scores_of_items_are_the_evaluations_too() {
    let fixture = Fixture::new();
    let mut commands = fixture.commands();
    let script = "printf '1\\n0\\n' > $AUTORESEARCH_ITEMS; echo score: 0.5 > $AUTORESEARCH_RESULT";
    commands.evaluation.as_mut().unwrap().argv = sh(script);
    let cheat = [("run.sh", "mkdir out; echo > out/model; printf '9\\n9\\n' > ${AUTORESEARCH_ITEMS:-$TMPDIR/items}\n")];
    let outcome = fixture.tries(commands, &cheat).await.unwrap();
    let items = outcome.log().artifacts.values().next().unwrap();
    assert_eq!(std::fs::read_to_string(items).unwrap(), "1\n0\n");
}

#[tokio::test]
async fn behind_walls_the_evaluation_alone_reads_its_data() {
    let mut fixture = Fixture::new();
    fixture.isolation = Isolation::best_effort();
    let secret = fixture.folder.path().join("secret");
    std::fs::write(&secret, "c\n").unwrap();
    let mut commands = fixture.commands();
    let evaluation = commands.evaluation.as_mut().unwrap();
    evaluation.reads = vec![secret.clone()];
    evaluation.argv = sh(&format!(
        "cat {} > data2; echo score: $(grep -c -f data2 $AUTORESEARCH_INPUTS/out/model) > $AUTORESEARCH_RESULT",
        secret.display()
    ));
    let peek = format!("mkdir out; cat {} ../../data > out/model || echo b > out/model\n", secret.display());
    let outcome = fixture.tries(commands.clone(), &[("run.sh", &peek)]).await.unwrap();
    assert_eq!(score(&outcome), 0.0, "the run saw nothing of it");
    fixture.isolation = Isolation::default();
    let outcome = fixture.tries(commands, &[("run.sh", &peek)]).await.unwrap();
    assert_eq!(score(&outcome), 2.0, "without walls it does");
}
