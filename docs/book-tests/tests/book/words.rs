//! No word of the glossary's column "instead of" is left in the sources, the help, the messages and the pages.
//!
//! Justified exceptions stand in `fixtures/words-allowed.txt`, one to a line: `path | word | reason`, where the path may be the
//! beginning of one.

use std::fs;
use std::path::Path;

use autoresearch_book::page::root;

use crate::report;

/// Where a word is not wanted.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    /// Everywhere: a whole word in any case, also as a part of a name (`night_of`, `NightRun`).
    Anywhere,
    /// In this spelling alone, as a whole word or as a part of a name.
    Spelled,
    /// At the beginning of a doc comment.
    FirstLine,
}
use Where::{Anywhere, FirstLine, Spelled};

/// The words, and what stands in their place.
const WORDS: &[(&str, Where, &str)] = &[
    ("night", Anywhere, "run"),
    ("harness", Anywhere, "lab"),
    ("laboratory", Anywhere, "lab"),
    ("Flight", Spelled, "InFlight"),
    ("Bench", Spelled, "Scheduler"),
    ("take_note", Anywhere, "handle_completion"),
    ("settle", Anywhere, "decide"),
    ("employ", Anywhere, "start"),
    ("withdraw", Anywhere, "cancel"),
    ("detour", Anywhere, "excursion"),
    ("seal", Anywhere, "commit"),
    ("seal_onto", Anywhere, "commit"),
    ("Standing", Spelled, "BaseStatus"),
    ("stands on", Anywhere, "its base, its parent"),
    ("made to another parent", Anywhere, "rebased"),
    ("what goes on", Anywhere, "in flight"),
    ("under way", Anywhere, "in flight"),
    ("cut short", Anywhere, "cancelled"),
    ("take note", Anywhere, "handle"),
    ("the tip", Anywhere, "the incumbent, the end of the side line"),
    ("today's", Anywhere, "the incumbent, the date"),
    ("refused proposal", Anywhere, "rejected proposal"),
    ("proposals refused", Anywhere, "proposals rejected"),
    ("proposal refused", Anywhere, "proposal rejected"),
    ("refusal", Anywhere, "rejection"),
    ("Rejection", Spelled, "RejectedProposal"),
    ("Incumbent::tip", Spelled, "proposal_base"),
    ("So often", Spelled, "a number: `Retries after which …`"),
    ("So many", Spelled, "a number: `Number of …`"),
    ("Takes back", Spelled, "cancels"),
    ("Both together", Spelled, "a verb and its object"),
    ("as it must be", Anywhere, "valid"),
    ("prices that are none", Anywhere, "a price that is not a number"),
    ("What ", FirstLine, "a noun"),
    ("Who ", FirstLine, "a noun"),
    ("Whether ", FirstLine, "`True if …`"),
    ("Whatever ", FirstLine, "a noun"),
    ("Which.", FirstLine, "a noun"),
    ("When.", FirstLine, "a noun"),
    ("The file.", FirstLine, "`Path of the file that …`"),
];

/// Folders that hold no words of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "corpus", "data", "fixtures", "presets"];

#[test]
fn only_the_words_of_the_glossary_are_used() {
    let mut hits = Vec::new();
    search(&root(), "", &mut hits);
    let allowed = fs::read_to_string(root().join("docs/book-tests/fixtures/words-allowed.txt")).unwrap_or_default();
    let allowed: Vec<[&str; 3]> = allowed.lines().filter(|line| !line.starts_with('#')).filter_map(exception).collect();
    let mut used = vec![false; allowed.len()];
    hits.retain(|(path, word, _)| {
        let at = allowed.iter().position(|[prefix, allowed, _]| path.starts_with(prefix) && word == allowed);
        at.inspect(|at| used[*at] = true).is_none()
    });
    let mut found: Vec<String> = hits.into_iter().map(|(_, _, message)| message).collect();
    let unused = allowed.iter().zip(used).filter(|(_, used)| !used);
    found.extend(
        unused.map(|([path, word, _], _)| format!("fixtures/words-allowed.txt: {path} has no {word} any more")),
    );
    report(&found);
}

fn exception(line: &str) -> Option<[&str; 3]> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    <[&str; 3]>::try_from(cells).ok().filter(|cells| cells.iter().all(|cell| !cell.is_empty()))
}

/// True for files whose words are ours: sources, pages, configurations.
fn is_read(name: &str, path: &str) -> bool {
    let configuration = name.ends_with(".toml") && name != "Cargo.toml";
    (name.ends_with(".rs") || name.ends_with(".md") || configuration) && !path.ends_with("book/words.rs")
}

/// Adds path, word and message of every hit in the files below `folder`.
fn search(folder: &Path, relative: &str, hits: &mut Vec<(String, &'static str, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if relative.is_empty() { name.clone() } else { format!("{relative}/{name}") };
        if entry.path().is_dir() {
            let source = path.contains("/src/");
            if !name.starts_with('.') && (source || !SKIPPED.contains(&name.as_str())) {
                search(&entry.path(), &path, hits);
            }
        } else if is_read(&name, &path) {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let mut before = "";
            for (number, line) in text.lines().enumerate() {
                hits.extend(in_line(line, before).map(|(word, instead)| {
                    (path.clone(), word, format!("{path}:{}: {word} -> {instead}: {}", number + 1, line.trim()))
                }));
                before = line;
            }
        }
    }
}

fn in_line<'a>(line: &'a str, before: &'a str) -> impl Iterator<Item = (&'static str, &'static str)> + use<'a> {
    let lower = line.to_lowercase();
    WORDS
        .iter()
        .filter(move |(word, place, _)| match place {
            Anywhere => has(&lower, &word.to_lowercase()) || has(line, word) || has(line, &capital(word)),
            Spelled => has(line, word),
            FirstLine => first_line(line, before).is_some_and(|text| text.starts_with(word)),
        })
        .map(|(word, _, instead)| (*word, *instead))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The text of a doc comment's first line.
fn first_line<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let comment =
        |line: &'a str| line.trim_start().strip_prefix("///").or_else(|| line.trim_start().strip_prefix("//!"));
    let text = comment(line)?.trim();
    let continued = before.trim_start().starts_with("///") || before.trim_start().starts_with("//!");
    (!continued).then_some(text)
}

/// True if the line has the word, or its plural, as a whole word or as a whole part of a name.
fn has(line: &str, word: &str) -> bool {
    let upper = word.starts_with(|c: char| c.is_uppercase());
    line.match_indices(word).any(|(at, _)| {
        let (head, tail) = (&line[..at], &line[at + word.len()..]);
        let tail = tail.strip_prefix('s').unwrap_or(tail);
        let begins = !head.ends_with(char::is_alphanumeric) || (upper && head.ends_with(char::is_lowercase));
        let ends = !tail.starts_with(char::is_alphanumeric) || tail.starts_with(char::is_uppercase);
        begins && ends && !(word == "Flight" && head.ends_with("In"))
    })
}

#[test]
fn words_are_found_in_prose_and_in_names() {
    let words = |line| in_line(line, "").map(|(word, _)| word).collect::<Vec<_>>();
    assert_eq!(words("a night, two nights, night_of, NightRun, FirstNight"), ["night"]);
    assert_eq!(words("overnight, InFlight, in flight, sealed, benches"), Vec::<&str>::new());
    assert_eq!(words("let flight: Flight = 1;"), ["Flight"]);
    assert_eq!(words("/// What it is."), ["What "]);
    assert_eq!(in_line("/// What it is.", "/// First line.").count(), 0);
}
