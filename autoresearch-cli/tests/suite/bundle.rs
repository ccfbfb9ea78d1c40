//! A run in one file that others check: whole, broken in each way, forged, signed, and measured again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixture::{PRINT_SUM, Repository, text, wait_until};
use crate::reading::{answer, finished};

mod broken;
mod repacked;
mod repeated;

/// Bundles the run `t`, and returns the path.
pub fn bundle(repository: &Repository) -> PathBuf {
    let file = repository.root().join("t.bundle.tar");
    repository.succeeds(&["bundle", "t", "--output", file.to_str().unwrap()]);
    file
}

/// The command as somebody else runs it: in an empty folder with no repository around it, no home and no variables.
pub fn elsewhere(arguments: &[&str]) -> Output {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoresearch"));
    command.args(arguments).current_dir(empty.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.env("HOME", "").output().unwrap();
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "something is left behind");
    output
}

/// Checks a bundle that must be sound, and returns all that was said.
pub fn sound(file: &Path, more: &[&str]) -> String {
    let output = elsewhere(&[&["verify", file.to_str().unwrap()], more].concat());
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// Checks a bundle that must not be sound, and returns all that was said.
pub fn unsound(file: &Path, more: &[&str]) -> String {
    let output = elsewhere(&[&["verify", file.to_str().unwrap()], more].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    text(&output)
}

#[test]
fn a_bundle_is_verified_where_nothing_else_is() {
    let repository = finished("6");
    let file = bundle(&repository);
    let again = repository.root().join("again.tar");
    // Neither the time nor the way in which git has packed the repository shows.
    repository.git(&["gc", "-q", "--aggressive"]);
    repository.succeeds(&["bundle", "--output", again.to_str().unwrap()]);
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap(), "the same run gives the same bytes");

    let fields = answer(&repository, "bundle", &["bundle", "--json"]);
    let digest = fields["digest"].as_str().unwrap().to_owned();
    std::fs::remove_dir_all(&repository.folder).unwrap();
    let said = sound(&file, &[]);
    for part in [
        &format!("bundle: run t, 5 members, blake3:{digest}\n") as &str,
        "journal: ",
        "configuration: sound",
        "decisions: 6 judged again: sound",
        "repository: 7 candidates",
        "git fsck: sound",
        "results.tsv: 7 rows: sound",
        "repeatable: 7 of 7 trials, each with its seed and within 600 s, by `sh -c",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Other programs read it, too.
    let tar = |arguments: &[&str]| Command::new("tar").args(arguments).current_dir(repository.root()).output().unwrap();
    assert!(tar(&["-xf", "t.bundle.tar"]).status.success());
    let mut clone = Command::new("git");
    clone.args(["clone", "-q", "-b", "autoresearch/t", "repository.bundle", "clone"]).current_dir(repository.root());
    assert!(clone.status().unwrap().success());
    assert!(repository.root().join("clone/work.txt").is_file());
}

#[test]
fn the_answer_as_json_has_the_bundle() {
    let repository = finished("2");
    bundle(&repository);
    let checked = answer(&repository, "verify", &["verify", "../t.bundle.tar", "--json"]);
    assert_eq!((&checked["violations"], &checked["bundle"]["repeatable"]["trials"]), (&0.into(), &3.into()));
    let own = answer(&repository, "verify", &["verify", "t", "--json"]);
    assert_eq!((&own["tag"], own.get("bundle")), (&Value::from("t"), None));
}

#[test]
fn a_run_that_goes_on_is_bundled_up_to_its_latest_record() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = Repository::new(0.05);
    let mut running = repository.start(&["run", "--experiments", "20", "--tag", "t"]);
    wait_until("the run does not get on", || repository.of_run("t", "results.tsv").lines().count() > 2);
    let mut bundles = 0;
    while running.try_wait().unwrap().is_none() {
        let file = repository.root().join(format!("{bundles}.tar"));
        repository.succeeds(&["bundle", "t", "--output", file.to_str().unwrap()]);
        sound(&file, &[]);
        bundles += 1;
    }
    assert!(bundles > 2, "{bundles}");
}

#[test]
fn what_cannot_be_checked_is_not_bundled() {
    let repository = finished("2");
    repository.succeeds(&["bundle", "t", "--output", "x.tar"]);
    let said = repository.fails(&["bundle", "t", "--output", "x.tar"]);
    assert!(said.contains("x.tar is there already; move it away"), "{said}");
    repository.configure(|text| text.replace("strict", "noise-aware"));
    let said = repository.fails(&["bundle", "t"]);
    assert!(
        said.contains("not the configuration that the run t was made with") && said.contains("ratchet.rule"),
        "{said}"
    );
    repository.configure(|text| text.replace("noise-aware", "strict"));

    repository.write("mine.tsv", "aaaaaaa\t5\t1\tkeep\tas it is\n");
    repository.succeeds(&["import", "mine.tsv", "--direction", "minimise"]);
    assert!(repository.fails(&["bundle", "mine"]).contains("was imported, and has no commits"));
    let pin = repository.git(&["rev-parse", "refs/autoresearch/t/exp/1"]);
    repository.git(&["update-ref", "-d", "refs/autoresearch/t/exp/1"]);
    let said = repository.fails(&["bundle", "t", "--output", "y.tar"]);
    assert!(said.contains("the run t has 1 violation") && said.contains("autoresearch verify t --config"), "{said}");
    repository.git(&["update-ref", "refs/autoresearch/t/exp/1", pin.trim()]);
    repository.succeeds(&["bundle", "t", "--output", "y.tar"]);
    let left = std::fs::read_dir(&repository.folder).unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("-bundle-")), "nothing is left");
}

#[test]
fn candidates_that_gc_removed_are_told() {
    let repository = finished("6");
    repository.succeeds(&["gc", "--tag", "t", "--yes"]);
    let said = sound(&bundle(&repository), &[]);
    assert!(said.contains("not repeatable: experiments whose candidates were removed: 1"), "{said}");
}

#[test]
fn a_clone_without_its_history_is_not_bundled() {
    let origin = Repository::running(PRINT_SUM, "[ratchet]\nrule = 'strict'\n");
    origin.write("more", "1");
    origin.commit("more");
    let url = format!("file://{}", origin.folder.display());
    let clone = origin.root().join("clone");
    origin.git(&["clone", "-q", "--depth", "1", &url, clone.to_str().unwrap()]);
    let run = |arguments: &[&str]| {
        let output = origin.command(arguments).current_dir(&clone).output().unwrap();
        (output.status.success(), text(&output))
    };
    assert!(run(&["run", "--tag", "t", "--experiments", "1"]).0);
    let (done, said) = run(&["bundle", "t"]);
    assert!(!done && said.contains("git fetch --unshallow"), "{said}");
}

/// As a run that is killed between the two leaves it, and one that goes on shows it for a moment.
#[test]
fn a_keep_that_was_decided_and_not_adopted_is_bundled_with_its_commit() {
    let repository = finished("6");
    let path = repository.folder.join(".autoresearch/t/journal.jsonl");
    let journal = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    let adopted = lines.iter().rposition(|line| line.contains("\"type\":\"adopted\"")).unwrap();
    assert_eq!(lines.iter().filter(|line| line.contains("\"type\":\"decided\"")).count(), 7);
    assert!(lines[adopted..].iter().all(|line| !line.contains("\"type\":\"decided\"")), "the last one is kept");
    std::fs::write(&path, lines[..adopted].concat()).unwrap();
    repository.git(&["update-ref", "refs/heads/autoresearch/t", "autoresearch/t^"]);
    let said = sound(&bundle(&repository), &[]);
    assert!(said.contains("decisions: 6 judged again: sound"), "{said}");
}
