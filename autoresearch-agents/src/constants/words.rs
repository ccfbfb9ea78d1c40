//! Names with values in shells, makefiles, CMake, and files of settings, whose values need no quotes.

use std::ops::Range;

use super::entry::{Entry, trimmed, unquoted};

/// A word of a line and its place.
type Word<'a> = (&'a str, Range<usize>);

/// Splits at white space and at the marks that end a command; quotes and `${…}` keep words together.
fn words<'a>(line: &'a str, code: Range<usize>, ends: &[char]) -> Vec<Word<'a>> {
    let (mut found, mut from, mut quote, mut depth) = (Vec::new(), None, None, 0);
    let text = line.get(code.clone()).unwrap_or_default();
    let mut add = |from: &mut Option<usize>, to: usize| {
        let range = from.take().map(|from| from..to);
        found.extend(range.and_then(|range| Some((line.get(range.clone())?, range))));
    };
    for (at, c) in text.char_indices().map(|(at, c)| (at + code.start, c)) {
        match (c, quote) {
            (_, Some(open)) => quote = (c != open).then_some(open),
            ('"' | '\'', None) => {
                quote = Some(c);
                from.get_or_insert(at);
            }
            ('{', None) => {
                depth += 1;
                from.get_or_insert(at);
            }
            ('}', None) if depth > 0 => depth -= 1,
            (c, None) if depth == 0 && (c.is_whitespace() || ends.contains(&c)) => add(&mut from, at),
            _ => drop(from.get_or_insert(at)),
        }
    }
    add(&mut from, code.end);
    found
}

/// Returns true if a text is a name: letters, digits, `_`, `-` and `.`, no digit first.
fn is_name(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Returns the place of the default of `${NAME:-DEFAULT}`, or the whole place.
fn within_default(line: &str, value: Range<usize>) -> Range<usize> {
    let text = line.get(value.clone()).unwrap_or_default();
    let inner = unquoted(text);
    let default = inner.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).and_then(|rest| {
        let (name, default) = rest.split_once(":-").or_else(|| rest.split_once(":="))?;
        (is_name(name) && !default.contains(['$', '{'])).then_some(default)
    });
    let place = default.and_then(|default| Some((text.find(inner)? + inner.rfind(default)?, default.len())));
    place.map_or(value.clone(), |(at, length)| value.start + at..value.start + at + length)
}

/// Finds `NAME=VALUE`, `--name=VALUE`, `--name VALUE` and `-DNAME=VALUE`.
pub(super) fn shell(line: &str, code: Range<usize>) -> Vec<Entry> {
    let words = words(line, code, &[';', '&', '|', '(', ')']);
    let mut found = Vec::new();
    for (at, (word, range)) in words.iter().enumerate() {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix("-D")).unwrap_or(word);
        if let Some((name, value)) = name.split_once('=') {
            let value = within_default(line, range.end - value.len()..range.end);
            if is_name(name) && !value.is_empty() {
                found.push(Entry::new(name, value));
            }
            continue;
        }
        let Some((value, place)) = words.get(at + 1).filter(|_| word.starts_with("--") && is_name(name)) else {
            continue;
        };
        let is_option = value.starts_with('-')
            && !value.get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if !is_option && *value != "\\" && !value.contains('=') {
            found.push(Entry::new(name, place.clone()));
        }
    }
    found
}

/// Finds `NAME = VALUE` up to the end of the line, and in recipes what a shell has.
pub(super) fn make(line: &str, code: Range<usize>) -> Vec<Entry> {
    if line.starts_with('\t') {
        return shell(line, code);
    }
    let text = line.get(code.clone()).unwrap_or_default();
    let Some((name, value)) = text.split_once('=') else { return shell(line, code) };
    let name = name.trim_end_matches([':', '?', '+']).trim();
    let name = name.strip_prefix("export ").or_else(|| name.strip_prefix("override ")).unwrap_or(name).trim();
    let value = trimmed(line, code.end - value.len()..code.end);
    if is_name(name) && !value.is_empty() { vec![Entry::new(name, value)] } else { shell(line, code) }
}

/// Finds `set(NAME VALUE)`, `option(NAME "text" VALUE)` and `NAME=VALUE`.
pub(super) fn cmake(line: &str, code: Range<usize>) -> Vec<Entry> {
    let text = line.get(code.clone()).unwrap_or_default();
    let command = text.split_once('(').map(|(command, _)| command.trim().to_ascii_lowercase());
    let all = words(line, code.clone(), &['(', ')']);
    let name = all.get(1).map(|(name, _)| *name).filter(|name| is_name(name));
    let last = |from: usize| {
        let stop = |word: &str| matches!(word, "CACHE" | "PARENT_SCOPE");
        let end = all.iter().skip(from).position(|(word, _)| stop(word)).map_or(all.len(), |at| from + at);
        let (first, last) = (all.get(from)?, all.get(end.checked_sub(1)?).filter(|_| end > from)?);
        Some(first.1.start..last.1.end)
    };
    let value = match command.as_deref() {
        Some("set") => last(2),
        Some("option") => last(3),
        _ => None,
    };
    match name.zip(value) {
        Some((name, value)) => vec![Entry::new(name, value)],
        None => shell(line, code),
    }
}

/// Finds `name = value` and `name: value` up to the end of the line.
pub(super) fn ini(line: &str, code: Range<usize>) -> Vec<Entry> {
    let text = line.get(code.clone()).unwrap_or_default();
    let Some((name, value)) = text.split_once(['=', ':']).filter(|_| !text.trim_start().starts_with('[')) else {
        return Vec::new();
    };
    let value = trimmed(line, code.end - value.len()..code.end);
    let name = name.trim();
    let is_name = !name.is_empty() && !name.contains(['"', '\'', '{', '(']);
    if is_name && !value.is_empty() { vec![Entry::new(name, value)] } else { Vec::new() }
}

/// Finds `name: value` up to the end of the line; a value in brackets is left to `nested`.
pub(super) fn yaml(line: &str, code: Range<usize>, nested: impl FnOnce(Range<usize>) -> Vec<Entry>) -> Vec<Entry> {
    let text = line.get(code.clone()).unwrap_or_default();
    let mut rest = text.trim_start();
    while let Some(after) = rest.strip_prefix("- ") {
        rest = after.trim_start();
    }
    if rest.starts_with(['{', '[']) {
        return nested(code);
    }
    let colon = rest.find(": ").or_else(|| rest.find(":\t"));
    let Some((name, value)) = colon.and_then(|at| rest.get(..at).zip(rest.get(at + 1..))) else { return Vec::new() };
    let place = trimmed(line, code.end - value.len()..code.end);
    let value = line.get(place.clone()).unwrap_or_default();
    // `|` and `>` begin a text over several lines, `&` and `*` name a value elsewhere.
    match value.chars().next() {
        None | Some('|' | '>' | '&' | '*' | '!') => Vec::new(),
        Some('{') => nested(place),
        Some('[') if !value.ends_with(']') => Vec::new(),
        Some(_) => vec![Entry::new(unquoted(name), place)],
    }
}
