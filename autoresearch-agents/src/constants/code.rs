//! Names with values in the lines of programming languages: assignments, declarations, defaults, keyword arguments, entries
//! of dictionaries and structures, `#define`.

use std::ops::Range;

use super::entry::{Entry, unquoted};
use super::number::Number;
use super::syntax::Syntax;
use super::tokens::{Kind, Token};

/// Words before a name that are no part of it.
const KEYWORDS: [&str; 30] = [
    "const",
    "constexpr",
    "static",
    "let",
    "var",
    "val",
    "mut",
    "pub",
    "local",
    "global",
    "final",
    "export",
    "readonly",
    "public",
    "private",
    "protected",
    "internal",
    "inline",
    "extern",
    "my",
    "our",
    "auto",
    "unsigned",
    "signed",
    "long",
    "short",
    "volatile",
    "crate",
    "default",
    "consteval",
];

/// The tokens of a line with its text.
struct Reader<'a> {
    line: &'a str,
    tokens: &'a [Token],
    syntax: &'a Syntax,
}

/// Finds the entries of a line.
pub(super) fn entries(line: &str, tokens: &[Token], syntax: &Syntax) -> Vec<Entry> {
    let reader = Reader { line, tokens, syntax };
    if let Some(definition) = reader.definition() {
        return definition;
    }
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let name = match reader.text(at) {
            "=" | ":=" => reader.assigned(at),
            "<-" if syntax.name == "R" => reader.assigned(at),
            ":" => reader.paired(at),
            "=>" if syntax.arrows => reader.key(at),
            "=>" if syntax.unknown => reader.quoted_key(at),
            _ => None,
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
        if let Some(value) = reader.value(at + 1) {
            found.push(Entry::new(name, value));
        }
    }
    reader.name_options(&mut found);
    found
}

impl<'a> Reader<'a> {
    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).and_then(|token| self.line.get(token.from..token.to)).unwrap_or_default()
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// Reads `#define NAME VALUE`.
    fn definition(&self) -> Option<Vec<Entry>> {
        let directive = self.text(0) == "#" && self.text(1) == "define";
        if !directive || !(self.syntax.unknown || self.syntax.name == "C/C++") {
            return None;
        }
        let (name, first) = (self.tokens.get(2)?, self.tokens.get(3)?);
        let is_function = self.text(3) == "(" && first.from == name.to;
        let last = self.tokens.last()?;
        let value = self.narrowed(3, self.tokens.len()).unwrap_or(first.from..last.to);
        Some(if is_function { Vec::new() } else { vec![Entry::new(self.text(2), value)] })
    }

    /// Returns the index of the first token of the argument, entry or statement that ends before the token `at`.
    fn start(&self, at: usize) -> usize {
        let mut depth = 0;
        for before in (0..at).rev() {
            match self.text(before) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" if depth == 0 => return before + 1,
                "(" | "[" | "{" => depth -= 1,
                "," | ";" if depth == 0 => return before + 1,
                _ => {}
            }
        }
        0
    }

    /// Returns the index behind the last token of the value that begins with the token `from`.
    fn end(&self, from: usize) -> Option<usize> {
        let mut depth = 0;
        for at in from..self.tokens.len() {
            match self.text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => return Some(at),
                ")" | "]" | "}" => depth -= 1,
                "," | ";" if depth == 0 => return Some(at),
                _ => {}
            }
        }
        // A value that goes on in the next line has no end here.
        (depth == 0).then_some(self.tokens.len())
    }

    /// Returns the name on the left of `=`.
    fn assigned(&self, at: usize) -> Option<&'a str> {
        let start = self.start(at);
        let mut last = at.checked_sub(1).filter(|last| *last >= start)?;
        // `name: TYPE =`, and `name::TYPE =` of Julia.
        let typed = if self.syntax.name == "Julia" { "::" } else { ":" };
        let colon = (start..at).find(|at| self.text(*at) == typed);
        if let Some(colon) = colon.filter(|_| self.syntax.name != "C/C++") {
            last = colon.checked_sub(1).filter(|last| *last >= start)?;
        }
        if self.text(last) == ">" {
            // An attribute of Lua, `<const>`.
            last = (start..last).rev().find(|at| self.text(*at) == "<")?.checked_sub(1)?;
        }
        if self.text(last) == "]" {
            let open = (start..last).rev().find(|at| self.text(*at) == "[")?;
            if open + 2 == last && self.kind(open + 1) == Some(Kind::Text) {
                return Some(unquoted(self.text(open + 1)));
            }
            last = open.checked_sub(1).filter(|last| *last >= start)?;
        }
        if self.syntax.type_last && self.text(at) == "=" {
            // `var lr float64 =`: the first word that is no keyword.
            last = (start..=last).find(|at| !KEYWORDS.contains(&self.text(*at))).unwrap_or(last);
        }
        match self.kind(last)? {
            Kind::Word => Some(self.text(last)),
            Kind::Text => Some(unquoted(self.text(last))),
            Kind::Number | Kind::Mark => None,
        }
    }

    /// Returns the key on the left of `:`, unless what stands there is a type or a condition.
    fn paired(&self, at: usize) -> Option<&'a str> {
        let (start, end) = (self.start(at), self.end(at + 1).unwrap_or(self.tokens.len()));
        let is_declared = (at..end).any(|at| matches!(self.text(at), "=" | ":="));
        let is_condition = (start..at).any(|at| self.text(at) == "?");
        if is_declared || is_condition {
            return None;
        }
        let key = self.tokens.get(at.checked_sub(1)?)?;
        let touches = self.tokens.get(at).is_some_and(|colon| colon.from == key.to);
        match key.kind {
            Kind::Text => self.quoted_key(at),
            Kind::Word if self.syntax.word_keys && touches && at == start + 1 => Some(self.text(at - 1)),
            Kind::Word if self.syntax.word_keys && touches => {
                // After words such as `pub` only.
                let words = (start..at - 1).all(|at| KEYWORDS.contains(&self.text(at)) || self.text(at) == "-");
                words.then(|| self.text(at - 1))
            }
            _ => None,
        }
    }

    fn key(&self, at: usize) -> Option<&'a str> {
        match self.kind(at.checked_sub(1)?)? {
            Kind::Word => Some(self.text(at - 1)),
            _ => self.quoted_key(at),
        }
    }

    fn quoted_key(&self, at: usize) -> Option<&'a str> {
        let before = at.checked_sub(1)?;
        (self.kind(before)? == Kind::Text).then(|| unquoted(self.text(before)))
    }

    /// Returns the place of the value that begins with the token `from`.
    fn value(&self, from: usize) -> Option<Range<usize>> {
        let mut end = self.end(from)?;
        if end > from && self.text(end - 1) == "\\" {
            end -= 1;
        }
        let (first, last) = (self.tokens.get(from).filter(|_| end > from)?, self.tokens.get(end - 1)?);
        Some(self.narrowed(from, end).unwrap_or(first.from..last.to))
    }

    /// Returns the place of a number in parentheses of its own.
    fn narrowed(&self, from: usize, end: usize) -> Option<Range<usize>> {
        if end < from + 3 || self.text(from) != "(" || self.text(end - 1) != ")" {
            return None;
        }
        let inner = self.tokens.get(from + 1)?.from..self.tokens.get(end - 2)?.to;
        Number::parse(self.line.get(inner.clone())?).map(|_| inner)
    }

    /// Gives the defaults of command-line options the names of the options, as in `add_argument("--lr", default=0.1)`.
    fn name_options(&self, entries: &mut [Entry]) {
        let Some(default) = entries.iter_mut().find(|entry| entry.name == "default") else { return };
        let before = self.tokens.iter().filter(|token| token.to <= default.value.start && token.kind == Kind::Text);
        let mut options = before.filter_map(|token| {
            let text = unquoted(self.line.get(token.from..token.to)?);
            text.strip_prefix("--").filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        });
        if let Some(option) = options.next() {
            default.name = option.to_owned();
        }
    }
}
