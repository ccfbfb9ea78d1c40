//! Whole runs over real git and real processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::Commands;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::*;

/// Proposes from a list.
struct Scripted(VecDeque<Patch>);

#[async_trait]
impl Proposer for Scripted {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let Some(change) = self.0.get(context.proposals()).cloned() else {
            return Err(ProposerError::Exhausted("the script ends".into()));
        };
        let FileEdit::Write { text, .. } = &change.edits[0] else { panic!("only whole files here") };
        let description = text.lines().next().unwrap_or_default().to_owned();
        Ok(Proposal::new(change, description).because("it may help"))
    }
}

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// A repository whose program runs `value.sh`, with a change in the working tree and one in the index.
    fn new() -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        let repo = fixture.repo();
        std::fs::create_dir(&repo).unwrap();
        fixture.git(&["init", "-q", "-b", "main"]);
        for (name, text) in [("value.sh", "echo 'score: 5'\n"), ("fixed.txt", "fixed\n"), ("notes.txt", "notes\n")] {
            std::fs::write(repo.join(name), text).unwrap();
        }
        fixture.git(&["add", "."]);
        fixture.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]);
        std::fs::write(repo.join("notes.txt"), "being edited\n").unwrap();
        std::fs::write(repo.join("staged.txt"), "staged\n").unwrap();
        fixture.git(&["add", "staged.txt"]);
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn git(&self, arguments: &[&str]) -> String {
        test_fixtures::git(&self.repo(), arguments)
    }

    fn lab(&self, script: &[&str], limit: Duration) -> Result<Lab<Patch>, LabError> {
        let base = Revision(self.git(&["rev-parse", "main"]).trim().to_owned());
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            build: vec!["sh".into(), "-n".into(), "value.sh".into()],
            run: ["sh", "-c", "echo ---; . ./value.sh"].map(String::from).into(),
            ..Commands::default()
        };
        let run = self.folder.path().join("run");
        let slot = Slot::new(self.folder.path().join("slot"));
        let sandbox = CommandSandbox::local(&self.repo(), "test", commands, vec![slot], run.join("logs")).unwrap();
        let sandbox = sandbox.with_base(base.clone());
        let mut settings = Settings::new("test", Budget { run: limit, build: Duration::from_secs(30) });
        settings.base = Some(base);
        settings.seed = 7;
        settings.stop = Stop::after(script.len());
        settings.results = Some(run.join("results.tsv"));
        let edit = |text: &&str| match text.strip_prefix("fixed:") {
            Some(text) => Patch { edits: vec![FileEdit::Write { path: "fixed.txt".into(), text: text.into() }] },
            None => Patch { edits: vec![FileEdit::Write { path: "value.sh".into(), text: (*text).into() }] },
        };
        let proposer = Box::new(Scripted(script.iter().map(edit).collect()));
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let journal = Journal::open(&run.join("journal.jsonl"))?;
        Lab::builder(Arc::new(sandbox), proposer, metric)
            .ratchet(Arc::new(Strict))
            .program(Program::parse("Lower it.").unwrap())
            .settings(settings)
            .open_journal(journal)
            .build()
    }

    /// The user's branch, index and working tree.
    fn seen(&self) -> [String; 4] {
        let commands = [&["status", "--porcelain"][..], &["rev-parse", "HEAD"], &["diff"], &["diff", "--cached"]];
        commands.map(|arguments| self.git(arguments))
    }

    fn results(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.folder.path().join("run/results.tsv")).unwrap();
        text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_run_keeps_what_is_better_and_nothing_else() {
    let script = [
        "echo 'score: 6'",
        "echo 'score: 4'",
        "echo 'score: 4' # a tie",
        "exit 3 # a crash",
        "echo 'score: NaN'",
        "fixed: not editable",
        "echo 'score: 4'",
        "if then # no shell",
        "sleep 60; echo 'score: 1'",
        "echo 'score: 3.5'",
        "kill -9 $$",
        "echo silence",
    ];
    let mut limit = Duration::from_secs(2);
    let (fixture, before, lab, ended) = loop {
        let fixture = Fixture::new();
        let before = fixture.seen();
        let mut lab = fixture.lab(&script, limit).unwrap();
        let ended = lab.run(&Cancel::new()).await;
        let is_late = matches!(&ended, Err(LabError::Baseline { why, .. }) if why.contains("at its limit"));
        let late = lab.state().experiments.iter().filter(|experiment| experiment.reason.contains("at its limit"));
        // On a busy machine others are late than the one that is to be: they get more time, and that one not enough.
        if (!is_late && late.count() < 2) || limit > Duration::from_secs(30) {
            break (fixture, before, lab, ended);
        }
        limit *= 2;
    };
    let reason = ended.unwrap();
    assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");

    let results = fixture.results();
    let seen: Vec<[&str; 2]> = results.iter().map(|row| [row[1].as_str(), row[3].as_str()]).collect();
    assert_eq!(
        seen,
        [
            ["5.000000", "keep"],
            ["6.000000", "discard"],
            ["4.000000", "keep"],
            ["4.000000", "discard"],
            ["0.000000", "crash"],
            ["0.000000", "crash"],
            ["0.000000", "crash"],
            ["0.000000", "crash"],
            ["3.500000", "keep"],
            ["0.000000", "crash"],
            ["0.000000", "crash"],
        ]
    );
    let state = lab.state();
    let reasons: Vec<&str> = state.rejections.iter().map(|r| r.reason.as_str()).collect();
    assert!(
        reasons[0].contains("fixed.txt may not be edited") && reasons[1].contains("changes nothing"),
        "{reasons:?}"
    );
    let reasons: Vec<&str> = state.experiments.iter().map(|e| e.reason.as_str()).collect();
    for (number, word) in
        [(4, "exit code 3"), (5, "NaN"), (6, "build"), (7, "limit"), (9, "SIGKILL"), (10, "no line `score")]
    {
        assert!(reasons[number].contains(word), "{number}: {}", reasons[number]);
    }

    // The lineage: one commit per keep, and the last one is the incumbent.
    let log = fixture.git(&["log", "--format=%s", "autoresearch/test"]);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["echo 'score: 3.5'", "echo 'score: 4'", "start"]);
    assert!(fixture.git(&["log", "-1", "--format=%b", "autoresearch/test"]).contains("score: 4.000000 -> 3.500000"));
    assert_eq!(fixture.git(&["show", "autoresearch/test:value.sh"]), "echo 'score: 3.5'");
    assert_eq!(results[8][0], fixture.git(&["rev-parse", "--short=7", "autoresearch/test"]).trim());
    // Every candidate stays reachable, and the repository is sound.
    assert_eq!(fixture.git(&["for-each-ref", "refs/autoresearch/test"]).lines().count(), 11);
    fixture.git(&["fsck", "--strict"]);
    assert_eq!(before, fixture.seen(), "the user's branch, index and working tree");
}

#[tokio::test]
async fn an_interrupted_run_goes_on_where_it_was() {
    let fixture = Fixture::new();
    let script = ["echo 'score: 4'", "sleep 1; echo 'score: 3'", "echo 'score: 6'"];
    let cancel = Cancel::new();
    let mut lab = fixture.lab(&script, LONG).unwrap();
    let interrupt = {
        let cancel = cancel.clone();
        move |event: &Event<'_>| {
            if matches!(
                event,
                Event::Progress { experiment: ExperimentId(2), progress: Progress::Phase(Phase::Run), .. }
            ) {
                cancel.cancel();
            }
        }
    };
    lab = lab.observed_by(Arc::new(interrupt));
    assert_eq!(lab.run(&cancel).await.unwrap(), StopReason::Cancelled);
    assert_eq!(fixture.results().len(), 2);
    assert!(
        matches!(fixture.lab(&script, LONG).err(), Some(LabError::Journal(error)) if error.is_locked()),
        "one writer"
    );
    drop(lab);

    let mut lab = fixture.lab(&script, LONG).unwrap();
    assert_eq!(lab.run(&Cancel::new()).await.unwrap(), StopReason::Experiments(3));
    let status: Vec<String> = fixture.results().into_iter().map(|row| row[3].clone()).collect();
    assert_eq!(status, ["keep", "keep", "keep", "discard"]);
    // The same journal means the same state.
    let journal = Journal::read(&fixture.folder.path().join("run/journal.jsonl")).unwrap();
    assert_eq!(&State::replay(&journal).unwrap(), lab.state());
}

#[tokio::test]
async fn a_keep_that_was_decided_is_carried_out_after_a_crash() {
    let fixture = Fixture::new();
    fixture.lab(&["echo 'score: 4'"], LONG).unwrap().run(&Cancel::new()).await.unwrap();
    let head = fixture.git(&["rev-parse", "autoresearch/test"]);
    // As if the machine had died between the decision and the move of the branch.
    let path = fixture.folder.path().join("run/journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.lines().collect();
    let decision = kept.iter().rposition(|line| line.contains("\"decided\"")).unwrap();
    std::fs::write(&path, kept[..=decision].join("\n") + "\n").unwrap();
    fixture.git(&["update-ref", "refs/heads/autoresearch/test", &format!("{}~1", head.trim())]);

    fixture.lab(&["echo 'score: 4'"], LONG).unwrap().run(&Cancel::new()).await.unwrap();
    assert_eq!(fixture.git(&["rev-parse", "autoresearch/test"]), head);
}

#[tokio::test]
async fn what_a_patch_may_not_do_is_rejected_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    std::fs::create_dir_all(repo.join("src/sub")).unwrap();
    let git = |arguments: &[&str]| {
        assert!(Command::new("git").args(arguments).current_dir(&repo).status().unwrap().success(), "{arguments:?}");
    };
    for (name, bytes) in [("src/a.txt", &b"text\n"[..]), ("src/blob", b"\xff\0\xfe"), ("src/sub/b.txt", b"b\n")] {
        std::fs::write(repo.join(name), bytes).unwrap();
    }
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]);
    let commands =
        Commands { editable: EditablePaths::new(["src/**"]), run: vec!["true".into()], ..Commands::default() };
    let slot = Slot::new(folder.path().join("slot"));
    let sandbox = CommandSandbox::local(&repo, "t", commands, vec![slot], folder.path().join("logs")).unwrap();
    let base = sandbox.base().clone();
    let write = |path: &str, text: &str| FileEdit::Write { path: path.into(), text: text.into() };
    for (edit, words) in [
        (write("src/blob", "text now\n"), "not text"),
        (write("src/sub", "a file\n"), "folder"),
        (write("src/a.txt/below", "x\n"), "folder"),
        (write("src/a.txt", "a\0b"), "NUL"),
        (write("src/.cargo/config.toml", "[build]\n"), "may not be edited"),
        (write("src/../outside", "x"), "leaves its folder"),
        (
            FileEdit::Diff { diff: "--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1 +1 @@\n-nothing\n+x\n".into() },
            "nearest line is 1",
        ),
    ] {
        let patch = Patch { edits: vec![write("src/new.txt", "fine\n"), edit] };
        let error = sandbox.stage(ExperimentId(1), &base, &patch, "x").await.unwrap_err();
        assert!(matches!(&error, StageError::Rejected(why) if why.contains(words)), "{error}");
    }
    // The same text but for white space at the ends of lines measures the same.
    let patch = Patch { edits: vec![write("src/a.txt", "text  \n\n\n")] };
    let candidate = sandbox.stage(ExperimentId(1), &base, &patch, "x").await.unwrap();
    assert_eq!(candidate.fingerprint, sandbox.baseline().await.unwrap().fingerprint);
}

#[tokio::test]
async fn a_branch_that_somebody_moved_stops_the_run() {
    let fixture = Fixture::new();
    fixture.git(&["branch", "autoresearch/test", "main"]);
    fixture.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m", "other"]);
    fixture.git(&["branch", "-f", "autoresearch/test", "main"]);
    let mut lab = fixture.lab(&["echo 'score: 4'"], LONG).unwrap();
    fixture.git(&["update-ref", "refs/heads/autoresearch/test", "main~1"]);
    let error = lab.run(&Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("autoresearch/test"), "{error}");
}

#[tokio::test]
async fn a_baseline_that_does_not_run_is_an_error_and_can_be_tried_again() {
    let fixture = Fixture::new();
    std::fs::write(fixture.repo().join("value.sh"), "[ -e ../allow ] || { echo no data; exit 1; }\necho 'score: 5'\n")
        .unwrap();
    fixture.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qam", "needs a file"]);
    let error = fixture.lab(&[], LONG).unwrap().run(&Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("no data") && error.contains("exit code 1"), "{error}");
    // The trial takes place in the slot, whose parent is the test's folder.
    std::fs::write(fixture.folder.path().join("allow"), "").unwrap();
    let mut lab = fixture.lab(&[], LONG).unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(fixture.results()[0][1], "5.000000");
}

#[tokio::test]
async fn what_a_candidate_leaves_behind_is_gone_for_the_next() {
    let fixture = Fixture::new();
    let outside = fixture.folder.path().join("outside");
    std::fs::write(&outside, "precious\n").unwrap();
    let script = [
        "touch junk; mkdir -p deep/er; ln -s ../outside link; rm value.sh; ln ../outside value.sh; echo 'score: 4'",
        "[ ! -e junk ] && [ ! -e deep ] && [ ! -L link ] && echo 'score: 3'",
    ];
    let mut lab = fixture.lab(&script, LONG).unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let status: Vec<String> = fixture.results().into_iter().map(|row| row[3].clone()).collect();
    assert_eq!(status, ["keep", "keep", "keep"]);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "precious\n", "nothing is written through a link");
}

/// A build made ahead runs beside the runs of others: what it changes is not held against them.
#[tokio::test]
async fn what_a_build_ahead_changes_is_not_blamed_on_a_run_beside_it() {
    let fixture = Fixture::new();
    let [locked, started] = ["locked", "started"].map(|name| fixture.folder.path().join(name));
    std::fs::write(&locked, "as it was\n").unwrap();
    let shell = |script: String| vec!["sh".to_owned(), "-c".to_owned(), script];
    let (lock, start) = (locked.display(), started.display());
    let commands = Commands {
        editable: EditablePaths::new(["value.sh"]),
        locked: vec![locked.clone()],
        build: shell(format!("if grep -q tamper value.sh; then echo changed > {lock}; fi")),
        run: shell(format!("touch {start}; until grep -q changed {lock}; do sleep 0.02; done")),
        ..Commands::default()
    };
    let slots = ["a", "b"].map(|name| fixture.folder.path().join("slots").join(name));
    let sandbox = CommandSandbox::local(&fixture.repo(), "beside", commands, slots, fixture.folder.path().join("logs"));
    let sandbox = sandbox.unwrap();
    let honest = sandbox.baseline().await.unwrap();
    let change = Patch::replace("value.sh", "score: 5", "tamper");
    let other = sandbox.stage(ExperimentId(1), &honest.revision, &change, "tamper").await.unwrap();
    let trial = |number| Trial::new(ExperimentId(number), 1, 0, LONG.into());
    let (cancel, of_honest, mut of_other) = (Cancel::new(), trial(0), trial(1));
    of_other.slot = 1;
    let build = async {
        while !started.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sandbox.build(&other, &of_other, &cancel).await
    };
    let (ran, built) = tokio::join!(sandbox.run(&honest, &of_honest, &cancel), build);
    assert!(built.unwrap().is_none());
    assert!(matches!(ran, Err(SandboxError::LockedChanged { .. })), "{ran:?}");
}
