//! The gate for texts that a model, an agent or a server wrote: control characters, length, and the ends of long texts.

use std::borrow::Cow;

/// Longest excerpt of somebody else's text within a message, in characters.
const EXCERPT: usize = 500;
/// Longest end of an output within a message about a failure, in characters.
const TAIL: usize = 300;

/// Returns a text without control characters. Terminal escape sequences and marks that change the direction of writing are
/// removed; every other control character but a line feed and a tab becomes a space.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unwanted) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            c if is_direction_mark(c) => {}
            c if is_unwanted(c) => cleaned.push(' '),
            c => cleaned.push(c),
        }
    }
    Cow::Owned(cleaned)
}

fn is_unwanted(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t') || is_direction_mark(c)
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips what follows an escape character: a control sequence, an operating system command, or one character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => drop(rest.find(|c| ('@'..='~').contains(c))),
        Some(']') => drop(rest.find(|c| matches!(c, '\u{7}' | '\u{9c}' | '\\'))),
        _ => {}
    }
}

/// Returns a text in one line of at most `longest` characters, without control characters.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let line = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(longest).collect()
}

/// Returns the beginning of a text in one line, for a message.
pub(crate) fn shorten(text: &str) -> String {
    let line = one_line(text, usize::MAX);
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Returns the end of a text in one line, for a message about a failure.
pub(crate) fn end_of(text: &str) -> String {
    let line = one_line(text, usize::MAX);
    let skipped = line.chars().count().saturating_sub(TAIL);
    let end: String = line.chars().skip(skipped).collect();
    match (end.is_empty(), skipped) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => end,
        (false, _) => format!("...{end}"),
    }
}

/// Returns the beginning and the end of a text, `most` characters together: compilers print the first error first and the
/// summary last.
pub(crate) fn both_ends(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let first: String = text.chars().take(half).collect();
    let last: String = text.chars().skip(count - half).collect();
    format!("{first}\n[… {} characters left out …]\n{last}", count - 2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_pass() {
        for (text, cleaned) in [
            ("plain text\n\twith two lines", "plain text\n\twith two lines"),
            ("\u{1b}[31mlower\u{1b}[0m it", "lower it"),
            ("\u{1b}]0;a title\u{7}lower", "lower"),
            ("lower\0it\r\nnow", "lower it \nnow"),
            ("\u{202e}evil\u{2066}", "evil"),
            ("\u{9b}31m", " 31m"),
            ("cut \u{1b}[31", "cut "),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn both_ends_of_a_long_text_are_kept() {
        assert_eq!(both_ends("abc", 4), "abc");
        assert_eq!(both_ends("aaaöööbbb", 6), "aaa\n[… 3 characters left out …]\nbbb");
    }

    #[test]
    fn an_excerpt_is_one_line() {
        assert_eq!(one_line(" a\n b\tc ", 3), "a b");
        assert_eq!(shorten("ö".repeat(501).as_str()).chars().count(), 501);
        assert_eq!(end_of(" \n"), "nothing");
        assert!(end_of(&"x".repeat(400)).starts_with("...x"));
    }
}
