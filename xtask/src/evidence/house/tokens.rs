//! A tokenizer for Rust source: enough to find modules, `use` declarations and paths. Comments are dropped.

/// One token of Rust source.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// An identifier or a keyword. A raw identifier comes without its `r#`.
    Word(String),
    /// The content of a string literal.
    Text(String),
    /// A number, a character or a lifetime.
    Other,
    /// `::`.
    Path,
    /// Any other character of punctuation.
    Mark(char),
}

/// A token and the line it begins on, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
}

impl Token {
    /// Compares the token with a word.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    /// Compares the token with a character of punctuation.
    pub fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    /// Returns the identifier, if the token is one.
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Splits Rust source into tokens.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { rest: source, line: 1, tokens: Vec::new() };
    while reader.step() {}
    reader.tokens
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl<'a> Reader<'a> {
    /// Reads one token or one stretch of white space. False at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if first.is_whitespace() {
            self.take(first.len_utf8());
        } else if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            let length = block_comment(self.rest);
            self.take(length);
        } else if let Some((prefix, hashes)) = raw_string(self.rest) {
            self.raw_text(prefix, hashes);
        } else if let Some(prefix) = ["\"", "b\"", "c\""].iter().find(|prefix| self.rest.starts_with(**prefix)) {
            self.text(prefix.len());
        } else if first == '\'' || self.rest.starts_with("b'") {
            let skipped = usize::from(first == 'b');
            let length = skipped + quoted(&self.rest[skipped..]);
            self.push(Kind::Other, length);
        } else if first == '_' || first.is_alphabetic() {
            let raw = if self.rest.starts_with("r#") { 2 } else { 0 };
            let word: String = self.rest[raw..].chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
            let length = raw + word.len();
            self.push(Kind::Word(word), length);
        } else if first.is_ascii_digit() {
            let length = number(self.rest);
            self.push(Kind::Other, length);
        } else if self.rest.starts_with("::") {
            self.push(Kind::Path, 2);
        } else {
            self.push(Kind::Mark(first), first.len_utf8());
        }
        true
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, line: self.line });
        self.take(length);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn text(&mut self, prefix: usize) {
        let mut escaped = false;
        let end = self.rest[prefix..].find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let end = end.map_or(self.rest.len(), |end| prefix + end);
        let text = self.rest[prefix..end].to_owned();
        self.push(Kind::Text(text), (end + 1).min(self.rest.len()));
    }

    fn raw_text(&mut self, prefix: usize, hashes: usize) {
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = self.rest[prefix..].find(&closing).map_or(self.rest.len(), |end| prefix + end);
        let text = self.rest[prefix..end].to_owned();
        self.push(Kind::Text(text), (end + closing.len()).min(self.rest.len()));
    }
}

/// The length of a block comment, which may hold others.
fn block_comment(source: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    source.len()
}

/// The length of what opens a raw string (`r#"`), and its number of hashes.
fn raw_string(source: &str) -> Option<(usize, usize)> {
    let letters = ["r", "br", "cr"].iter().find(|letters| {
        let after = source.strip_prefix(**letters).map(|rest| rest.trim_start_matches('#'));
        after.is_some_and(|after| after.starts_with('"'))
    })?;
    let hashes = source[letters.len()..].chars().take_while(|c| *c == '#').count();
    Some((letters.len() + hashes + 1, hashes))
}

/// The length of a character literal or of a lifetime.
fn quoted(source: &str) -> usize {
    let mut characters = source.char_indices().skip(1);
    let Some((_, first)) = characters.next() else { return source.len() };
    if first == '\\' {
        // The character after the backslash may itself be a quote.
        let after = characters.nth(1).map_or(source.len(), |(at, _)| at);
        return source[after..].find('\'').map_or(source.len(), |end| after + end + 1);
    }
    match characters.next() {
        Some((at, '\'')) => at + 1,
        _ => {
            1 + source[1..].chars().take_while(|c| *c == '_' || c.is_alphanumeric()).map(char::len_utf8).sum::<usize>()
        }
    }
}

/// The length of a number. A point belongs to it only before a digit: `1..2` and `1.max(2)` are more than numbers.
fn number(source: &str) -> usize {
    let mut length = 0;
    let mut characters = source.chars().peekable();
    while let Some(c) = characters.next() {
        let point = c == '.' && characters.peek().is_some_and(char::is_ascii_digit);
        if !(c == '_' || c.is_alphanumeric() || point) {
            break;
        }
        length += c.len_utf8();
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source).iter().filter_map(|token| token.word().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_strings_characters_and_lifetimes_hide_nothing_and_show_nothing() {
        let source = r##"a /* b /* c */ d */ "e \" f" r#"g " h"# 'i' '\'' '\\' '\u{1F600}' b'j' 'static k // l
            m r#type 1..2 0x1F.max"##;
        assert_eq!(words(source), ["a", "k", "m", "type", "max"]);
    }

    #[test]
    fn lines_are_counted_within_comments_and_strings() {
        let found = tokens("/*\n\n*/ \"\n\" a\n// b\nc");
        assert_eq!(found.iter().map(|token| token.line).collect::<Vec<_>>(), [3, 4, 6]);
    }
}
