//! The words that the glossary replaces, looked for in src, help and docs.
//!
//! The right-hand column of docs/glossary.md is the list. Identifiers are split into their words, so that `take_note` and
//! `TakeNote` are both found for "take note". A use that has its reason stands in xtask/words-exceptions.txt.

use std::path::{Path, PathBuf};

use super::crates::{below, crates, read, shown};

const GLOSSARY: &str = "docs/glossary.md";
const EXCEPTIONS: &str = "xtask/words-exceptions.txt";

/// A replaced word that still stands somewhere, or an exception that is needed no more; one line each.
pub fn found(root: &Path) -> Result<Vec<String>, String> {
    let replaced = replaced(&read(&root.join(GLOSSARY))?)?;
    let exceptions = exceptions(&read(&root.join(EXCEPTIONS)).unwrap_or_default())?;
    let mut used = vec![false; exceptions.len()];
    let mut found = Vec::new();
    for file in files(root)? {
        let name = shown(root, &file);
        for (index, line) in read(&file)?.lines().enumerate() {
            let words = words(line);
            for term in replaced.iter().filter(|term| holds(&words, term)) {
                let word = term.join(" ");
                let excepted = |exception: &Exception| exception.word == word && name.contains(&exception.place);
                match exceptions.iter().position(excepted) {
                    Some(at) => used[at] = true,
                    None => found.push(format!("{name}:{}: \"{word}\" in: {}", index + 1, line.trim())),
                }
            }
        }
    }
    let unused = exceptions.iter().zip(used).filter(|(_, used)| !used);
    found.extend(unused.map(|(one, _)| format!("{EXCEPTIONS}: \"{}\" stands in {} no more", one.word, one.place)));
    Ok(found)
}

/// The sources, the book and the README; not the glossary, the history of decisions, or this check.
fn files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = vec![root.join("README.md"), root.join("program.md")];
    for member in crates(root)? {
        files.extend(below(&member.folder.join("src"), "rs")?);
        files.extend(
            [member.folder.join("train.rs"), member.folder.join("README.md")].into_iter().filter(|f| f.exists()),
        );
    }
    files.extend(below(&root.join("docs"), "md")?);
    files.retain(|file| {
        let name = shown(root, file);
        name != GLOSSARY && !name.starts_with("docs/decisions") && !name.starts_with("xtask/src/evidence/house")
    });
    Ok(files)
}

/// The terms of the column "instead of", each as its words. What stands in brackets explains and is no term.
fn replaced(glossary: &str) -> Result<Vec<Vec<String>>, String> {
    let rows: Vec<Vec<&str>> = glossary
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let header = rows.iter().find_map(|row| row.iter().position(|cell| cell.to_lowercase() == "instead of"));
    let column = header.ok_or("docs/glossary.md has no table with a column \"instead of\"")?;
    let mut terms = Vec::new();
    for row in &rows {
        let cell = row.get(column).copied().unwrap_or_default();
        if cell.to_lowercase() == "instead of" || cell.starts_with('-') || cell.starts_with(':') {
            continue;
        }
        for term in split_outside_brackets(cell) {
            let words = words(&term.replace('`', ""));
            if !words.is_empty() && !terms.contains(&words) {
                terms.push(words);
            }
        }
    }
    Ok(terms)
}

/// The parts between commas. A term with an explanation in brackets is ambiguous and cannot be looked for: it is left out.
fn split_outside_brackets(cell: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in cell.chars() {
        match c {
            ',' | ';' if depth == 0 => parts.push(String::new()),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        let separates = depth == 0 && matches!(c, ',' | ';');
        if let Some(part) = parts.last_mut().filter(|_| !separates) {
            part.push(c);
        }
    }
    parts.retain(|part| !part.contains('('));
    parts
}

struct Exception {
    word: String,
    place: String,
}

/// Lines of `word | part of the file's path | reason`.
fn exceptions(text: &str) -> Result<Vec<Exception>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let read = lines.map(|(index, line)| {
        let mut cells = line.splitn(3, '|').map(str::trim);
        match (cells.next(), cells.next(), cells.next()) {
            (Some(word), Some(place), Some(reason)) if !reason.is_empty() => {
                Ok(Exception { word: word.to_owned(), place: place.to_owned() })
            }
            _ => Err(format!("{EXCEPTIONS}:{}: write `word | part of the path | reason`", index + 1)),
        }
    });
    read.collect()
}

/// The words of a text in lower case, identifiers split at `_` and at capitals.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// True when the words stand in the text one behind the other, the last one perhaps in the plural.
fn holds(text: &[String], term: &[String]) -> bool {
    text.windows(term.len()).any(|window| {
        window.iter().zip(term).enumerate().all(|(at, (word, wanted))| {
            word == wanted || (at + 1 == term.len() && word.strip_suffix('s') == Some(wanted))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_hand_column_is_read_and_found_in_names_and_sentences() {
        let table = "| word | meaning | instead of |\n|---|---|---|\n| run | … | night, work (as a noun) |\n\
            | completion | … | done, `take note` |\n";
        let terms = replaced(table).unwrap();
        assert_eq!(terms, [vec!["night"], vec!["done"], vec!["take", "note"]]);
        let hit = |line: &str| terms.iter().any(|term| holds(&words(line), term));
        assert!(hit("fn takeNote()") && hit("two nights") && hit("take_note") && hit("Night::Done"));
        assert!(!hit("overnight") && !hit("take the note") && !hit("nightly"));
    }

    #[test]
    fn an_exception_needs_a_reason() {
        assert!(exceptions("# comment\nnight | README | karpathy's story\n").is_ok());
        assert!(exceptions("night | README").is_err());
    }
}
