//! Candidates that are rebased onto a new incumbent in a real repository: merges, conflicts, and pins that keep every candidate
//! reachable.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoresearch_core::internal::git::Lineage;
use autoresearch_core::*;
use autoresearch_core::{Commands, Slot};
use proptest::prelude::*;

mod verified;

/// A repository with a text of twenty lines, an executable script, and a file that is not editable.
struct Fixture {
    folder: tempfile::TempDir,
}

fn lines() -> Vec<String> {
    (1..=20).map(|number| format!("line {number}")).collect()
}

/// The text of `lines`, with these lines changed.
fn with(changes: &[(usize, &str)]) -> String {
    let mut lines = lines();
    changes.iter().for_each(|(line, text)| lines[line - 1] = (*text).to_owned());
    lines.join("\n") + "\n"
}

fn write(path: &str, text: impl Into<String>) -> Patch {
    Patch { edits: vec![FileEdit::Write { path: path.into(), text: text.into() }] }
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture { folder: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap() };
        std::fs::create_dir_all(fixture.repo().join("src")).unwrap();
        fixture.git(&["init", "-q", "-b", "main", "--template="]);
        fixture.write("src/a.txt", &with(&[]));
        fixture.write("src/run.sh", "echo 1\necho 2\necho 3\necho 4\n");
        fixture.write("fixed.txt", "fixed\n");
        fixture.git(&["add", "."]);
        fixture.git(&["update-index", "--chmod=+x", "src/run.sh"]);
        fixture.commit("start");
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.repo().join(path), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        test_fixtures::git(&self.repo(), arguments).trim_end().to_owned()
    }

    /// Commits the index, as the user does.
    fn commit(&self, message: &str) -> Revision {
        self.git(&["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", message]);
        self.head()
    }

    fn head(&self) -> Revision {
        Revision(self.git(&["rev-parse", "HEAD"]))
    }

    fn lineage(&self) -> Lineage {
        Lineage::open(&self.repo(), "test").unwrap()
    }

    fn sandbox(&self) -> CommandSandbox {
        let commands = Commands { editable: EditablePaths::new(["src/**"]), ..Commands::default() };
        let (slots, logs) = (Vec::<Slot>::new(), self.folder.path().join("logs"));
        CommandSandbox::local(&self.repo(), "test", commands, slots, logs).unwrap()
    }

    fn show(&self, revision: &Revision, path: &str) -> String {
        self.git(&["show", &format!("{revision}:{path}")]) + "\n"
    }

    fn mode(&self, revision: &Revision, path: &str) -> String {
        self.git(&["ls-tree", &revision.0, path]).split(' ').next().unwrap().to_owned()
    }

    fn pins(&self) -> BTreeMap<String, String> {
        let refs = self.git(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/autoresearch/test"]);
        let pairs = refs.lines().filter_map(|line| line.split_once(' '));
        pairs.map(|(name, id)| (name.rsplit('/').next().unwrap().to_owned(), id.to_owned())).collect()
    }
}

async fn stage(sandbox: &CommandSandbox, experiment: u32, parent: &Revision, patch: &Patch) -> Candidate {
    sandbox.stage(ExperimentId(experiment), parent, patch, &format!("change {experiment}")).await.unwrap()
}

async fn rebase(
    sandbox: &CommandSandbox,
    (experiment, times): (u32, u32),
    candidate: &Candidate,
    from: &Revision,
    onto: &Revision,
) -> Result<Candidate, String> {
    let change = Patch::default();
    let description = "not the candidate's message";
    let rebase =
        Rebase { experiment: ExperimentId(experiment), times, candidate, from, onto, change: &change, description };
    match sandbox.rebase(rebase).await.unwrap() {
        Rebased::Candidate(candidate) => Ok(candidate),
        Rebased::Conflict(text) => Err(text),
    }
}

#[tokio::test]
async fn disjoint_changes_are_both_made_on_what_was_kept() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(3, "three\nand a half")]))).await;
    let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(17, "seventeen\nA\nB")]))).await;
    let kept = sandbox.commit(&one, None, "kept").await.unwrap();
    // Uncommitted changes of the user are not in the way.
    fixture.write("src/a.txt", "being edited\n");
    fixture.write("src/new.txt", "staged\n");
    fixture.git(&["add", "src/new.txt"]);
    let mine =
        || (fixture.git(&["status", "--porcelain"]), fixture.git(&["ls-files", "-s"]), fixture.git(&["branch", "-a"]));
    let before = mine();

    let rebased = rebase(&sandbox, (2, 1), &two, &base, &kept).await.unwrap();
    assert_eq!(
        fixture.show(&rebased.revision, "src/a.txt"),
        with(&[(3, "three\nand a half"), (17, "seventeen\nA\nB")])
    );
    assert_eq!(fixture.git(&["log", "-1", "--format=%P %B", &rebased.revision.0]), format!("{kept} change 2"));
    assert_eq!((two.added_lines, rebased.added_lines), (2, 2), "against what it was rebased onto");
    assert_eq!(fixture.mode(&rebased.revision, "src/run.sh"), "100755");
    assert_eq!(fixture.git(&["diff", "--name-only", &kept.0, &rebased.revision.0]), "src/a.txt");
    assert_eq!(mine(), before);
    assert!(rebased.fingerprint != two.fingerprint && rebased.fingerprint != one.fingerprint);

    let pinned = [("1", &one), ("2", &two), ("2.1", &rebased)].map(|(name, c)| (name.to_owned(), c.revision.0.clone()));
    assert_eq!(fixture.pins(), pinned.into());
    assert_eq!(fixture.lineage().pin_of_rebase(ExperimentId(2), 1), "refs/autoresearch/test/exp/2.1");
}

#[tokio::test]
async fn a_change_that_was_kept_meanwhile_leaves_nothing_to_measure() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(3, "three"), (9, "nine")]))).await;
    let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(9, "nine")]))).await;
    let rebased = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
    assert_eq!((rebased.fingerprint, rebased.added_lines), (one.fingerprint, 0));
}

#[tokio::test]
async fn modes_are_merged_like_texts() {
    let fixture = Fixture::new();
    let base = fixture.head();
    fixture.git(&["update-index", "--chmod=+x", "src/a.txt"]);
    fixture.git(&["update-index", "--chmod=-x", "src/run.sh"]);
    let onto = fixture.commit("modes");
    let sandbox = fixture.sandbox();
    // The text is the candidate's, the mode is the one that was changed meanwhile.
    let candidate = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(5, "five")]))).await;
    assert_eq!(fixture.mode(&candidate.revision, "src/a.txt"), "100644");
    let rebased = rebase(&sandbox, (1, 1), &candidate, &base, &onto).await.unwrap();
    assert_eq!(fixture.show(&rebased.revision, "src/a.txt"), with(&[(5, "five")]));
    assert_eq!(["src/a.txt", "src/run.sh"].map(|path| fixture.mode(&rebased.revision, path)), ["100755", "100644"]);
    // And the other way round: the modes are the candidate's.
    let kept = stage(&sandbox, 2, &base, &write("src/run.sh", "echo 1\necho 2\necho 3\necho four\n")).await;
    let rebased = rebase(&sandbox, (3, 1), &Candidate::new(onto.0), &base, &kept.revision).await.unwrap();
    assert_eq!(["src/a.txt", "src/run.sh"].map(|path| fixture.mode(&rebased.revision, path)), ["100755", "100644"]);
    assert!(fixture.show(&rebased.revision, "src/run.sh").ends_with("echo four\n"));
}

#[tokio::test]
async fn both_sides_of_a_conflict_are_shown() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    // A text that looks like what a conflict is written with.
    let tricky = "ten\n<<<<<<< kept\n=======\n>>>>>>>>>> mine";
    let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(2, "two\nand"), (10, tricky), (15, "X")]))).await;
    let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(10, "TEN"), (19, "Y")]))).await;
    let text = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap_err();
    assert_eq!(
        text,
        format!(
            "This change and what was kept meanwhile contradict each other in src/a.txt.\n\n\
             src/a.txt, from line 11 of the file as it was kept:\n\
             <<<<<<< kept meanwhile\n{tricky}\n||||||| before both\nline 10\n=======\nTEN\n>>>>>>> this change\n"
        )
    );
    assert!(!fixture.pins().contains_key("2.1"), "a conflict is no candidate");
}

#[tokio::test]
async fn a_conflict_of_any_size_is_said_in_some_four_thousand_bytes() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let side = |name: &str| {
        let at = |line: usize| format!("{name} {line} {}\n{}", "é".repeat(900 * (line % 2)), "more\n".repeat(300));
        let changes: Vec<(usize, String)> = (1..=10).map(|line| (2 * line, at(line))).collect();
        with(&changes.iter().map(|(line, text)| (*line, text.as_str())).collect::<Vec<_>>())
    };
    let one = stage(&sandbox, 1, &base, &write("src/a.txt", side("theirs"))).await;
    let two = stage(&sandbox, 2, &base, &write("src/a.txt", side("mine"))).await;
    let text = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap_err();
    assert!(text.len() < 4100 && text.len() > 2000, "{} bytes", text.len());
    for words in ["theirs 1 é", "mine 1 é", "line 2\n", "[cut]", "more lines]", "more places are left out]"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn a_file_that_one_side_deleted_is_a_conflict_unless_the_other_left_it_alone() {
    let fixture = Fixture::new();
    let base = fixture.head();
    fixture.git(&["rm", "-qf", "src/run.sh"]);
    let without = fixture.commit("delete");
    let sandbox = fixture.sandbox();
    let edits = stage(&sandbox, 1, &base, &write("src/run.sh", "echo 9\n")).await;
    let text = rebase(&sandbox, (1, 1), &edits, &base, &without).await.unwrap_err();
    assert!(text.contains("src/run.sh: this change edits it, and what was kept meanwhile deleted it"), "{text}");
    let deletes = Candidate::new(without.0.clone());
    let text = rebase(&sandbox, (2, 1), &deletes, &base, &edits.revision).await.unwrap_err();
    assert!(text.contains("src/run.sh: this change deletes it, and what was kept meanwhile edited it"), "{text}");

    let other = stage(&sandbox, 3, &base, &write("src/a.txt", with(&[(1, "one")]))).await;
    for (candidate, onto) in [(&other, &without), (&deletes, &other.revision)] {
        let rebased = rebase(&sandbox, (4, 1), candidate, &base, onto).await.unwrap();
        assert_eq!(fixture.git(&["ls-tree", "-r", "--name-only", &rebased.revision.0]), "fixed.txt\nsrc/a.txt");
        assert_eq!(fixture.show(&rebased.revision, "src/a.txt"), with(&[(1, "one")]));
    }
    // The last file of a folder takes the folder with it.
    fixture.git(&["rm", "-qf", "src/a.txt"]);
    let nothing = fixture.commit("delete all");
    let rebased = rebase(&sandbox, (5, 1), &Candidate::new(nothing.0), &without, &without).await.unwrap();
    assert_eq!(fixture.git(&["ls-tree", "--name-only", &rebased.revision.0]), "fixed.txt");
}

#[tokio::test]
async fn a_file_where_a_folder_is_or_that_both_made_is_a_conflict() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let file = stage(&sandbox, 1, &base, &write("src/new", "a file\n")).await;
    let folder = stage(&sandbox, 2, &base, &write("src/new/part", "below it\n")).await;
    let text = rebase(&sandbox, (2, 1), &folder, &base, &file.revision).await.unwrap_err();
    assert!(text.contains("src/new/part: it cannot be a file beside src/new"), "{text}");
    let text = rebase(&sandbox, (1, 1), &file, &base, &folder.revision).await.unwrap_err();
    assert!(text.contains("src/new: it cannot be a file beside src/new/part"), "{text}");

    let other = stage(&sandbox, 3, &base, &write("src/new", "another\n")).await;
    let text = rebase(&sandbox, (3, 1), &other, &base, &file.revision).await.unwrap_err();
    assert!(text.contains("a file") && text.contains("another"), "{text}");
    // A path that only begins alike is no folder of it.
    let beside = stage(&sandbox, 4, &base, &write("src/new.txt", "beside\n")).await;
    let rebased = rebase(&sandbox, (4, 1), &beside, &base, &folder.revision).await.unwrap();
    assert_eq!(fixture.show(&rebased.revision, "src/new/part"), "below it\n");
}

#[tokio::test]
async fn what_may_not_be_edited_is_not_rebased() {
    let fixture = Fixture::new();
    let base = fixture.head();
    fixture.write("fixed.txt", "changed\n");
    fixture.git(&["add", "fixed.txt"]);
    let tampered = Candidate::new(fixture.commit("tamper").0);
    let sandbox = fixture.sandbox();
    let kept = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(1, "one")]))).await;
    let rebase = Rebase {
        experiment: ExperimentId(2),
        times: 1,
        candidate: &tampered,
        from: &base,
        onto: &kept.revision,
        change: &Patch::default(),
        description: "",
    };
    let error = sandbox.rebase(rebase).await.unwrap_err().to_string();
    assert!(error.contains("fixed.txt, which may not be edited"), "{error}");
    assert!(!fixture.pins().contains_key("2.1"));
}

#[tokio::test]
async fn attributes_and_settings_of_the_repository_change_nothing() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let canary = fixture.folder.path().join("canary");
    // Each of these makes `git merge` do something else.
    for attribute in ["merge=union", "-merge", "merge=x", "merge=x filter=x text eol=crlf ident"] {
        fixture.write(".gitattributes", &format!("* {attribute}\n"));
        let trap = format!("touch {}; cat", canary.display());
        for setting in ["merge.x.driver", "filter.x.clean", "filter.x.smudge"] {
            fixture.git(&["config", setting, &trap]);
        }
        for (setting, value) in [("merge.default", "union"), ("core.autocrlf", "true"), ("merge.renames", "false")] {
            fixture.git(&["config", setting, value]);
        }
        let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(10, "ten")]))).await;
        let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(10, "TEN")]))).await;
        let three = stage(&sandbox, 3, &base, &write("src/a.txt", with(&[(20, "$Id$")]))).await;
        let text = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap_err();
        assert!(text.contains("\nten\n") && text.contains("\nTEN\n"), "{attribute}: {text}");
        let rebased = rebase(&sandbox, (3, 1), &three, &base, &one.revision).await.unwrap();
        assert_eq!(fixture.show(&rebased.revision, "src/a.txt"), with(&[(10, "ten"), (20, "$Id$")]), "{attribute}");
        assert!(!canary.exists(), "{attribute}");
    }
}

#[tokio::test]
async fn the_base_is_what_the_change_was_made_from_whoever_its_ancestors_are() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let change = |line: usize, text: &str| write("src/a.txt", with(&[(line, text)]));
    let one = stage(&sandbox, 1, &base, &change(2, "one")).await;
    let two = stage(&sandbox, 2, &base, &change(8, "two")).await;
    let three = stage(&sandbox, 3, &base, &change(14, "three")).await;
    // The second and the third queue up behind the first, which then fails: each is rebased without it.
    let two_on_one = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
    let three_on_two = rebase(&sandbox, (3, 1), &three, &base, &two_on_one.revision).await.unwrap();
    let all = with(&[(2, "one"), (8, "two"), (14, "three")]);
    assert_eq!(fixture.show(&three_on_two.revision, "src/a.txt"), all);
    let kept = sandbox.commit(&two, None, "kept").await.unwrap();
    let three_on_kept = rebase(&sandbox, (3, 2), &three_on_two, &two_on_one.revision, &kept).await.unwrap();
    assert_eq!(fixture.show(&three_on_kept.revision, "src/a.txt"), with(&[(8, "two"), (14, "three")]));
    // And the first is rebased, after all, onto the commits that had it as their base.
    let kept = sandbox.commit(&three_on_kept, Some(&kept), "kept too").await.unwrap();
    let one_on_all = rebase(&sandbox, (1, 1), &one, &base, &kept).await.unwrap();
    assert_eq!(fixture.show(&one_on_all.revision, "src/a.txt"), all);
    assert_eq!(fixture.pins().keys().collect::<Vec<_>>(), ["1", "1.1", "2", "2.1", "3", "3.1", "3.2"]);
}

#[tokio::test]
async fn a_rebase_that_a_crash_kept_from_the_journal_is_repeated() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(2, "one")]))).await;
    let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(8, "two")]))).await;
    let lost = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
    assert_eq!(fixture.pins()["2.1"], lost.revision.0);
    // Another lab, and perhaps another parent.
    let sandbox = fixture.sandbox();
    let again = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
    assert_eq!((&again.fingerprint, fixture.pins()["2.1"].as_str()), (&lost.fingerprint, again.revision.0.as_str()));
    let other = rebase(&sandbox, (2, 1), &two, &base, &base).await.unwrap();
    assert_eq!(fixture.pins()["2.1"], other.revision.0);
    assert_eq!(fixture.pins()["2"], two.revision.0, "the first candidate stays");
}

#[tokio::test]
async fn what_was_measured_on_another_state_is_kept_as_one_change_of_the_incumbent() {
    let fixture = Fixture::new();
    let (sandbox, base) = (fixture.sandbox(), fixture.head());
    let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(2, "one")]))).await;
    let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(8, "two")]))).await;
    let two = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
    let kept = sandbox.commit(&one, None, "kept").await.unwrap();
    assert!(kept != one.revision, "it has a message of its own");
    // Queued behind the candidate, it is a change of the commit that the candidate was kept as.
    let stacked = sandbox.commit(&two, Some(&kept), "kept too").await.unwrap();
    let tree = |revision: &Revision| fixture.git(&["rev-parse", &format!("{revision}^{{tree}}")]);
    assert_eq!(fixture.git(&["log", "-1", "--format=%P %B", &stacked.0]), format!("{kept} kept too"));
    assert_eq!(tree(&stacked), tree(&two.revision));
    assert_eq!(fixture.git(&["diff", "--numstat", &kept.0, &stacked.0]), "1\t1\tsrc/a.txt");
    // One that conflicts replaces the incumbent's lines, and the lineage stays one line.
    let three = stage(&sandbox, 3, &base, &write("src/a.txt", with(&[(8, "three")]))).await;
    assert!(rebase(&sandbox, (3, 1), &three, &base, &stacked).await.is_err());
    let replaced = sandbox.commit(&three, Some(&stacked), "instead").await.unwrap();
    assert_eq!(tree(&replaced), tree(&three.revision));
    sandbox.adopt(None, &kept).await.unwrap();
    for (from, to) in [(&kept, &stacked), (&stacked, &replaced)] {
        sandbox.adopt(Some(from), to).await.unwrap();
    }
    assert_eq!(fixture.git(&["rev-list", "--parents", "autoresearch/test"]).lines().count(), 4);
    assert_eq!(fixture.git(&["rev-list", "--merges", "autoresearch/test"]), "");
}

/// One side's edits: by line, whether it is replaced, and the new lines.
fn edits() -> impl Strategy<Value = BTreeMap<usize, (bool, Vec<String>)>> {
    let text = prop::collection::vec("[a-c ]{0,3}(\r|é|<<<<<<< |=======)?", 0..4);
    prop::collection::btree_map(0..30usize, (any::<bool>(), text), 0..12)
}

/// The lines after the edits of one side, or of both.
fn apply(base: &[String], edits: &BTreeMap<usize, (bool, Vec<String>)>, sides: &[bool], end: &str) -> String {
    let mut lines = Vec::new();
    for (at, line) in base.iter().enumerate() {
        match edits.get(&at) {
            // A line of each side's own, so that no edit can be taken for another.
            Some((side, text)) if sides.contains(side) => {
                lines.extend(text.iter().enumerate().map(|(n, text)| format!("{side} {at} {n} {text}")))
            }
            _ => lines.push(line.clone()),
        }
    }
    lines.join("\n") + end
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Edits of different sides with an untouched line between them merge to the text with both.
    #[test]
    fn disjoint_edits_merge_to_both(mut edits in edits(), ends in any::<bool>()) {
        let base: Vec<String> = (0..31).map(|number| format!("line {number}")).collect();
        let all = edits.clone();
        let near = |at: &usize, side: bool| [at.wrapping_sub(1), at + 1].iter().any(|n| all.get(n).is_some_and(|e| e.0 != side));
        edits.retain(|at, (side, _)| !near(at, *side));
        let end = if ends { "\n" } else { "" };
        let fixture = Fixture::new();
        let (sandbox, start) = (fixture.sandbox(), fixture.head());
        let commit = |text: String| {
            let changed = BTreeMap::from([("src/a.txt".to_owned(), Some(text))]);
            fixture.lineage().commit_changes(&start, &changed, "edit").unwrap()
        };
        let [from, onto, mine] = [&[][..], &[true], &[false]].map(|sides| commit(apply(&base, &edits, sides, end)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let rebased = runtime.block_on(rebase(&sandbox, (1, 1), &Candidate::new(mine.0), &from, &onto));
        let rebased = rebased.map_err(TestCaseError::fail)?;
        let lineage = fixture.lineage();
        let tree = lineage.tree(&rebased.revision).unwrap();
        let text = String::from_utf8(lineage.blob(tree["src/a.txt"].blob).unwrap()).unwrap();
        prop_assert_eq!(text, apply(&base, &edits, &[true, false], end));
    }
}
