//! Fixtures that the tests of several crates of this workspace share: real git repositories, and how much is tested.
//!
//! A failure here is one of the machine that runs the tests, so everything panics with what git said.

#![cfg_attr(test, allow(clippy::expect_used))]

use std::path::Path;
use std::process::Command;

/// The environment variable by which `cargo xtask test --thorough` asks for the long form of the tests that have one.
pub const THOROUGH: &str = "AUTORESEARCH_TEST_THOROUGH";

/// Returns true when the long form of the tests is asked for.
#[must_use]
pub fn thorough() -> bool {
    std::env::var_os(THOROUGH).is_some_and(|value| !value.is_empty())
}

/// Returns true by default, and says it: this test runs only where the long form of the tests is asked for.
#[must_use]
pub fn left_for_thorough() -> bool {
    if !thorough() {
        println!("skipped: a part of the long form of the tests, cargo xtask test --thorough");
    }
    !thorough()
}

/// Returns one of two numbers: the first by default, the second when the long form of the tests is asked for.
#[must_use]
pub fn by_default_or_thorough(short: usize, long: usize) -> usize {
    if thorough() { long } else { short }
}

/// Returns items, by default only every `step`-th one, the first included.
pub fn one_in<I: IntoIterator>(step: usize, items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().step_by(if thorough() { 1 } else { step })
}

/// Returns the numbers from 1 to `last`, by default only every `step`-th one, the first and the last always included.
#[must_use]
pub fn sampled(last: usize, step: usize) -> Vec<usize> {
    let step = if thorough() { 1 } else { step };
    let mut numbers: Vec<usize> = (1..=last).step_by(step).collect();
    if last > 0 && numbers.last() != Some(&last) {
        numbers.push(last);
    }
    numbers
}

/// Copies a program that is to be started. A copy by this process would be open for writing in children that other tests start
/// meanwhile, and the kernel starts no such file ("Text file busy").
#[track_caller]
pub fn copy_program(from: &Path, to: &Path) {
    match Command::new("cp").args([from, to]).status() {
        Ok(status) if status.success() => {}
        other => panic!("cannot copy {} to {}: {other:?}", from.display(), to.display()),
    }
}

/// Runs git in a folder and returns what it prints.
#[track_caller]
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = match Command::new("git").args(arguments).current_dir(folder).output() {
        Ok(output) => output,
        Err(error) => panic!("cannot start git in {}: {error}", folder.display()),
    };
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a repository of what the folder holds: one commit on the branch `main`, without the hooks of the machine's template.
#[track_caller]
pub fn init(folder: &Path) {
    git(folder, &["init", "-q", "-b", "main", "--template="]);
    commit_all(folder, "start");
}

/// Commits everything in the folder under a made-up name.
#[track_caller]
pub fn commit_all(folder: &Path, message: &str) {
    git(folder, &["add", "."]);
    git(folder, &["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", message]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_a_repository_with_one_commit() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.txt"), "a\n").expect("a file");
        init(folder.path());
        assert_eq!(git(folder.path(), &["log", "--format=%s"]), "start\n");
        assert_eq!(git(folder.path(), &["show", "main:a.txt"]), "a\n");
    }

    #[test]
    fn a_sample_has_both_ends() {
        assert_eq!(sampled(0, 3), [0; 0]);
        assert_eq!(sampled(1, 3), [1]);
        let seven = if thorough() { vec![1, 2, 3, 4, 5, 6, 7, 8] } else { vec![1, 4, 7, 8] };
        assert_eq!(sampled(8, 3), seven);
    }
}
