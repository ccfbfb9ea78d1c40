//! Patches: only the requested places are edited, and only where each is unique.
//!
//! An input is a list of sections, each below a line `=== KIND`: the files (`file PATH`), the edits (`search` with `replace`,
//! `write PATH`, `delete PATH`, `diff`), and in the corpus the result: the text of `a.rs` (`gives`), or words of the error (`refused`).

use std::collections::BTreeMap;

use autoresearch_core::{EditablePaths, FileEdit, Patch};

use super::fuzz;

const FILE: &str = "a.rs";

#[derive(Default)]
struct Case {
    files: BTreeMap<String, String>,
    edits: Vec<FileEdit>,
    gives: Option<String>,
    refused: Option<String>,
}

impl Case {
    fn read(input: &[u8]) -> Case {
        let text = String::from_utf8_lossy(input);
        let mut case = Case::default();
        for section in format!("\n{text}").split("\n=== ").skip(1) {
            let (kind, body) = section.split_once('\n').unwrap_or((section, ""));
            let (kind, path) = kind.trim_end().split_once(' ').unwrap_or((kind.trim_end(), FILE));
            let (body, path) = (body.to_owned(), path.to_owned());
            match (kind, case.edits.last_mut()) {
                ("file", _) => drop(case.files.insert(path, body)),
                ("search", _) => case.edits.push(FileEdit::Replace { path, search: body, replace: String::new() }),
                ("replace", Some(FileEdit::Replace { replace, .. })) => *replace = body,
                ("write", _) => case.edits.push(FileEdit::Write { path, text: body }),
                ("delete", _) => case.edits.push(FileEdit::Delete { path }),
                ("diff", _) => case.edits.push(FileEdit::Diff { diff: body }),
                ("gives", _) => case.gives = Some(body),
                ("refused", _) => case.refused = Some(body.trim().to_owned()),
                _ => {}
            }
        }
        case
    }
}

/// Applies edits by the words of the documentation; a diff is checked by its lines instead.
fn by_the_book(files: &BTreeMap<String, String>, edits: &[FileEdit]) -> Option<BTreeMap<String, Option<String>>> {
    let mut all = files.clone();
    for edit in edits {
        match edit {
            FileEdit::Write { path, text } => drop(all.insert(path.clone(), text.clone())),
            FileEdit::Replace { path, search, replace } => {
                let text = all.get(path)?.clone();
                let lines = text.matches('\n').count();
                let crlf = lines > 0 && lines == text.matches("\r\n").count();
                let same =
                    |part: &str| if crlf && !part.contains('\r') { part.replace('\n', "\r\n") } else { part.into() };
                let (search, replace) = (same(search), same(replace));
                let places: Vec<usize> = (0..text.len())
                    .filter(|at| text.is_char_boundary(*at) && !search.is_empty() && text[*at..].starts_with(&search))
                    .collect();
                let [at] = places[..] else { return None };
                let text = format!("{}{replace}{}", &text[..at], &text[at + search.len()..]);
                all.insert(path.clone(), text);
            }
            FileEdit::Delete { path } => drop(all.remove(path)?),
            FileEdit::Diff { .. } => return None,
        }
    }
    if all.values().any(|text| text.contains('\0')) {
        return None;
    }
    let removed = files.keys().filter(|path| !all.contains_key(*path)).map(|path| (path.clone(), None));
    let mut changed: BTreeMap<String, Option<String>> = removed.collect();
    changed.extend(
        all.into_iter().filter(|(path, text)| files.get(path) != Some(text)).map(|(path, text)| (path, Some(text))),
    );
    (!changed.is_empty()).then_some(changed)
}

/// A diff removes no line but those that it shows with `-`, and adds none but those that it shows with `+`.
fn only_what_it_shows(before: &str, after: &str, diff: &str) -> Result<(), String> {
    fn count(text: &str) -> BTreeMap<&str, isize> {
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        lines.fold(BTreeMap::new(), |mut lines, line| {
            *lines.entry(line).or_default() += 1;
            lines
        })
    }
    let (before, after) = (count(before), count(after));
    let shown = |sign: char| {
        let lines = diff.split('\n').filter_map(move |line| line.strip_prefix(sign));
        count(&lines.collect::<Vec<_>>().join("\n")).into_keys().map(str::to_owned).collect::<Vec<_>>()
    };
    let (removed, added) = (shown('-'), shown('+'));
    for line in before.keys().chain(after.keys()) {
        let [before, after] = [&before, &after].map(|lines| lines.get(line).copied().unwrap_or(0));
        // A last line without a newline is an empty line more or less.
        let allowed = match after - before {
            0 => true,
            _ if line.is_empty() => true,
            1.. => added.iter().any(|shown| shown == line),
            _ => removed.iter().any(|shown| shown == line),
        };
        if !allowed {
            return Err(format!("the line {line:?} is there {after} times instead of {before}"));
        }
    }
    Ok(())
}

fn check(input: &[u8]) -> Result<(), String> {
    let case = Case::read(input);
    let editable = EditablePaths::new([FILE, "src/**"]);
    let result = Patch { edits: case.edits.clone() }.apply(&case.files, &editable);
    let touched = |edit: &FileEdit| edit.paths().unwrap_or_default();
    if let Ok(changed) = &result {
        if let Some(path) = changed.keys().find(|path| !editable.allows(path)) {
            return Err(format!("{path} was changed"));
        }
        if let [FileEdit::Diff { diff }] = &case.edits[..] {
            for (path, after) in changed {
                let before = case.files.get(path).map_or("", String::as_str);
                only_what_it_shows(before, after.as_deref().unwrap_or_default(), diff)?;
            }
        }
    }
    let plain = case.edits.iter().all(|edit| !matches!(edit, FileEdit::Diff { .. }));
    let allowed = case.edits.iter().flat_map(touched).all(|path| editable.allows(&path));
    if plain {
        let book = by_the_book(&case.files, &case.edits).filter(|_| allowed);
        if book.as_ref() != result.as_ref().ok() {
            return Err(format!("it is {result:?}, and by the book {book:?}"));
        }
    }
    Ok(())
}

#[test]
fn fuzz_of_patches() {
    fuzz("patches", check);
}

/// Every case of the corpus has its stated result.
#[test]
fn every_patch_of_the_corpus_has_its_result() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/patches");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case = Case::read(&std::fs::read(&path).unwrap());
        let result = Patch { edits: case.edits }.apply(&case.files, &EditablePaths::new([FILE, "src/**"]));
        match (case.gives, case.refused, result) {
            (Some(gives), None, Ok(changed)) => {
                assert_eq!(changed.get(FILE), Some(&Some(gives)), "{}", path.display());
            }
            (None, Some(words), Err(error)) => {
                assert!(error.to_string().contains(&words), "{}: {error}", path.display());
            }
            (_, _, result) => panic!("{}: {result:?}", path.display()),
        }
    }
}
