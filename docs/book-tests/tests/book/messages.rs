//! Messages that the book quotes are those of the program.

use std::fs;
use std::path::Path;

use autoresearch_book::page::root;

use crate::report;

#[test]
fn quoted_messages_are_in_the_sources() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("docs/troubleshooting.md");
    let mut sources = String::new();
    for member in ["autoresearch-core", "autoresearch-agents", "autoresearch-metrics", "autoresearch-cli"] {
        gather(&root().join(member).join("src"), &mut sources);
    }
    let quoted: Vec<&str> = page.lines().filter_map(quoted).collect();
    assert!(quoted.len() > 10, "the page quotes only {quoted:?}");
    let missing = quoted.iter().filter(|message| !is_said(message, &sources));
    report(&missing.map(|message| format!("docs/troubleshooting.md: no source says `{message}`")).collect::<Vec<_>>());
}

/// The message in the first cell of a table's row, if that is one.
fn quoted(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once("` |").map(|(message, _)| message)
}

/// True if the pieces of a message around `…` stand in the sources close to each other, in this order.
fn is_said(message: &str, sources: &str) -> bool {
    /// Bytes of a placeholder between two pieces, at most.
    const GAP: usize = 60;
    let pieces: Vec<&str> = message.split('…').map(str::trim).filter(|piece| !piece.is_empty()).collect();
    let Some((first, rest)) = pieces.split_first() else { return false };
    sources.match_indices(first).any(|(at, _)| {
        let mut end = at + first.len();
        rest.iter().all(|piece| {
            let found = sources[end..].find(piece).filter(|gap| *gap <= GAP);
            end += found.unwrap_or_default() + piece.len();
            found.is_some()
        })
    })
}

/// Adds the sources below `folder`, with strings that continue on the next line in one piece.
fn gather(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            gather(&entry.path(), sources);
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let mut lines = text.split("\\\n");
        sources.push_str(lines.next().unwrap_or_default());
        lines.for_each(|line| sources.push_str(line.trim_start()));
    }
}

#[test]
fn a_message_that_nobody_says_is_noticed() {
    let sources = "#[error(\"the variable {0} is not set; set it\")]";
    assert!(is_said("the variable … is not set", sources));
    assert!(!is_said("the variable … is missing", sources) && !is_said("is not set … the variable", sources));
    assert_eq!(quoted("| `a message: …` | why | do |"), Some("a message: …"));
    assert_eq!(quoted("| Nothing is kept. | why | do |"), None);
}
