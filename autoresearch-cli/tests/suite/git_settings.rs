//! Settings of git that stand where only a variable says, as in containers and in CI.

use std::process::Command;

use crate::fixture::{Repository, text};

/// A repository whose score is the number of carriage returns in its file.
fn counting() -> Repository {
    Repository::running(r#"echo "score: $(tr -cd '\r' < work.txt | wc -c)""#, "")
}

#[test]
fn files_are_checked_out_by_the_settings_that_variables_name() {
    let settings = |command: &mut Command, how: usize| {
        let file = std::path::Path::new(command.get_current_dir().unwrap()).with_file_name("gitconfig");
        std::fs::write(&file, "[core]\n\tautocrlf = true\n").unwrap();
        match how {
            0 => command.env("GIT_CONFIG_GLOBAL", &file),
            1 => command.env("GIT_CONFIG_SYSTEM", &file),
            _ => command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "core.autocrlf")
                .env("GIT_CONFIG_VALUE_0", "true"),
        };
    };
    for how in 0..3 {
        let repository = counting();
        let mut command = repository.command(&["run", "--experiments", "0", "--tag", "t"]);
        settings(&mut command, how);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(repository.rows()[0].starts_with("3.000000"), "{how}: {:?}", repository.rows());
    }
    let repository = counting();
    repository.succeeds(&["run", "--experiments", "0", "--tag", "t"]);
    assert!(repository.rows()[0].starts_with("0.000000"), "{:?}", repository.rows());
}

#[test]
fn a_repository_of_another_user_is_opened_where_git_itself_trusts_it() {
    let repository = counting();
    // Only root can make one.
    if std::os::unix::fs::chown(repository.folder.join(".git"), Some(12345), None).is_err()
        || std::os::unix::fs::chown(&repository.folder, Some(12345), None).is_err()
    {
        eprintln!("skipped: this test needs root");
        return;
    }
    let asked = |trusted: &str| {
        let mut command = repository.command(&["run", "--experiments", "0", "--tag", "t"]);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory");
        command.env("GIT_CONFIG_VALUE_0", trusted).env("HOME", repository.root());
        command.output().unwrap()
    };
    let said = asked("/elsewhere");
    let remedy = format!("git config --global --add safe.directory {}", repository.folder.display());
    assert!(!said.status.success() && text(&said).contains(&remedy), "{}", text(&said));
    let said = asked(repository.folder.to_str().unwrap());
    assert!(said.status.success(), "{}", text(&said));
}
