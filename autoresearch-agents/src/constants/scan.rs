//! The constants of a file: every line that gives a name a value, with the range that its comment may hold.

use std::ops::Range;

use super::entry::{Entry, innermost, unquoted};
use super::number::Number;
use super::range::{Knob, same};
use super::syntax::{Form, Syntax};
use super::tokens::{Tokens, tokens};
use super::{code, words};

/// A name with a value in a file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Constant<'a> {
    /// Name of the constant, key or argument.
    pub name: String,
    /// Value, as written.
    pub value: &'a str,
    /// Whole line, without its end.
    pub line: &'a str,
    /// Number of the line, from 1.
    pub number: usize,
    /// Place of the value in the file, in bytes.
    pub place: Range<usize>,
    /// Text of the `knob:` annotation, if there is one.
    pub range: Option<String>,
    /// Further names on the line that the annotation could mean as well.
    pub rivals: Vec<String>,
    /// Place among the constants of this name in the file, from 1.
    pub nth: usize,
}

/// The constants of a file, and the lines whose annotation belongs to none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan<'a> {
    pub constants: Vec<Constant<'a>>,
    /// Numbers of the lines with a range and without a name that it could belong to.
    pub lost: Vec<usize>,
    /// The lines without the values, which other values do not change.
    pub skeletons: Vec<String>,
}

impl<'a> Constant<'a> {
    /// Returns all constants of a file. The language follows from its path.
    ///
    /// ```
    /// use autoresearch_agents::Constant;
    /// let all = Constant::all("train.py", "lr = 3e-4  # knob: log 1e-5..1e-2\n");
    /// assert_eq!((all[0].name.as_str(), all[0].value), ("lr", "3e-4"));
    /// assert_eq!(all[0].range.as_deref(), Some("log 1e-5..1e-2"));
    /// ```
    pub fn all(path: &str, source: &'a str) -> Vec<Constant<'a>> {
        scan(path, source).constants
    }

    /// Returns true if a value of the range could stand in its place.
    pub(crate) fn fits(&self, knob: &Knob) -> bool {
        fits(self.value, knob)
    }
}

/// Reads a file.
pub(crate) fn scan<'a>(path: &str, source: &'a str) -> Scan<'a> {
    let syntax = Syntax::of(path, source);
    let (mut scan, mut open, mut from) = (Scan::default(), None, 0);
    for (index, whole) in source.split('\n').enumerate() {
        let line = whole.strip_suffix('\r').unwrap_or(whole);
        let tokens = tokens(line, &syntax, open);
        open = tokens.open;
        let entries = entries(line, &tokens, &syntax);
        let comment = tokens.comment.clone().and_then(|range| line.get(range)).unwrap_or_default();
        let marked = annotations(comment, line, &entries);
        if marked.is_empty() && comment.contains("knob:") && !tokens.tokens.is_empty() && has_range(comment) {
            scan.lost.push(index + 1);
        }
        for (at, entry) in entries.iter().enumerate() {
            let annotation = marked.iter().find(|annotation| annotation.entry == at);
            scan.constants.push(Constant {
                name: entry.name.clone(),
                value: line.get(entry.value.clone()).unwrap_or_default(),
                line,
                number: index + 1,
                place: from + entry.value.start..from + entry.value.end,
                range: annotation.map(|annotation| annotation.range.clone()),
                rivals: annotation.map(|annotation| annotation.rivals.clone()).unwrap_or_default(),
                nth: 0,
            });
        }
        scan.skeletons.push(skeleton(line, &tokens, &entries));
        from += whole.len() + 1;
    }
    let mut counts = std::collections::HashMap::new();
    for constant in &mut scan.constants {
        let count = counts.entry(constant.name.clone()).or_insert(0);
        *count += 1;
        constant.nth = *count;
    }
    scan
}

/// Finds the names with values on a line.
fn entries(line: &str, tokens: &Tokens, syntax: &Syntax) -> Vec<Entry> {
    let (Some(first), Some(last)) = (tokens.tokens.first(), tokens.tokens.last()) else { return Vec::new() };
    let code = first.from.min(line.len() - line.trim_start_matches([' ', '\u{feff}']).len())..last.to;
    innermost(match syntax.form {
        Form::Code => code::entries(line, &tokens.tokens, syntax),
        Form::Shell => words::shell(line, code),
        Form::Make => words::make(line, code),
        Form::CMake => words::cmake(line, code),
        Form::Ini => words::ini(line, code),
        Form::Yaml => words::yaml(line, code, |place| {
            let is_within = |token: &&super::tokens::Token| token.from >= place.start && token.to <= place.end;
            let within: Vec<_> = tokens.tokens.iter().filter(is_within).copied().collect();
            code::entries(line, &within, &Syntax { word_keys: true, ..*syntax })
        }),
    })
}

/// A range in a comment, with the entry of the line that it belongs to.
struct Annotation {
    entry: usize,
    range: String,
    rivals: Vec<String>,
}

/// Reads `knob: RANGE` and `knob: NAME RANGE`, of which a comment may hold several.
fn annotations(comment: &str, line: &str, entries: &[Entry]) -> Vec<Annotation> {
    let mut found: Vec<Annotation> = Vec::new();
    for part in comment.split("knob:").skip(1) {
        let part = part.trim().trim_end_matches(['.', ';', ',']).trim_end();
        let part = part.trim_end_matches("-->").trim_end_matches("*)").trim_end_matches("*/").trim_end();
        let (first, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let name = first.trim_end_matches([':', '=']);
        if let Some(entry) = entries.iter().position(|entry| entry.name == name && !rest.is_empty()) {
            found.push(Annotation { entry, range: rest.trim().to_owned(), rivals: Vec::new() });
            continue;
        }
        let value = |entry: &Entry| line.get(entry.value.clone()).unwrap_or_default();
        let fitting: Vec<usize> = match Knob::parse("", part) {
            Ok(knob) => {
                (0..entries.len()).filter(|at| entries.get(*at).is_some_and(|e| fits(value(e), &knob))).collect()
            }
            Err(_) => Vec::new(),
        };
        let all: Vec<usize> = if fitting.is_empty() { (0..entries.len()).collect() } else { fitting };
        let rivals: Vec<String> = match all.len() {
            0 | 1 => Vec::new(),
            _ => all.iter().filter_map(|at| entries.get(*at)).map(|entry| entry.name.clone()).collect(),
        };
        if let Some(entry) = all.first() {
            found.push(Annotation { entry: *entry, range: part.to_owned(), rivals });
        }
    }
    found
}

/// Returns true if a comment holds a range that can be read.
fn has_range(comment: &str) -> bool {
    comment.split("knob:").skip(1).any(|part| Knob::parse("", part.trim()).is_ok())
}

fn fits(value: &str, knob: &Knob) -> bool {
    match knob {
        Knob::Choice(choices) => {
            let bare = |text: &str| unquoted(text).to_ascii_lowercase();
            choices.iter().any(|choice| same(choice, value) || bare(choice) == bare(value))
                || boolean(value).is_some() && choices.iter().all(|choice| boolean(choice).is_some())
        }
        _ => Number::parse(value).is_some(),
    }
}

/// Words for true and false, in pairs.
const BOOLEANS: [(&str, &str); 9] = [
    ("true", "false"),
    ("True", "False"),
    ("TRUE", "FALSE"),
    ("on", "off"),
    ("On", "Off"),
    ("ON", "OFF"),
    ("yes", "no"),
    ("Yes", "No"),
    ("YES", "NO"),
];

/// Returns the pair that a boolean is of, and its truth.
pub(super) fn boolean(text: &str) -> Option<((&'static str, &'static str), bool)> {
    let pair = BOOLEANS.iter().find(|(yes, no)| text == *yes || text == *no)?;
    Some((*pair, text == pair.0))
}

/// Returns true if a value is written out: a number, a boolean, a string, or a list of such.
pub(crate) fn is_literal(value: &str) -> bool {
    let value = value.trim();
    let list = value.strip_prefix(['(', '[', '{']).and_then(|rest| rest.strip_suffix([')', ']', '}']));
    match list {
        Some(list) => list.split(',').all(|part| part.trim().is_empty() || is_literal(part)),
        None => Number::parse(value).is_some() || boolean(value).is_some() || unquoted(value) != value,
    }
}

/// Returns a line without the values of its entries and without its comment.
fn skeleton(line: &str, tokens: &Tokens, entries: &[Entry]) -> String {
    let end = tokens.tokens.last().map_or(0, |last| last.to);
    let (mut text, mut from) = (String::new(), 0);
    for entry in entries {
        if entry.value.start < from {
            continue;
        }
        text += line.get(from..entry.value.start).unwrap_or_default();
        text.push('\u{fffc}');
        from = entry.value.end;
    }
    text += line.get(from..end.max(from)).unwrap_or_default();
    match tokens.tokens.is_empty() {
        true => line.trim_end().to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! GPT\nconst DEPTH: i64 = 8; // number of layers; knob: int 1..16\r\npub const BETAS: [f64; 2] = [0.8, 0.95]; // Adam\nconst PATTERN: &str = \"SSSL\"; // knob: {\"L\", \"SL\", \"SSSL\"}\nfn f() { g(8) }\nmod m {\n    pub(crate) const N: usize = 3; // knob: int 1..9\n}\n";

    #[test]
    fn constants_are_found_with_their_ranges() {
        let all = Constant::all("a.rs", SOURCE);
        let found: Vec<_> = all.iter().map(|c| (c.name.as_str(), c.value, c.range.as_deref())).collect();
        assert_eq!(
            found,
            [
                ("DEPTH", "8", Some("int 1..16")),
                ("BETAS", "[0.8, 0.95]", None),
                ("PATTERN", "\"SSSL\"", Some("{\"L\", \"SL\", \"SSSL\"}")),
                ("N", "3", Some("int 1..9")),
            ]
        );
        assert!(all.iter().all(|c| &SOURCE[c.place.clone()] == c.value));
        assert_eq!(all.iter().map(|c| c.number).collect::<Vec<_>>(), [2, 3, 4, 7]);
    }

    /// Returns `name=value` of each constant of a line, with its range behind.
    fn found(path: &str, line: &str) -> Vec<String> {
        let shown = |c: &Constant<'_>| {
            let range = c.range.as_ref().map(|range| format!(" {range}")).unwrap_or_default();
            format!("{}={}{range}{}", c.name, c.value, c.rivals.join("|"))
        };
        Constant::all(path, line).iter().map(shown).collect()
    }

    #[test]
    fn what_is_commented_out_or_within_a_text_is_no_constant() {
        for (path, text) in [
            ("a.rs", "// const A: i64 = 1; // knob: int 1..9"),
            ("a.txt", "# const A: i64 = 1; // knob: int 1..9"),
            ("a.py", "\"\"\"\nlr = 1  # knob: int 1..9\n\"\"\""),
            ("a.c", "/*\n int x = 1; // knob: int 1..9\n*/"),
            ("a.yaml", "# lr: 0.1 # knob: log 0.01..1"),
            ("a.py", "if x == 1 and y <= 2 or z != 3: f(x)"),
            ("a.js", "f(x => 1, a ? b : 2)"),
            ("a.py", "x += 1"),
        ] {
            assert_eq!(found(path, text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_range_belongs_to_the_entry_that_it_fits_or_names() {
        assert_eq!(
            found("a.py", "p.add_argument(\"--lr\", type=float, default=0.1)  # knob: log 0.01..1"),
            ["type=float", "lr=0.1 log 0.01..1"]
        );
        let two = "opt = AdamW(p, lr=0.1, eps=1e-8)  # knob: ";
        assert_eq!(found("a.py", &format!("{two}lr log 0.01..1")), ["lr=0.1 log 0.01..1", "eps=1e-8"]);
        assert_eq!(
            found("a.py", &format!("{two}lr log 0.01..1; knob: eps log 1e-9..1e-7")),
            ["lr=0.1 log 0.01..1", "eps=1e-8 log 1e-9..1e-7"]
        );
        assert_eq!(found("a.py", &format!("{two}log 0.01..1")), ["lr=0.1 log 0.01..1lr|eps", "eps=1e-8"]);
        let lost = scan("a.py", "f(  # knob: int 1..9\n# knob: int 1..9\nf()  # see knob: below\n").lost;
        assert_eq!(lost, [1]);
    }
}
