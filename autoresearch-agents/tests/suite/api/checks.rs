//! Checks by a command, dry runs, cassettes that do not fit, and proposals that are interrupted.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_agents::http::Cassette;
use autoresearch_agents::model::{Caps, Check, CommandCheck, DryRun, Surroundings};
use autoresearch_agents::{ClaudeProposer, ClaudeSettings};
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::*;

use super::fixture::*;
use super::mock::{Act, Ending, Mock};
use super::vendors::*;

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
    let status = Command::new("git").args(identity).args(arguments).current_dir(folder).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_command_checks_the_candidate_in_a_copy_of_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    std::fs::write(repository.join("locked.txt"), "locked\n").unwrap();
    std::fs::write(repository.join(FILE), "one\n").unwrap();
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-q", "-m", "first"]);
    // What is not committed is no part of the candidate.
    std::fs::write(repository.join("locked.txt"), "changed\n").unwrap();

    let lineage = Lineage::open(&repository, "test").unwrap();
    let head = lineage.head().unwrap();
    let script = format!("cat locked.txt {FILE}; env | grep -c PATTERN_KEY; grep -q two {FILE}");
    let argv = vec!["sh".to_owned(), "-c".into(), script];
    let check = CommandCheck::new(lineage, argv, folder.path().join("copy"));
    let files = |text: &str| BTreeMap::from([(FILE.to_owned(), text.to_owned())]);
    let words = check.check(&head, &files("three\n")).await.unwrap().unwrap_err();
    assert!(words.contains("ended with exit code 1") && words.contains("locked\nthree\n0\n"), "{words}");
    assert_eq!(check.check(&head, &files("two\n")).await.unwrap(), Ok(()));
    assert_eq!(std::fs::read_to_string(repository.join(FILE)).unwrap(), "one\n");
}

/// A repository with a script that checks changes, and the check.
fn scripted(folder: &Path, script: &str, editable: &[&str]) -> (Revision, CommandCheck) {
    let repository = folder.join("repository");
    std::fs::create_dir(&repository).unwrap();
    for (name, text) in [("check.sh", script), (FILE, "one\n")] {
        std::fs::write(repository.join(name), text).unwrap();
    }
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "."]);
    git(&repository, &["update-index", "--chmod=+x", "check.sh"]);
    git(&repository, &["commit", "-q", "-m", "first"]);
    let lineage = Lineage::open(&repository, "test").unwrap();
    let head = lineage.head().unwrap();
    let check = CommandCheck::new(lineage, vec!["./check.sh".into()], folder.join("copy"));
    (head, check.with_editable(EditablePaths::new(editable.iter().copied())))
}

fn with(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_script_of_the_repository_checks_until_a_change_breaks_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\ngrep -q two a.rs\n";
    let (head, check) = scripted(folder.path(), script, &["**"]);
    let whole = [(FILE, "two\n"), ("check.sh", script)];
    assert_eq!(check.check(&head, &with(&whole)).await.unwrap(), Ok(()), "it keeps its executable bit");
    for broken in [&whole[..1], &[whole[0], ("check.sh", "#!/no/such/shell\n")]] {
        let words = check.check(&head, &with(broken)).await.unwrap().unwrap_err();
        assert!(words.contains("`./check.sh`, which checks changes, cannot be started any more"), "{words}");
    }
    assert_eq!(check.check(&head, &with(&whole)).await.unwrap(), Ok(()), "the next change is not to blame");
    // A program that no change could take away is a mistake of the set-up.
    let (folder, missing) = (tempfile::tempdir().unwrap(), "#!/no/such/shell\n");
    let (head, check) = scripted(folder.path(), missing, &[FILE]);
    let error = check.check(&head, &with(&whole[..1])).await.unwrap_err();
    assert!(matches!(error, SandboxError::CannotStart { .. }), "{error}");
}

#[tokio::test]
async fn nothing_that_a_check_runs_or_is_given_reaches_files_outside_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::create_dir(&users).unwrap();
    std::fs::write(users.join("precious"), "as it was\n").unwrap();
    let precious = || std::fs::read_to_string(users.join("precious")).unwrap();
    // A path with a line break, which would be two lines of a list.
    let path = format!("src/x\n{}", users.join("precious").display());
    let patch = Patch { edits: vec![FileEdit::Write { path: path.clone(), text: "x".into() }] };
    let editable = EditablePaths::new(["src/**", FILE]);
    assert!(patch.applied_to(&with(&[(FILE, "one\n")]), &editable).is_err());
    let (head, check) = scripted(folder.path(), "#!/bin/sh\nsh a.rs\n", &["src/**", FILE]);
    check.check(&head, &with(&[(FILE, "true\n"), (&path, "x")])).await.unwrap_err();
    // What runs in a check may leave anything there, under which the next one must not suffer.
    for leaves in [
        "ln -sf $U/precious a.rs",
        "rm a.rs; mkdir -p a.rs/deep",
        "rm a.rs; mkfifo a.rs",
        "mkdir -p src; rm -rf src; ln -s $U src",
        "rm -f ../files; ln -s $U/precious ../files",
        "rm ../log; mkdir ../log",
        "mv ../tree ../aside; ln -s $U ../tree",
        "rm -rf ../tree",
    ] {
        let script = format!("U={}; {leaves}\n", users.display());
        assert_eq!(check.check(&head, &with(&[(FILE, &script), ("src/precious", "x")])).await.unwrap(), Ok(()));
        let files = with(&[(FILE, "test ! -e src/precious\n"), ("src/new", "x")]);
        let next = tokio::time::timeout(Duration::from_secs(20), check.check(&head, &files));
        assert_eq!(next.await.unwrap().unwrap(), Ok(()), "after `{leaves}`");
        assert_eq!(precious(), "as it was\n", "after `{leaves}`");
        assert_eq!(std::fs::read_dir(&users).unwrap().count(), 1, "after `{leaves}`");
    }
}

struct Dry(ClaudeProposer, Arc<Mutex<Option<DryRun>>>);

#[async_trait]
impl Proposer for Dry {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        *self.1.lock().unwrap() = Some(self.0.dry_run(context));
        Err(ProposerError::Exhausted("it was only a dry run".into()))
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_prompt_and_its_price_and_sends_nothing() {
    let mock = Mock::script(vec![Act::error(500, &[], "")]).await;
    let settings = ClaudeSettings { options: setup(&mock.url).options, ..Default::default() };
    let proposer = ClaudeProposer::new(settings, Surroundings::new(EditablePaths::new([FILE]))).unwrap();
    let found = Arc::default();
    lab(Box::new(Dry(proposer, Arc::clone(&found))), Stop::default()).run(&Cancel::new()).await.unwrap();
    let DryRun { system, user, body, input_tokens, worst, priced, .. } = found.lock().unwrap().take().unwrap();
    let body = format!("{:#}", body.unwrap());
    assert!(body.contains("const X: f64 = 10.0;") && !body.contains(KEY));
    assert!(system.unwrap().contains("Lower the score.") && user.contains("const X: f64 = 10.0;"));
    assert_eq!((worst.tokens, worst.calls, priced), (input_tokens + 2000, 1, true));
    assert!(worst.dollars > 2000.0 * 20.0 / 1e6 && worst.dollars < 0.1, "{worst:?}");
    assert!(mock.seen().is_empty());
}

#[tokio::test]
async fn a_cassette_of_another_search_ends_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape.jsonl");
    let mock = Mock::script(vec![Act::stream(Interface::Claude.text(&good(), End::Complete, 10, 20))]).await;
    let mut setup = setup(&mock.url);
    setup.options.record = Some(path.clone());
    once(setup.proposer(Interface::Claude)).await.unwrap();
    (setup.options.record, setup.options.replay, setup.options.key) = (None, Some(path.clone()), None);
    once(setup.proposer(Interface::Claude)).await.unwrap();
    setup.options.max_tokens = 1234;
    let error = once(setup.proposer(Interface::Claude)).await.unwrap_err().to_string();
    assert!(error.contains("-    \"max_tokens\": 2000") && error.contains("+    \"max_tokens\": 1234"), "{error}");
    assert_eq!(mock.seen().len(), 1);
    setup.options.replay = None;
    setup.cassette = Cassette::replay_from(&path).unwrap();
    assert!(once(setup.proposer(Interface::Claude)).await.is_err());
}

#[tokio::test]
async fn an_interrupted_proposal_counts_as_its_worst_case() {
    let acts = vec![
        Act::stream(vec![]).ending(Ending::Silence),
        Act::stream(Interface::Claude.text(&good(), End::Complete, 10, 20)),
    ];
    let mock = Mock::script(acts).await;
    let mut setup = setup(&mock.url);
    setup.run_caps = Caps { tokens: Some(1_000_000), ..Caps::default() };
    let mut lab = lab(setup.proposer(Interface::Claude), Stop::after(1));
    let cancel = Cancel::new();
    let stop = async {
        while mock.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (reason, ()) = tokio::join!(lab.run(&cancel), stop);
    assert_eq!(reason.unwrap(), StopReason::Cancelled);
    let cost = lab.state().rejections[0].cost;
    assert!(cost.tokens > 2000 && cost.calls == 1, "{cost:?}");
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().experiments[1].cost.tokens, INPUT + 10, "it counts once");
    assert_eq!(lab.state().cost.tokens, cost.tokens + INPUT + 10);
}
