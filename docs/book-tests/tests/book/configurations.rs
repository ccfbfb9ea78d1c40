//! Every ```toml block is read by the real command: whole configurations as they are, parts laid over one of the
//! configurations in `fixtures/bases`, as a preset is.

use std::fs;
use std::path::Path;
use std::process::Output;

use autoresearch_book::page::{Block, Page, root};

use crate::program::{said, sealed};
use crate::{all, report};

/// Number of tables from which on a block is a reference of keys that are not all used together: each table is read by itself.
const REFERENCE: usize = 8;

#[test]
fn every_configuration_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, repository) = (folder.path().join("home"), folder.path().join("work"));
    fs::create_dir(&home).expect("a folder");
    let bases = repository_of(&repository, &home);
    let mut found = Vec::new();
    for page in all() {
        for block in page.blocks.iter().filter(|block| block.language == "toml" && !block.is("cargo")) {
            let mut parts = tables(block);
            if parts.len() < REFERENCE {
                parts = vec![block.clone()];
            }
            found.extend(parts.iter().filter_map(|part| problem(&page, part, &bases, &repository, &home)));
        }
    }
    report(&found);
}

/// Makes a repository with everything that the book's configurations name. Returns the names of the bases.
fn repository_of(repository: &Path, home: &Path) -> Vec<String> {
    let fixtures = root().join("docs/book-tests/fixtures");
    copy(&fixtures.join("repository"), repository);
    copy(&fixtures.join("bases"), repository);
    fs::create_dir(repository.join("presets")).expect("a folder");
    for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message", "all"]] {
        let git = sealed("git", home).args(arguments).current_dir(repository).output().expect("git starts");
        assert!(git.status.success(), "{}", said(&git));
    }
    let names = fs::read_dir(fixtures.join("bases")).expect("the bases").flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// The block in pieces, one for each table with its sub-tables: a reference of all keys is no configuration that makes sense
/// as a whole.
fn tables(block: &Block) -> Vec<Block> {
    let (mut parts, mut name) = (vec![Block { text: String::new(), ..block.clone() }], String::new());
    for (number, line) in block.text.lines().enumerate() {
        let table = line
            .strip_prefix('[')
            .map(|rest| rest.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default());
        if let Some(table) = table.filter(|table| *table != name) {
            name = table.to_owned();
            parts.push(Block { text: String::new(), line: block.line + 1 + number, ..block.clone() });
        }
        if let Some(part) = parts.last_mut() {
            part.text.push_str(line);
            part.text.push('\n');
        }
    }
    parts
}

/// The words of the command against the block, if no base makes a configuration of it.
fn problem(page: &Page, block: &Block, bases: &[String], repository: &Path, home: &Path) -> Option<String> {
    let read = |arguments: &[&str]| -> Output {
        let mut command = sealed("autoresearch", home);
        command.args(["run", "--dry-run"]).args(arguments).current_dir(repository);
        command.output().expect("autoresearch starts")
    };
    let tables = |name: &str| block.text.lines().any(|line| line.trim().starts_with(name));
    let mut answers = Vec::new();
    if tables("editable") && tables("[run]") && tables("[metric]") {
        fs::write(repository.join("whole.toml"), &block.text).expect("a file");
        let output = read(&["--config", "whole.toml"]);
        if output.status.success() {
            return None;
        }
        answers.push(said(&output));
    } else {
        // Keys without a table belong to [proposer], whose settings the book shows in parts.
        for text in [block.text.clone(), format!("[proposer]\n{}", block.text)] {
            fs::write(repository.join("presets/part.toml"), &text).expect("a file");
            for base in bases {
                let output = read(&["--config", base, "--preset", "part"]);
                if output.status.success() {
                    return None;
                }
                answers.push(format!("over {base}: {}", said(&output)));
            }
        }
    }
    Some(format!("{}:{}: the configuration is not read:\n{}", page.path, block.line, answers.join("\n")))
}
