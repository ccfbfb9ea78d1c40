//! The names of tests in the book are those of tests. (`cargo xtask evidence house` checks the path of one experiment.)

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
