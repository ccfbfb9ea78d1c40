//! Cleans text from outside (a model, a candidate, a file name) so that it can be stored, committed and printed.
//!
//! Control characters end C strings, move a terminal's cursor and break tables; characters that reverse the direction of
//! writing hide what follows them. Neither reaches a journal, a commit message or a terminal through these functions.

/// The length to which a description is cut, in characters.
pub const DESCRIPTION_LIMIT: usize = 500;
/// The length to which a hypothesis, or the reason of a rejection, is cut, in characters.
pub const PARAGRAPH_LIMIT: usize = 20_000;

/// One line of at most `limit` characters: white space is collapsed, unsafe characters become spaces.
///
/// ```
/// use autoresearch_core::text::one_line;
/// assert_eq!(one_line("wider\u{1b}[31m\n  layers\0", 100), "wider [31m layers");
/// assert_eq!(one_line("abcdef", 4), "abc…");
/// ```
pub fn one_line(text: &str, limit: usize) -> String {
    let safe: String = text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    cut(&safe.split_whitespace().collect::<Vec<_>>().join(" "), limit)
}

/// Lines of at most `limit` characters together: line breaks and tabs stay, other unsafe characters become spaces.
pub fn paragraph(text: &str, limit: usize) -> String {
    let text = text.replace("\r\n", "\n");
    let safe: String = text.chars().map(|c| if is_unsafe(c) && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect();
    cut(safe.trim_end(), limit)
}

/// Control characters, line and paragraph separators, and marks that change the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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
            prop_assert!(line.chars().count() <= limit && !line.chars().any(is_unsafe), "{line:?}");
            let lines = paragraph(&text, limit);
            let is_bad = |c: char| is_unsafe(c) && c != '\n' && c != '\t';
            prop_assert!(lines.chars().count() <= limit && !lines.chars().any(is_bad), "{lines:?}");
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(one_line("A 1 -> 2, größer", 100), "A 1 -> 2, größer");
        assert_eq!(paragraph("first\n\tsecond\n", 100), "first\n\tsecond");
        assert_eq!(one_line("\u{202e}evil", 100), "evil");
    }
}
