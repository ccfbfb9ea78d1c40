//! ARCHITECTURE.md names the functions that one experiment passes; they are where it says.

use std::collections::BTreeSet;
use std::fs;

use autoresearch_book::page::root;

use crate::report;

#[test]
fn the_path_of_one_experiment_is_as_the_architecture_says() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, section) = text.split_once("## The path of one experiment").expect("a section with the path");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows: Vec<(String, String)> = rows
        .filter_map(|row| {
            row.trim_matches('|')
                .split_once('|')
                .map(|(name, rest)| (cell(name), cell(rest.split('|').next().unwrap_or_default())))
        })
        .collect();
    let files: BTreeSet<&String> = rows.iter().map(|(_, file)| file).collect();
    assert!((6..=12).contains(&rows.len()), "the path has {} functions; 12 at most", rows.len());
    assert!(files.len() <= 5, "the path has {} files; 5 at most", files.len());
    let missing = rows.iter().filter(|(function, file)| {
        let source = fs::read_to_string(root().join("autoresearch-core/src").join(file)).unwrap_or_default();
        let name = function.rsplit("::").next().unwrap_or(function);
        let defined = |line: &str| ["(", "<"].iter().any(|open| line.contains(&format!("fn {name}{open}")));
        !source.lines().any(defined)
    });
    report(
        &missing
            .map(|(function, file)| format!("autoresearch-core/src/{file} has no function {function}"))
            .collect::<Vec<_>>(),
    );
}

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
