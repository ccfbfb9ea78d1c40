//! Cleans text from outside (a model, a candidate, a file name) so that it can be stored, committed and printed.
//!
//! Control characters end C strings, move a terminal's cursor and break tables; characters that reverse the direction of
//! writing hide what follows them. Neither reaches a journal, a commit message or a terminal through these functions.

use std::borrow::Cow;

/// The length to which a description is cut, in characters.
pub const DESCRIPTION_LIMIT: usize = 500;
/// The length to which a hypothesis, or the reason of a rejection, is cut, in characters.
pub const PARAGRAPH_LIMIT: usize = 20_000;

/// The text without anything that could command a terminal or mislead a reader; line breaks and tabs stay.
///
/// Escape sequences (colours, cursor movements, window titles, clipboard commands) and marks that change the direction of
/// writing are removed whole. Any other control character becomes a space.
///
/// ```
/// use autoresearch_core::internal::text::clean;
/// assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\0and\n\tplain"), "red and\n\tplain");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = match first {
            '\x1b' => skip_escape(after),
            // The one-character forms of `ESC [` and of `ESC ]` and its like.
            '\u{9b}' => skip_csi(after),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(after),
            '\r' if after.starts_with('\n') => after,
            mark if is_direction_mark(mark) => after,
            other => {
                cleaned.push(if is_unsafe(other) { ' ' } else { other });
                after
            }
        };
    }
    Cow::Owned(cleaned)
}

/// One line of at most `limit` characters: cleaned, with one space for white space of any length.
///
/// ```
/// use autoresearch_core::internal::text::one_line;
/// assert_eq!(one_line("wider\u{1b}[31m\n  layers\0", 100), "wider layers");
/// assert_eq!(one_line("abcdef", 4), "abc…");
/// ```
pub fn one_line(text: &str, limit: usize) -> String {
    cut(&clean(text).split_whitespace().collect::<Vec<_>>().join(" "), limit)
}

/// Lines of at most `limit` characters together: cleaned, without white space at the end.
pub fn paragraph(text: &str, limit: usize) -> String {
    cut(clean(text).trim_end(), limit)
}

/// Returns true for control characters other than line breaks and tabs, separators of lines and paragraphs, and marks that
/// change the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{2028}' | '\u{2029}') || is_direction_mark(c)
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Skips the rest of an escape sequence after its ESC.
fn skip_escape(rest: &str) -> &str {
    let mut chars = rest.chars();
    match chars.next() {
        Some('[') => skip_csi(chars.as_str()),
        // Operating system commands and other strings up to their end.
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(chars.as_str()),
        // Some intermediate characters and a final one.
        Some(' '..='/') => {
            let end = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
            skip_if(end, |c| matches!(c, '0'..='~'))
        }
        Some('0'..='~') => chars.as_str(),
        _ => rest,
    }
}

/// Skips the parameters and the final character of a control sequence.
fn skip_csi(rest: &str) -> &str {
    skip_if(rest.trim_start_matches(|c| matches!(c, ' '..='?')), |c| matches!(c, '@'..='~'))
}

/// Skips a string up to its terminator. One without a terminator ends with its line, so that a stray byte hides no output.
fn skip_string(rest: &str) -> &str {
    let end = rest.find(['\x07', '\x1b', '\u{9c}', '\n']).unwrap_or(rest.len());
    let after = rest.get(end..).unwrap_or_default();
    match after.chars().next() {
        Some('\x07' | '\u{9c}') => skip_if(after, |_| true),
        Some('\x1b') => after.strip_prefix("\x1b\\").unwrap_or(after),
        _ => after,
    }
}

fn skip_if(text: &str, skipped: impl Fn(char) -> bool) -> &str {
    text.strip_prefix(skipped).unwrap_or(text)
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_unsafe_and_nothing_long_comes_through(text in any::<String>(), limit in 1usize..50) {
            let line = one_line(&text, limit);
            prop_assert!(line.chars().count() <= limit && !line.chars().any(|c| is_unsafe(c) || c.is_control()), "{line:?}");
            let lines = paragraph(&text, limit);
            prop_assert!(lines.chars().count() <= limit && !lines.chars().any(is_unsafe), "{lines:?}");
        }

        #[test]
        fn nothing_unsafe_comes_through_parts_of_escape_sequences(text in "[\u{1b}\\[\\]P(\\\\0;m\u{7}\u{9b}\u{9d}\u{9c}\u{202e}x\r\n]{0,12}") {
            prop_assert!(!clean(&text).chars().any(is_unsafe), "{text:?}");
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(one_line("A 1 -> 2, größer", 100), "A 1 -> 2, größer");
        assert_eq!(paragraph("first\n\tsecond\n", 100), "first\n\tsecond");
        assert_eq!(one_line("\u{202e}evil", 100), "evil");
        assert!(matches!(clean("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn escape_sequences_vanish_whole() {
        for (dirty, cleaned) in [
            ("plain, ä → ✓\n\tnext", "plain, ä → ✓\n\tnext"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]52;c;cHduZWQ=\x07after", "after"),
            ("\x1b]0;title\x1b\\after", "after"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPq#0\x1b\\x", "x"),
            ("\x1b(Bx\x1bcy", "xy"),
            ("\u{9b}2Jx\u{9d}0;t\u{9c}y", "xy"),
            ("a\x08\x08b\x00\x7f", "a  b  "),
            ("left\u{202e}right", "leftright"),
            ("one\r\ntwo\rthree", "one\ntwo three"),
            ("\x1b]never ended\nnext line", "\nnext line"),
            ("ends with \x1b", "ends with "),
            ("\x1b[", ""),
        ] {
            assert_eq!(clean(dirty), cleaned, "{dirty:?}");
        }
    }
}
