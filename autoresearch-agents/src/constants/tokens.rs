//! The tokens of a line, and where its comment begins.

use std::ops::Range;

use super::syntax::Syntax;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    /// A string with its quotes.
    Text,
    Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub from: usize,
    pub to: usize,
}

/// A line in parts.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub tokens: Vec<Token>,
    /// Text of the comments, without their marks.
    pub comment: Option<Range<usize>>,
    /// End of the comment or string that goes on in the next line.
    pub open: Option<&'static str>,
}

/// Marks of several characters, the longer ones first.
const MARKS: [&str; 31] = [
    "<<=", ">>=", "**=", "//=", "||=", "&&=", "??=", "===", "!==", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=",
    "|=", "&=", "^=", "%=", "=>", "->", "::", ":=", "?=", "<-", "=~", "<<", ">>", "**",
];

/// Splits a line. `open` is the end of a comment or string that an earlier line began.
pub(super) fn tokens(line: &str, syntax: &Syntax, open: Option<&'static str>) -> Tokens {
    let mut found = Tokens::default();
    let mut at = 0;
    if let Some(close) = open {
        match line.find(close) {
            Some(end) => at = end + close.len(),
            None => return Tokens { open, ..found },
        }
    }
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = line.get(at..).unwrap_or_default();
        let next = if c.is_whitespace() {
            at + c.len_utf8()
        } else if let Some((mark, close)) = syntax.blocks.iter().find(|(mark, _)| rest.starts_with(mark)) {
            let from = at + mark.len();
            match line.get(from..).and_then(|rest| rest.find(close)) {
                Some(length) => {
                    found.comment = Some(from..from + length);
                    from + length + close.len()
                }
                None => {
                    found.open = Some(close);
                    break;
                }
            }
        } else if let Some(mark) = comment(line, at, syntax) {
            found.comment = Some(at + mark..line.len());
            break;
        } else if let Some((mark, close)) = syntax.texts.iter().find(|(mark, _)| rest.starts_with(mark)) {
            match rest.get(mark.len()..).and_then(|rest| rest.find(close)) {
                Some(length) => found.push(Kind::Text, at, at + mark.len() + length + close.len()),
                None => {
                    found.open = Some(close);
                    break;
                }
            }
        } else if let Some(end) = syntax.quotes.contains(&c).then(|| string(rest, c)).flatten() {
            found.text(line, at, at + end)
        } else if c.is_ascii_digit()
            || c == '.' && rest.get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
        {
            found.push(Kind::Number, at, at + number(rest, syntax))
        } else if c.is_alphabetic() || c == '_' {
            found.push(Kind::Word, at, at + word(rest, syntax))
        } else {
            let length = MARKS.iter().find(|mark| rest.starts_with(**mark)).map_or(c.len_utf8(), |mark| mark.len());
            found.push(Kind::Mark, at, at + length)
        };
        at = next;
    }
    found
}

impl Tokens {
    fn push(&mut self, kind: Kind, from: usize, to: usize) -> usize {
        self.tokens.push(Token { kind, from, to });
        to
    }

    /// Adds a string with the prefix before its quote, such as `r` or `b`.
    fn text(&mut self, line: &str, from: usize, to: usize) -> usize {
        let prefix = self.tokens.last().copied().filter(|word| {
            let text = line.get(word.from..word.to).unwrap_or_default();
            word.kind == Kind::Word && word.to == from && matches!(text.len(), 1 | 2) && text.is_ascii()
        });
        if prefix.is_some() {
            self.tokens.pop();
        }
        self.push(Kind::Text, prefix.map_or(from, |word| word.from), to)
    }
}

/// Returns the length of the mark if a comment begins here.
fn comment(line: &str, at: usize, syntax: &Syntax) -> Option<usize> {
    let (before, rest) = (line.get(..at)?, line.get(at..)?);
    let is_apart = before.chars().next_back().is_none_or(char::is_whitespace);
    let mark = syntax.comments.iter().find(|mark| rest.starts_with(**mark));
    if let Some(mark) = mark.filter(|mark| is_apart || !syntax.apart || **mark == "//") {
        return Some(mark.len());
    }
    // In an unknown language a comment shows itself by what it says.
    let others = ["--", "%", ";", "!", "'", "REM ", "<!--", "(*"];
    let other = others.iter().find(|mark| syntax.unknown && rest.starts_with(**mark))?;
    let words = rest.get(other.len()..)?;
    let is_first = words.split_once("knob:").is_some_and(|(before, _)| !before.contains(['"', '=']));
    (is_apart && is_first).then_some(other.len())
}

/// Returns the length of a string that ends on the line.
fn string(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

fn number(rest: &str, syntax: &Syntax) -> usize {
    let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut before = ' ';
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, c)| *c);
        let goes_on = match c {
            c if c.is_alphanumeric() || c == '_' => true,
            // `1..8` is a range, and `2.max(x)` a call.
            '.' => (!after.is_alphabetic() || matches!(after, 'f' | 'F' | 'e' | 'E')) && after != '.' && after != '_',
            '+' | '-' => matches!(before, 'e' | 'E') && !is_hex && after.is_ascii_digit(),
            '\'' => syntax.tick_digits && after.is_ascii_alphanumeric(),
            '%' => false,
            _ => false,
        };
        if !goes_on {
            return at;
        }
        before = c;
    }
    rest.len()
}

fn word(rest: &str, syntax: &Syntax) -> usize {
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, c)| *c);
        let goes_on = c.is_alphanumeric() || c == '_' || (c == '-' && syntax.dashes && after.is_alphanumeric());
        if !goes_on {
            return at;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str, line: &str) -> (Vec<String>, Option<String>) {
        let found = tokens(line, &Syntax::of(path, ""), None);
        let text = |range: Range<usize>| line[range].to_owned();
        (found.tokens.iter().map(|token| text(token.from..token.to)).collect(), found.comment.map(text))
    }

    #[test]
    fn lines_are_split_by_their_language() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("a.py", "x='#' # knob"), (vec!["x".into(), "=".into(), "'#'".into()], some(" knob")));
        assert_eq!(split("a.cpp", "n=1'000;//k").0, ["n", "=", "1'000", ";"]);
        assert_eq!(split("a.rs", "x: &'a str = b\"//\";").0, ["x", ":", "&", "'", "a", "str", "=", "b\"//\"", ";"]);
        assert_eq!(split("a.py", "1e-3 1..8 2.5.x 3.").0, ["1e-3", "1", ".", ".8", "2.5", ".", "x", "3."]);
        assert_eq!(split("a.c", "x /* a */ = 1").0, ["x", "=", "1"]);
        assert_eq!(split("a.toml", "opt-level = 3").0, ["opt-level", "=", "3"]);
        assert_eq!(split("a.txt", "x = 5 -- knob: int 1..9").1, some(" knob: int 1..9"));
        assert_eq!(split("a.txt", "x = 5 -- 3").1, None);
    }

    #[test]
    fn what_goes_on_in_the_next_line_is_told() {
        let syntax = Syntax::of("a.py", "");
        let first = tokens("s = \"\"\"x = 1", &syntax, None);
        assert_eq!(first.open, Some("\"\"\""));
        let second = tokens("y = 2\"\"\"; z = 3", &syntax, first.open);
        assert_eq!((second.tokens.len(), second.open), (4, None));
    }
}
