//! `autoresearch doctor --attack`: what stops a hostile candidate in this set-up, and what does not.
#![cfg(target_os = "linux")]

use std::path::Path;

use crate::fixture::{PRINT_SUM, Repository, text};

/// The names in a folder that speak of canaries or attacks.
fn left(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("canary") || name.contains("attack")).collect()
}

/// Attacks with a home of its own, and looks that nothing is left. Returns the exit code and all that is said.
fn attacked(repository: &Repository, arguments: &[&str]) -> (i32, String) {
    let home = repository.root().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let before = repository.git(&["status", "--porcelain"]);
    let output = repository.command(arguments).env("HOME", &home).output().unwrap();
    for folder in
        [&home, &repository.folder.join(".git"), &repository.folder.join(".autoresearch"), Path::new("/dev/shm")]
    {
        assert_eq!(left(folder), [""; 0], "{}", folder.display());
    }
    assert_eq!(std::fs::read_dir(repository.cache().join("attacks")).unwrap().count(), 0, "nothing is left");
    assert_eq!(repository.git(&["status", "--porcelain"]), before);
    (output.status.code().unwrap(), text(&output))
}

/// The lines with one verdict.
fn lines<'a>(said: &'a str, verdict: &str) -> Vec<&'a str> {
    said.lines().filter_map(|line| line.strip_prefix(verdict)).map(str::trim_start).collect()
}

#[test]
fn without_walls_attacks_succeed_and_no_promise_is_broken() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = Repository::running(PRINT_SUM, "[isolation]\nlevel = 'none'\n");
    let (code, said) = attacked(&repository, &["doctor", "--attack"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning isolation: level = \"none\": commands may do what the user may do"), "{said}");
    let open = lines(&said, "OPEN ");
    assert!(open.contains(&"reads a file of the user: [isolation] level = \"best-effort\""), "{said}");
    assert!(open.contains(&"prints a number: let [evaluate] measure what the run leaves"), "{said}");
    assert!(open.len() >= 30, "{said}");
    let detected = lines(&said, "detected ");
    assert!(detected.iter().any(|line| line.starts_with("writes a line into the journal: ")), "{said}");
    assert!(detected.iter().any(|line| line.starts_with("proposes another evaluation: ")), "{said}");
    assert!(lines(&said, "contained ").iter().any(|line| line.starts_with("leaves a daemon: ")), "{said}");
    assert!(said.contains("no promise is broken"), "{said}");
}

#[test]
fn a_configuration_without_walls_is_attacked_behind_those_that_it_could_have() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = Repository::running(PRINT_SUM, "");
    let (code, said) = attacked(&repository, &["doctor", "--attack"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the configuration has none; attacked behind [isolation] level = \"best-effort\""), "{said}");
    let contained = lines(&said, "contained ");
    if said.contains("files (Landlock") && said.contains("what can be seen (") {
        assert!(contained.iter().any(|line| line.starts_with("reads a file of the user: ")), "{said}");
        assert!(contained.len() >= 60, "{said}");
    }
    assert!(said.contains("[isolation] must not leave out: pristine"), "{said}");
    if said.contains("process namespace (") {
        let listed = "lists processes with their command lines: process namespace";
        assert!(contained.iter().any(|line| line.starts_with(listed)), "{said}");
    }
    assert!(said.lines().last().unwrap().contains(" attacks: "), "{said}");
}

#[test]
fn a_wall_that_the_configuration_opens_is_told_by_the_exit_code() {
    let more = "[isolation]\nlevel = 'best-effort'\nwrite = ['{repo}/.autoresearch']\n";
    let repository = Repository::running(PRINT_SUM, more);
    std::fs::create_dir(repository.folder.join(".autoresearch")).unwrap();
    std::fs::write(repository.folder.join(".autoresearch/.gitignore"), "*\n").unwrap();
    let (code, said) = attacked(&repository, &["doctor", "--attack=the user's program"]);
    if !said.contains("files (Landlock") {
        return;
    }
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("OPEN      changes the user's program: in spite of: files (Landlock"), "{said}");
    assert!(said.contains("3 against what the configuration promises"), "{said}");
    let (code, said) = attacked(&repository, &["doctor", "--attack=no such words"]);
    assert!(code == 1 && said.contains("no attack has \"no such words\" in its name"), "{said}");
}

#[test]
fn the_attacks_answer_as_json() {
    let repository = Repository::running(PRINT_SUM, "[isolation]\nlevel = 'best-effort'\n");
    let report = crate::reading::answer(&repository, "doctor", &["doctor", "--attack=proposes", "--json"]);
    let attacks = report["attacks"].as_array().unwrap();
    assert!(attacks.len() >= 10 && attacks.iter().all(|one| one["verdict"] == "detected"), "{report}");
    assert!(attacks.iter().all(|one| one["promised"] == true && one["protection"].is_string()), "{report}");
}
