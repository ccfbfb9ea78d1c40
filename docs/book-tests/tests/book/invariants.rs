//! Names in the book are those of the code. (`cargo xtask evidence house` checks the path of one experiment.)

use std::collections::BTreeSet;
use std::fs;

use autoresearch_book::page::root;

use crate::report;

#[test]
fn every_invariant_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/durability.md")).expect("docs/durability.md");
    let (_, section) = text.split_once("## Invariants").expect("a section with the invariants");
    let rows = section.lines().skip_while(|line| !line.starts_with("| 1 |")).take_while(|line| line.starts_with('|'));
    let named: BTreeSet<&str> = rows
        .flat_map(|row| row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    assert!(named.len() > 4, "the invariants name only {named:?}");
    let mut files = BTreeSet::new();
    names(&root().join("autoresearch-core"), &mut files);
    let missing = named.iter().filter(|name| !files.contains(**name));
    report(
        &missing
            .map(|name| format!("docs/durability.md: no test file of the core is called {name}"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_names_in_the_glossary_are_those_of_the_code() {
    let text = fs::read_to_string(root().join("docs/glossary.md")).expect("docs/glossary.md");
    let mut source = String::new();
    for member in ["autoresearch-core", "autoresearch-agents", "autoresearch-metrics", "autoresearch-cli"] {
        gather(&root().join(member).join("src"), &mut source);
    }
    let known: BTreeSet<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let cells =
        text.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.trim_matches('|').split('|').nth(2));
    let names: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 30, "the glossary names only {names:?}");
    let is_name = |name: &&&str| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let missing = names.iter().filter(is_name).filter(|name| name.split("::").any(|part| !known.contains(part)));
    report(&missing.map(|name| format!("docs/glossary.md: no source has the name {name}")).collect::<Vec<_>>());
}

#[test]
fn the_records_in_the_book_are_those_of_the_journal() {
    let mut source = String::new();
    gather(&root().join("autoresearch-core/src"), &mut source);
    let (_, variants) = source.split_once("pub enum Record {").expect("the records of the journal");
    let variants = variants.split("\n}").next().unwrap_or_default().lines();
    // Variants are indented by four spaces; their fields, by more.
    let names =
        variants.filter_map(|line| line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase)));
    let in_code: BTreeSet<String> =
        names.map(|line| snake(line.split(['(', ' ', ',']).next().unwrap_or_default())).collect();
    let text = fs::read_to_string(root().join("docs/durability.md")).expect("docs/durability.md");
    let (_, table) = text.split_once("| record | |").expect("a table of the records");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2));
    let in_book: BTreeSet<String> = cells.map(str::to_owned).collect();
    assert!(in_code.len() > 10, "only {in_code:?} were found");
    assert_eq!(in_book, in_code, "docs/durability.md lists the records of the journal");
}

/// A variant's name as serde writes it.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn gather(folder: &std::path::Path, source: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => gather(&entry.path(), source),
            false => source.push_str(&fs::read_to_string(entry.path()).unwrap_or_default()),
        }
    }
}

/// The names of all folders and Rust files below `folder`.
fn names(folder: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            names(&entry.path(), found);
        }
        found.insert(name.trim_end_matches(".rs").to_owned());
    }
}
