//! Taking kept changes over, and removing what old runs left.

use std::os::unix::fs::PermissionsExt;

use crate::fixture::{Repository, text, wait_until};
use crate::reading::finished;

/// A finished run with several keeps, in a repository that git can commit to.
fn with_keeps() -> Repository {
    let repository = finished("8");
    for (name, value) in [("user.name", "u"), ("user.email", "u@localhost")] {
        repository.git(&["config", name, value]);
    }
    repository
}

fn tree(repository: &Repository, revision: &str) -> String {
    repository.git(&["rev-parse", &format!("{revision}^{{tree}}")])
}

/// Head, index and working tree.
fn everything(repository: &Repository) -> (String, String, String) {
    let work = std::fs::read_to_string(repository.folder.join("work.txt")).unwrap();
    (repository.git(&["rev-parse", "HEAD"]), repository.git(&["status", "--porcelain"]), work)
}

fn hook(repository: &Repository, name: &str, script: &str) {
    let path = repository.folder.join(".git/hooks").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_kept_changes_become_a_branch_a_commit_or_commits() {
    let repository = with_keeps();
    let keeps = repository.rows().iter().filter(|row| row.contains("\tkeep\t")).count() - 1;
    assert!(keeps >= 2, "{:?}", repository.rows());
    // A branch needs no clean tree.
    repository.write("work.txt", "dirty\n");
    repository.succeeds(&["apply", "--name", "mine"]);
    assert_eq!(repository.git(&["rev-parse", "mine"]), repository.git(&["rev-parse", "autoresearch/t"]));
    for form in ["commit", "patches"] {
        let before = everything(&repository);
        let said = repository.fails(&["apply", "--as", form]);
        assert!(said.contains("uncommitted changes, and nothing was applied:\n  work.txt"), "{said}");
        assert_eq!(everything(&repository), before);
    }
    repository.git(&["checkout", "-q", "work.txt"]);

    let mark = repository.root().join("hook-ran");
    hook(&repository, "pre-commit", &format!("touch {}", mark.display()));
    repository.git(&["switch", "-q", "-c", "one"]);
    let said = repository.succeeds(&["apply", "--as", "commit"]);
    assert!(said.contains(&format!("applied {keeps} kept changes of t to one as one commit")), "{said}");
    assert!(mark.exists(), "the user's hook");
    assert_eq!(repository.git(&["rev-list", "--count", "main..one"]).trim(), "1");
    assert_eq!(tree(&repository, "one"), tree(&repository, "autoresearch/t"));
    assert!(repository.git(&["log", "-1", "--format=%an %B"]).starts_with("u "), "the user is the author");
    let again = repository.succeeds(&["apply", "--as", "commit"]);
    assert!(again.contains("has the changes of t already"), "{again}");

    repository.git(&["switch", "-q", "-c", "many", "main"]);
    repository.succeeds(&["apply", "--as", "patches"]);
    assert_eq!(repository.git(&["rev-list", "--count", "main..many"]).trim(), keeps.to_string());
    assert_eq!(tree(&repository, "many"), tree(&repository, "autoresearch/t"));
}

#[test]
fn changes_that_were_taken_over_already_are_told() {
    let repository = with_keeps();
    let keeps = repository.rows().iter().filter(|row| row.contains("\tkeep\t")).count() - 1;
    let said = repository.succeeds(&["apply"]);
    assert!(said.contains(&format!("the branch best-t has {keeps} kept changes: git switch best-t")), "{said}");
    let again = repository.succeeds(&["apply"]);
    assert!(again.contains(&format!("the branch best-t has {keeps} kept changes already")), "{again}");
    repository.git(&["branch", "-q", "-f", "best-t", "main"]);
    let other = repository.fails(&["apply"]);
    assert!(other.contains("there is a branch best-t already, at the commit "), "{other}");
    assert!(other.contains("autoresearch apply --as branch --name best-t-2"), "{other}");

    for form in ["commit", "patches"] {
        repository.git(&["switch", "-q", "-C", "mine", "main"]);
        repository.succeeds(&["apply", "--as", form]);
        let before = everything(&repository);
        let again = repository.succeeds(&["apply", "--as", "patches"]);
        assert_eq!(again, "the branch mine has the changes of t already\n", "{form}");
        assert_eq!(everything(&repository), before, "{form}");
    }
}

#[test]
fn a_conflict_or_a_hook_leaves_everything_as_it_was() {
    let repository = with_keeps();
    hook(&repository, "pre-commit", "echo not like this >&2; exit 1");
    let before = everything(&repository);
    let said = repository.fails(&["apply", "--as", "commit"]);
    assert!(said.contains("not like this") && said.contains("nothing was changed"), "{said}");
    assert_eq!(everything(&repository), before);
    std::fs::remove_file(repository.folder.join(".git/hooks/pre-commit")).unwrap();
    // The user has rewritten the lines since.
    let work = std::fs::read_to_string(repository.folder.join("work.txt")).unwrap();
    repository.write("work.txt", &work.replace("= 50", "= 77").replace("= 0.5", "= 0.7"));
    repository.commit("mine");
    let before = everything(&repository);
    for form in ["commit", "patches"] {
        let said = repository.fails(&["apply", "--as", form]);
        assert!(said.contains("CONFLICT") && said.contains("nothing was changed"), "{form}: {said}");
        assert!(!said.contains("hint:"), "{form}: {said}");
        assert_eq!(everything(&repository), before, "{form}");
    }
    repository.git(&["checkout", "-q", "--detach"]);
    assert!(repository.fails(&["apply", "--as", "commit"]).contains("no branch is checked out"));
}

#[test]
fn only_the_kept_changes_are_taken_over() {
    let repository = with_keeps();
    // The commit that the run began with had a file that the user wants nobody to have.
    repository.git(&["config", "merge.ff", "false"]);
    for form in ["commit", "patches"] {
        repository.git(&["switch", "-q", "-C", "amended", "main"]);
        repository.git(&["rm", "-q", "program.md"]);
        repository.git(&["commit", "-q", "--amend", "--message", "without it"]);
        repository.succeeds(&["apply", "--as", form]);
        let changed = repository.git(&["diff", "--name-only", "main", "HEAD"]);
        assert_eq!(changed, "program.md\nwork.txt\n", "{form}");
        let again = repository.succeeds(&["apply", "--as", "commit"]);
        assert!(again.contains("has the changes of t already"), "{again}");
    }
}

#[test]
fn a_hook_that_edits_before_it_says_no_leaves_everything_as_it_was() {
    let repository = with_keeps();
    hook(&repository, "pre-commit", "echo formatted >> work.txt; exit 1");
    let before = everything(&repository);
    let said = repository.fails(&["apply", "--as", "commit"]);
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(everything(&repository), before);
}

#[test]
fn an_operation_of_git_that_the_user_has_begun_is_left_alone() {
    let repository = with_keeps();
    // Of three picks the first is done, and the second has nothing to change: the tree is clean, and the third still to come.
    repository.git(&["switch", "-q", "-c", "others", "main"]);
    for name in ["first", "empty", "third"] {
        repository.write(name, "");
        repository.commit(name);
    }
    repository.git(&["switch", "-q", "-c", "mine", "main"]);
    repository.write("empty", "");
    repository.commit("the same as the second");
    repository.git_stops(&["cherry-pick", "others~2", "others~1", "others"]);
    assert!(repository.folder.join("first").exists() && !repository.folder.join("third").exists());
    let before = everything(&repository);
    for form in ["commit", "patches"] {
        let said = repository.fails(&["apply", "--as", form]);
        assert!(said.contains("a cherry-pick is in progress here, and nothing was applied"), "{form}: {said}");
        assert_eq!(everything(&repository), before, "{form}");
    }
    repository.git(&["cherry-pick", "--skip"]);
    assert!(repository.folder.join("third").exists(), "the user's own picks go on");
    // A merge that is resolved to what was there.
    repository.git(&["merge", "-q", "--no-commit", "-s", "ours", "autoresearch/t"]);
    let said = repository.fails(&["apply", "--as", "commit"]);
    assert!(said.contains("a merge is in progress here"), "{said}");
    assert!(repository.folder.join(".git/MERGE_HEAD").exists());
}

#[test]
fn old_runs_lose_what_they_no_longer_need_and_stay_valid() {
    let repository = finished("8");
    let pins = |tag: &str| repository.git(&["for-each-ref", &format!("refs/autoresearch/{tag}/")]).lines().count();
    let kept = repository.rows().iter().filter(|row| row.contains("\tkeep\t")).count();
    assert_eq!(pins("t"), 9);
    let said = repository.succeeds(&["gc", "--yes"]);
    assert!(said.contains("t stays: it is the latest run") && pins("t") == 9, "{said}");
    repository.succeeds(&["run", "--tag", "later", "--experiments", "2"]);
    let refs = repository.git(&["for-each-ref"]);
    let said = repository.succeeds(&["gc"]);
    assert!(said.contains(&format!("t: {} refs, ", 9 - kept)) && said.contains("nothing is removed yet"), "{said}");
    assert_eq!(repository.git(&["for-each-ref"]), refs, "a dry run");
    let best = repository.git(&["rev-parse", "autoresearch/t"]);
    repository.succeeds(&["gc", "--yes"]);
    assert_eq!((pins("t"), pins("later")), (kept, 3));
    assert_eq!(repository.git(&["rev-parse", "autoresearch/t"]), best);
    assert!(!repository.folder.join(".autoresearch/t/logs").exists());
    assert!(repository.folder.join(".autoresearch/later/logs").exists());
    repository.git(&["gc", "-q", "--prune=now"]);
    for tag in ["t", "later"] {
        assert!(repository.succeeds(&["verify", "--tag", tag]).ends_with("\nsound\n"));
    }
    assert!(repository.succeeds(&["gc"]).contains("there is nothing to remove"));
    // A run that lost its old candidates goes on.
    repository.succeeds(&["run", "--tag", "t", "--experiments", "10"]);
    assert!(repository.succeeds(&["verify", "--tag", "t"]).ends_with("\nsound\n"));
}

#[test]
fn a_run_in_progress_is_never_cleared() {
    let repository =
        Repository::running(&format!("sleep 0.3\n{}", crate::fixture::PRINT_SUM), "[ratchet]\nrule = 'strict'\n");
    let mut child = repository.start(&["run", "--tag", "t", "--experiments", "60"]);
    wait_until("no experiment", || repository.of_run("t", "results.tsv").lines().count() > 4);
    let output = repository.run(&["gc", "--tag", "t", "--yes"]);
    assert!(text(&output).contains("t stays: it is in progress"), "{}", text(&output));
    repository.succeeds(&["stop", "--now", "--wait"]);
    child.wait().unwrap();
    assert!(repository.succeeds(&["verify", "--tag", "t"]).ends_with("\nsound\n"));
}
