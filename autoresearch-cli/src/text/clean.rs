//! Removes what could command a terminal or mislead a reader from text that a candidate or a model wrote.

use std::borrow::Cow;

/// Returns `text` without escape sequences and control characters; line breaks and tabs stay.
///
/// Escape sequences are removed whole: colours, cursor movements, window titles, clipboard commands. Any other control
/// character, and those that change the direction of writing, becomes `�`.
pub fn clean_text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unwanted) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            '\x1b' => skip_escape(after),
            // The one-character forms of `ESC [` and of `ESC ]` and its like.
            '\u{9b}' => skip_csi(after),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(after),
            '\r' if after.starts_with('\n') => after,
            other => {
                cleaned.push(if is_unwanted(other) { '\u{fffd}' } else { other });
                after
            }
        };
    }
    Cow::Owned(cleaned)
}

/// Returns `text` as one line: cleaned, with spaces for line breaks and tabs.
pub fn clean_line(text: &str) -> String {
    clean_text(text).trim_end().replace(['\n', '\t'], " ")
}

fn is_unwanted(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\t');
    control || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips what follows an ESC.
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
    let after = &rest[end..];
    match after.chars().next() {
        Some('\x07' | '\u{9c}') => skip_if(after, |_| true),
        Some('\x1b') => after.strip_prefix("\x1b\\").unwrap_or(after),
        _ => after,
    }
}

fn skip_if(text: &str, skipped: impl Fn(char) -> bool) -> &str {
    text.strip_prefix(skipped).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_vanish_whole() {
        for (dirty, clean) in [
            ("plain, ä → ✓\n\tnext", "plain, ä → ✓\n\tnext"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]52;c;cHduZWQ=\x07after", "after"),
            ("\x1b]0;title\x1b\\after", "after"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPq#0\x1b\\x", "x"),
            ("\x1b(Bx\x1bcy", "xy"),
            ("\u{9b}2Jx\u{9d}0;t\u{9c}y", "xy"),
            ("a\x08\x08b\x00\x7f", "a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}"),
            ("left\u{202e}right", "left\u{fffd}right"),
            ("one\r\ntwo\rthree", "one\ntwo\u{fffd}three"),
            ("\x1b]never ended\nnext line", "\nnext line"),
            ("ends with \x1b", "ends with "),
            ("\x1b[", ""),
        ] {
            assert_eq!(clean_text(dirty), clean, "{dirty:?}");
        }
        assert!(matches!(clean_text("plain"), Cow::Borrowed(_)));
        assert_eq!(clean_line("a\nb\tc\n"), "a b c");
    }

    #[test]
    fn nothing_that_is_returned_is_a_control_character() {
        let alphabet: Vec<char> = "\x1b[]P(\\0;m\x07\u{9b}\u{9d}\u{9c}\u{202e}x\r\n".chars().collect();
        let mut state = 1u64;
        for _ in 0..20_000 {
            let text: String = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    alphabet[(state >> 33) as usize % alphabet.len()]
                })
                .collect();
            assert!(!clean_text(&text).chars().any(is_unwanted), "{text:?}");
        }
    }
}
