//! The gate for texts that a model, an agent or a server wrote: control characters, length, and the ends of long texts.

pub(crate) use autoresearch_core::internal::text::clean;

/// Longest excerpt of somebody else's text within a message, in characters.
const EXCERPT: usize = 500;
/// Longest end of an output within a message about a failure, in characters.
const TAIL: usize = 300;

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
