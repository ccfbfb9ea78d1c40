//! Checks of a run against a real repository: runs that are sound, and one fault at a time.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::Commands;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::results;
use autoresearch_core::internal::verify;
use autoresearch_core::internal::verify::View;
use autoresearch_core::*;

/// Proposes from a list.
struct Scripted(Vec<&'static str>);

fn patch(text: &str) -> Patch {
    Patch { edits: vec![FileEdit::Write { path: "value.sh".into(), text: text.into() }] }
}

#[async_trait]
impl Proposer for Scripted {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let text = self.0.get(context.proposals()).ok_or_else(|| ProposerError::Exhausted("the script ends".into()))?;
        let cost = Cost { tokens: 3, dollars: 0.01, calls: 1 };
        Ok(Proposal::new(patch(text), *text).at_cost(cost))
    }
}

/// A repository with a run: a baseline of 5, a keep of 4, a crash, a rejected proposal, a keep of 3, and a discard.
struct Fixture {
    folder: tempfile::TempDir,
}

const SCRIPT: [&str; 5] = ["echo score: 4", "exit 3", "echo score: 4 ", "echo score: 3", "echo score: 9"];

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(fixture.repo()).unwrap();
        fixture.git(&["init", "-q", "-b", "main"]);
        for text in ["echo score: 8\n", "echo score: 5\n"] {
            std::fs::write(fixture.repo().join("value.sh"), text).unwrap();
            fixture.git(&["add", "."]);
            fixture.git(&["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", "start"]);
        }
        fixture
    }

    async fn finished() -> Fixture {
        let fixture = Fixture::new();
        fixture.lab(None).run(&Cancel::new()).await.unwrap();
        assert_eq!(fixture.state().experiments.len(), 5);
        fixture.assert_sound("a whole run");
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("run/journal.jsonl")
    }

    fn git(&self, arguments: &[&str]) -> String {
        test_fixtures::git(&self.repo(), arguments).trim_end().to_owned()
    }

    /// Another commit with these files.
    fn commit(&self, tree: &str, parent: &str) -> String {
        let who = ["-c", "user.name=u", "-c", "user.email=u@localhost"];
        self.git(&[&who[..], &["commit-tree", "-m", "other", "-p", parent, &format!("{tree}^{{tree}}")]].concat())
    }

    fn lineage(&self) -> Lineage {
        Lineage::open(&self.repo(), "test").unwrap()
    }

    fn lab(&self, preset: Option<Patch>) -> Lab<Patch> {
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            run: vec!["sh".into(), "value.sh".into()],
            ..Commands::default()
        };
        let run = self.folder.path().join("run");
        let slot = Slot::new(self.folder.path().join("slot"));
        let sandbox = CommandSandbox::local(&self.repo(), "test", commands, vec![slot], run.join("logs"));
        let mut sandbox = sandbox.unwrap();
        if let Some(patch) = preset {
            sandbox = sandbox.with_preset(patch, "preset");
        }
        let mut settings = Settings::new("test", Duration::from_secs(30));
        settings.base = Some(sandbox.base().clone());
        settings.results = Some(run.join("results.tsv"));
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let journal = Journal::open(&self.journal()).unwrap();
        let proposer = Box::new(Scripted(SCRIPT.into()));
        let program = Program::parse("Lower it.").unwrap();
        Lab::builder(Arc::new(sandbox), proposer, metric)
            .ratchet(Arc::new(Strict))
            .program(program)
            .settings(settings)
            .open_journal(journal)
            .build()
            .unwrap()
    }

    fn state(&self) -> State {
        State::replay(&Journal::read(&self.journal()).unwrap()).unwrap()
    }

    /// Cuts the journal off after the last line with `word`.
    fn cut_after(&self, word: &str) {
        let text = std::fs::read_to_string(self.journal()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().rposition(|line| line.contains(word)).unwrap();
        std::fs::write(self.journal(), lines[..=last].join("\n") + "\n").unwrap();
    }

    fn violations(&self) -> Vec<String> {
        let found = verify::repository(&self.state(), &self.lineage()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_sound(&self, what: &str) -> View {
        assert_eq!(verify::journal(&Journal::read(&self.journal()).unwrap()), [], "{what}");
        assert_eq!(self.violations(), [""; 0], "{what}");
        assert_eq!(verify::fsck(&self.lineage()), Some(vec![]), "{what}");
        verify::results(&self.state(), &self.folder.path().join("run/results.tsv")).unwrap()
    }

    /// Asserts that there is exactly one violation, with all these words.
    #[track_caller]
    fn assert_broken(&self, words: &[&str]) {
        let found = self.violations();
        assert!(found.len() == 1 && words.iter().all(|word| found[0].contains(word)), "{words:?}: {found:#?}");
    }

    /// Replaces a text in the journal's records, and renews their checksums.
    fn edit_journal(&self, from: &str, to: &str) {
        let edited: Vec<_> = Journal::read(&self.journal()).unwrap().into_iter().map(|entry| entry.record).collect();
        std::fs::remove_file(self.journal()).unwrap();
        let mut journal = Journal::open(&self.journal()).unwrap();
        for record in edited {
            let text = serde_json::to_string(&record).unwrap().replace(from, to);
            journal.append(serde_json::from_str(&text).unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn an_interrupted_run_is_sound_and_so_is_what_it_becomes() {
    for phase in ["first", "second"] {
        let fixture = Fixture::new();
        let cancel = Cancel::new();
        let interrupt = {
            let (cancel, last) = (cancel.clone(), if phase == "first" { 0 } else { 3 });
            move |event: &Event<'_>| {
                if matches!(event, Event::Progress { experiment, progress: Progress::Phase(_), .. } if *experiment == ExperimentId(last))
                {
                    cancel.cancel();
                }
            }
        };
        let mut lab = fixture.lab(None).observed_by(Arc::new(interrupt));
        assert_eq!(lab.run(&cancel).await.unwrap(), StopReason::Cancelled);
        // While somebody else has the journal locked.
        assert_eq!(fixture.assert_sound("interrupted"), View::Whole);
        assert!(!fixture.state().open.is_empty());
        drop(lab);
        fixture.lab(None).run(&Cancel::new()).await.unwrap();
        assert_eq!(fixture.assert_sound("gone on with"), View::Whole);
    }
}

#[tokio::test]
async fn a_preset_is_the_first_commit_of_the_lineage() {
    let fixture = Fixture::new();
    fixture.lab(Some(patch("echo score: 5.5\n"))).run(&Cancel::new()).await.unwrap();
    assert_eq!(fixture.assert_sound("with a preset"), View::Whole);
}

#[tokio::test]
async fn a_keep_that_is_not_carried_out_yet_is_sound() {
    let fixture = Fixture::finished().await;
    fixture.git(&["update-ref", "-d", "refs/autoresearch/test/exp/4"]);
    fixture.cut_after("\"keep\"");
    let (branch, before) = ("refs/heads/autoresearch/test", fixture.git(&["rev-parse", "autoresearch/test~1"]));
    let results = fixture.folder.path().join("run/results.tsv");
    results::write(&results, &fixture.state()).unwrap();
    assert_eq!(fixture.assert_sound("moved and not journaled"), View::Whole);
    let text = std::fs::read_to_string(&results).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    std::fs::write(&results, rows[..rows.len() - 1].join("\n") + "\n").unwrap();
    fixture.git(&["update-ref", branch, &before]);
    assert_eq!(fixture.assert_sound("decided and not moved"), View::Behind);
    fixture.git(&["update-ref", branch, "main"]);
    fixture.assert_broken(&[
        "autoresearch/test is at",
        "the journal says",
        "git update-ref refs/heads/autoresearch/test",
    ]);
}

#[tokio::test]
async fn what_is_staged_is_announced_later() {
    let fixture = Fixture::finished().await;
    fixture.git(&["update-ref", "refs/autoresearch/test/exp/5", "main"]);
    fixture.assert_sound("staged for the next experiment");
    for stray in ["6", "05", "one"] {
        let name = format!("refs/autoresearch/test/exp/{stray}");
        fixture.git(&["update-ref", &name, "main"]);
        fixture.assert_broken(&[&name, "belongs to no experiment"]);
        fixture.git(&["update-ref", "-d", &name]);
    }
}

#[tokio::test]
async fn the_branch_is_at_the_last_keep() {
    let fixture = Fixture::finished().await;
    let branch = "refs/heads/autoresearch/test";
    for wrong in ["main", "autoresearch/test~1", "refs/autoresearch/test/exp/3"] {
        let right = fixture.git(&["rev-parse", branch]);
        fixture.git(&["update-ref", branch, wrong]);
        fixture.assert_broken(&[branch, "move it back", &right]);
        fixture.git(&["update-ref", branch, &right]);
    }
    fixture.git(&["update-ref", "-d", branch]);
    fixture.assert_broken(&[branch, "is at nowhere"]);
    // Before the baseline is kept there is none.
    let fixture = Fixture::new();
    let cancel = Cancel::new();
    cancel.cancel();
    fixture.lab(None).run(&cancel).await.unwrap();
    fixture.assert_sound("begun");
    fixture.git(&["branch", "autoresearch/test"]);
    fixture.assert_broken(&["says nowhere", "git update-ref -d"]);
}

#[tokio::test]
async fn every_candidate_is_pinned_as_it_ran() {
    let fixture = Fixture::finished().await;
    let pin = "refs/autoresearch/test/exp/2";
    let right = fixture.git(&["rev-parse", pin]);
    fixture.git(&["update-ref", "-d", pin]);
    fixture.assert_broken(&["the candidate of experiment 2 is not pinned", &format!("git update-ref {pin} {right}")]);
    fixture.git(&["update-ref", pin, "main"]);
    fixture.assert_broken(&[pin, "but the candidate of experiment 2 is", &right]);
}

#[tokio::test]
async fn candidates_and_keeps_have_their_parents_and_files() {
    let fixture = Fixture::finished().await;
    let rev = |name: &str| fixture.git(&["rev-parse", name]);
    let (candidate, kept) = (rev("refs/autoresearch/test/exp/3"), rev("autoresearch/test"));
    let (first, base) = (rev("autoresearch/test~1"), rev("main"));

    let elsewhere = fixture.commit(&candidate, &base);
    fixture.edit_journal(&candidate, &elsewhere);
    fixture.git(&["update-ref", "refs/autoresearch/test/exp/3", &elsewhere]);
    fixture.assert_broken(&["the candidate of experiment 3", "does not follow its parent"]);
    fixture.edit_journal(&elsewhere, &candidate);
    fixture.git(&["update-ref", "refs/autoresearch/test/exp/3", &candidate]);
    fixture.assert_sound("mended");

    // The last experiment has the last keep as its parent, so its candidate is made anew on the commit in its place.
    let last = rev("refs/autoresearch/test/exp/4");
    for (tree, parent, words) in
        [(&kept, &base, "does not follow the incumbent"), (&base, &first, "whose files are not those")]
    {
        let other = fixture.commit(tree, parent);
        let follower = fixture.commit(&last, &other);
        fixture.edit_journal(&kept, &other);
        fixture.edit_journal(&last, &follower);
        fixture.git(&["update-ref", "refs/heads/autoresearch/test", &other]);
        fixture.git(&["update-ref", "refs/autoresearch/test/exp/4", &follower]);
        fixture.assert_broken(&["experiment 3 was kept as", words]);
        fixture.edit_journal(&other, &kept);
        fixture.edit_journal(&follower, &last);
        fixture.git(&["update-ref", "refs/heads/autoresearch/test", &kept]);
        fixture.git(&["update-ref", "refs/autoresearch/test/exp/4", &last]);
    }
    // The baseline is the base or follows it.
    let Some(header) = fixture.state().header else { panic!() };
    assert_eq!(header.base, Some(Revision(base.clone())));
    fixture.edit_journal(&format!("\"base\":\"{base}\""), &format!("\"base\":\"{candidate}\""));
    let found = fixture.violations();
    assert!(found.len() == 2 && found.iter().all(|what| what.contains("experiment 0")), "{found:#?}");
}

#[tokio::test]
async fn every_object_can_be_read_and_has_its_hash() {
    let fixture = Fixture::finished().await;
    let object = |name: &str| {
        let id = fixture.git(&["rev-parse", name]);
        (fixture.repo().join(".git/objects").join(&id[..2]).join(&id[2..]), id)
    };
    let (other, _) = object("main:value.sh");
    let other = std::fs::read(other).unwrap();
    for (name, words) in [
        ("refs/autoresearch/test/exp/2", "the candidate of experiment 2, commit"),
        ("autoresearch/test", "what experiment 3 was kept as, commit"),
        ("refs/autoresearch/test/exp/2^{tree}", "tree"),
        ("refs/autoresearch/test/exp/2:value.sh", "blob"),
        ("main~1:value.sh", "blob"),
    ] {
        let (path, id) = object(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        fixture.assert_broken(&[words, &id, "cannot be read"]);
        let complaints = verify::fsck(&fixture.lineage()).unwrap();
        assert!(complaints.iter().any(|complaint| complaint.what.contains(&id)), "{complaints:?}");
        // Another object in its place is whole, and not the right one.
        std::fs::write(&path, &other).unwrap();
        fixture.assert_broken(&[words, &id, "cannot be read"]);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    fixture.assert_sound("mended");
    let whole = verify::objects(&fixture.state(), &fixture.lineage(), &Default::default()).unwrap().0;
    // Six commits with a tree and a blob each are candidates or history; two more reword what was kept.
    assert_eq!(whole, 6 * 3 + 2);

    fixture.edit_journal(&fixture.git(&["rev-parse", "refs/autoresearch/test/exp/2"]), "no commit");
    let found = fixture.violations();
    assert!(found.iter().any(|what| what.contains("`no commit`, which names no commit")), "{found:#?}");
}

#[tokio::test]
async fn a_journal_under_another_name_is_not_this_runs() {
    let fixture = Fixture::finished().await;
    let other = Lineage::open(&fixture.repo(), "other").unwrap();
    let found = verify::repository(&fixture.state(), &other).unwrap();
    assert!(found.len() == 1 && found[0].what.contains("the run test"), "{found:?}");
}
