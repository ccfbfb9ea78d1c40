//! Whole nights over real git and real processes.
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
use autoresearch_core::internal::git::Lineage;
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

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A repository whose program runs `value.sh`, with a change in the working tree and one in the index.
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        let repo = place.repo();
        std::fs::create_dir(&repo).unwrap();
        place.git(&["init", "-q", "-b", "main"]);
        for (name, text) in [("value.sh", "echo 'score: 5'\n"), ("fixed.txt", "fixed\n"), ("notes.txt", "notes\n")] {
            std::fs::write(repo.join(name), text).unwrap();
        }
        place.git(&["add", "."]);
        place.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "start"]);
        std::fs::write(repo.join("notes.txt"), "being edited\n").unwrap();
        std::fs::write(repo.join("staged.txt"), "staged\n").unwrap();
        place.git(&["add", "staged.txt"]);
        place
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn git(&self, arguments: &[&str]) -> String {
        test_fixtures::git(&self.repo(), arguments)
    }

    fn lab(&self, script: &[&str], limit: Duration) -> Result<Lab<Patch>, LabError> {
        let lineage = Lineage::open(&self.repo(), "test").unwrap();
        let base = Revision(self.git(&["rev-parse", "main"]).trim().to_owned());
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            build: vec!["sh".into(), "-n".into(), "value.sh".into()],
            run: ["sh", "-c", "echo ---; . ./value.sh"].map(String::from).into(),
            ..Commands::default()
        };
        let run = self.folder.path().join("run");
        let slot = Slot::new(self.folder.path().join("slot"));
        let sandbox = CommandSandbox::local(lineage, base.clone(), commands, vec![slot], run.join("logs"));
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

    fn results(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.folder.path().join("run/results.tsv")).unwrap();
        text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_night_keeps_what_is_better_and_nothing_else() {
    let place = Place::new();
    let before = [
        place.git(&["status", "--porcelain"]),
        place.git(&["rev-parse", "HEAD"]),
        place.git(&["diff"]),
        place.git(&["diff", "--cached"]),
    ];
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
    let mut lab = place.lab(&script, Duration::from_secs(2)).unwrap();
    let reason = lab.run(&Cancel::new()).await.unwrap();
    assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");

    let results = place.results();
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
    let refused: Vec<&str> = state.rejections.iter().map(|r| r.reason.as_str()).collect();
    assert!(
        refused[0].contains("fixed.txt may not be edited") && refused[1].contains("changes nothing"),
        "{refused:?}"
    );
    let reasons: Vec<&str> = state.experiments.iter().map(|e| e.reason.as_str()).collect();
    for (number, word) in
        [(4, "exit code 3"), (5, "NaN"), (6, "build"), (7, "limit"), (9, "SIGKILL"), (10, "no line `score")]
    {
        assert!(reasons[number].contains(word), "{number}: {}", reasons[number]);
    }

    // The lineage: one commit per keep, and the tip holds the best state.
    let log = place.git(&["log", "--format=%s", "autoresearch/test"]);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["echo 'score: 3.5'", "echo 'score: 4'", "start"]);
    assert!(place.git(&["log", "-1", "--format=%b", "autoresearch/test"]).contains("score: 4.000000 -> 3.500000"));
    assert_eq!(place.git(&["show", "autoresearch/test:value.sh"]), "echo 'score: 3.5'");
    assert_eq!(results[8][0], place.git(&["rev-parse", "--short=7", "autoresearch/test"]).trim());
    // Every candidate stays reachable, and the repository is sound.
    assert_eq!(place.git(&["for-each-ref", "refs/autoresearch/test"]).lines().count(), 11);
    place.git(&["fsck", "--strict"]);
    let after = [
        place.git(&["status", "--porcelain"]),
        place.git(&["rev-parse", "HEAD"]),
        place.git(&["diff"]),
        place.git(&["diff", "--cached"]),
    ];
    assert_eq!(before, after, "the user's branch, index and working tree");
}

#[tokio::test]
async fn an_interrupted_night_goes_on_where_it_was() {
    let place = Place::new();
    let script = ["echo 'score: 4'", "sleep 1; echo 'score: 3'", "echo 'score: 6'"];
    let cancel = Cancel::new();
    let mut lab = place.lab(&script, LONG).unwrap();
    let interrupt = {
        let cancel = cancel.clone();
        move |event: &Event<'_>| {
            if matches!(event, Event::Phase { experiment: 2, phase: Phase::Run, .. }) {
                cancel.cancel();
            }
        }
    };
    lab = lab.observed_by(Arc::new(interrupt));
    assert_eq!(lab.run(&cancel).await.unwrap(), StopReason::Cancelled);
    assert_eq!(place.results().len(), 2);
    assert!(matches!(place.lab(&script, LONG).err(), Some(LabError::Journal(JournalError::Locked(_)))), "one writer");
    drop(lab);

    let mut lab = place.lab(&script, LONG).unwrap();
    assert_eq!(lab.run(&Cancel::new()).await.unwrap(), StopReason::Experiments(3));
    let status: Vec<String> = place.results().into_iter().map(|row| row[3].clone()).collect();
    assert_eq!(status, ["keep", "keep", "keep", "discard"]);
    // The same journal means the same state.
    let journal = Journal::read(&place.folder.path().join("run/journal.jsonl")).unwrap();
    assert_eq!(&State::replay(&journal).unwrap(), lab.state());
}

#[tokio::test]
async fn a_keep_that_was_decided_is_carried_out_after_a_crash() {
    let place = Place::new();
    place.lab(&["echo 'score: 4'"], LONG).unwrap().run(&Cancel::new()).await.unwrap();
    let tip = place.git(&["rev-parse", "autoresearch/test"]);
    // As if the machine had died between the decision and the move of the branch.
    let path = place.folder.path().join("run/journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.lines().collect();
    let decision = kept.iter().rposition(|line| line.contains("\"decided\"")).unwrap();
    std::fs::write(&path, kept[..=decision].join("\n") + "\n").unwrap();
    place.git(&["update-ref", "refs/heads/autoresearch/test", &format!("{}~1", tip.trim())]);

    place.lab(&["echo 'score: 4'"], LONG).unwrap().run(&Cancel::new()).await.unwrap();
    assert_eq!(place.git(&["rev-parse", "autoresearch/test"]), tip);
}

#[tokio::test]
async fn what_a_patch_may_not_do_is_refused_and_costs_nothing() {
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
    let lineage = Lineage::open(&repo, "t").unwrap();
    let base = lineage.head().unwrap();
    let commands =
        Commands { editable: EditablePaths::new(["src/**"]), run: vec!["true".into()], ..Commands::default() };
    let slot = Slot::new(folder.path().join("slot"));
    let sandbox = CommandSandbox::local(lineage, base.clone(), commands, vec![slot], folder.path().join("logs"));
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
        let error = sandbox.stage(1, &base, &patch, "x").await.unwrap_err();
        assert!(matches!(&error, StageError::Rejected(why) if why.contains(words)), "{error}");
    }
    // The same text but for white space at the ends of lines measures the same.
    let patch = Patch { edits: vec![write("src/a.txt", "text  \n\n\n")] };
    let candidate = sandbox.stage(1, &base, &patch, "x").await.unwrap();
    assert_eq!(candidate.fingerprint, sandbox.baseline().await.unwrap().fingerprint);
}

#[tokio::test]
async fn a_branch_that_somebody_moved_stops_the_run() {
    let place = Place::new();
    place.git(&["branch", "autoresearch/test", "main"]);
    place.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m", "other"]);
    place.git(&["branch", "-f", "autoresearch/test", "main"]);
    let mut lab = place.lab(&["echo 'score: 4'"], LONG).unwrap();
    place.git(&["update-ref", "refs/heads/autoresearch/test", "main~1"]);
    let error = lab.run(&Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("autoresearch/test"), "{error}");
}

#[tokio::test]
async fn a_baseline_that_does_not_run_is_an_error_and_can_be_tried_again() {
    let place = Place::new();
    std::fs::write(place.repo().join("value.sh"), "[ -e ../allow ] || { echo no data; exit 1; }\necho 'score: 5'\n")
        .unwrap();
    place.git(&["-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qam", "needs a file"]);
    let error = place.lab(&[], LONG).unwrap().run(&Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("no data") && error.contains("exit code 1"), "{error}");
    // The run happens in the slot, whose parent is the test's folder.
    std::fs::write(place.folder.path().join("allow"), "").unwrap();
    let mut lab = place.lab(&[], LONG).unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(place.results()[0][1], "5.000000");
}

#[tokio::test]
async fn what_a_candidate_leaves_behind_is_gone_for_the_next() {
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    std::fs::write(&outside, "precious\n").unwrap();
    let script = [
        "touch junk; mkdir -p deep/er; ln -s ../outside link; rm value.sh; ln ../outside value.sh; echo 'score: 4'",
        "[ ! -e junk ] && [ ! -e deep ] && [ ! -L link ] && echo 'score: 3'",
    ];
    let mut lab = place.lab(&script, LONG).unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let status: Vec<String> = place.results().into_iter().map(|row| row[3].clone()).collect();
    assert_eq!(status, ["keep", "keep", "keep"]);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "precious\n", "nothing is written through a link");
}
