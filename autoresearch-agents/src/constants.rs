//! Constants of a source file that may be searched: `const NAME: TYPE = VALUE; // text; knob: RANGE`.
//!
//! A range is one of `log A..B` (a float, uniform in its logarithm), `lin A..B` (a float), `int A..B` (an integer, both
//! ends included) and `{A, B, C}` (literals as they stand in the source, in a sensible order).

use thiserror::Error;

/// A constant on one line of a source file.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant<'a> {
    /// Name of the constant.
    pub name: &'a str,
    /// Type, as written.
    pub kind: &'a str,
    /// Value, as written.
    pub value: &'a str,
    /// Whole line, without its end.
    pub line: &'a str,
    /// Text of the `knob:` annotation, if there is one.
    pub range: Option<&'a str>,
}

/// Values that a constant may be set to.
#[derive(Debug, Clone, PartialEq)]
pub enum Knob {
    /// A float between the two ends, uniform in its logarithm.
    Log(f64, f64),
    /// A float between the two ends.
    Lin(f64, f64),
    /// An integer between the two ends, both included.
    Int(i64, i64),
    /// One of these literals.
    Choice(Vec<String>),
}

/// Fault of a constant or of a range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConstantError {
    /// No constant has this name.
    #[error("there is no line `const {name}: … = …;`; there are: {known}")]
    Unknown {
        /// Name that was looked for.
        name: String,
        /// Names of the constants that exist.
        known: String,
    },
    /// The range cannot be read.
    #[error(
        "the range `{range}` of {name} is not valid: {why}; write `log 0.01..0.1`, `lin 0..1`, `int 1..8` or `{{A, B}}`"
    )]
    Range {
        /// Name of the constant.
        name: String,
        /// Text of the range.
        range: String,
        /// Reason for the failure.
        why: &'static str,
    },
}

impl<'a> Constant<'a> {
    /// Reads a line, and returns the constant if it is one.
    pub fn parse(line: &'a str) -> Option<Constant<'a>> {
        let line = line.trim_end_matches('\r');
        let rest = line.trim_start();
        let rest = rest.strip_prefix("pub ").unwrap_or(rest).strip_prefix("const ")?;
        let (name, rest) = rest.split_once(':')?;
        let (kind, rest) = rest.split_once(" = ")?;
        // A `//` inside a string literal would be misread; no constant worth searching has one.
        let (code, comment) = rest.split_once("//").unwrap_or((rest, ""));
        let value = code.trim_end().strip_suffix(';')?.trim();
        let range = comment.split_once("knob:").map(|(_, range)| range.trim());
        Some(Constant { name: name.trim(), kind: kind.trim(), value, line, range })
    }

    /// Returns all constants of a source file.
    pub fn all(source: &'a str) -> impl Iterator<Item = Constant<'a>> {
        source.split('\n').filter_map(Constant::parse)
    }

    /// Returns the constant's line with another value.
    pub fn line_with(&self, value: &str) -> String {
        // The value stands after the first ` = `, whatever else looks like it.
        match self.line.split_once(" = ") {
            Some((before, after)) => format!("{before} = {}", after.replacen(self.value, value, 1)),
            None => self.line.to_owned(),
        }
    }
}

/// Returns a source with one constant set to another literal.
///
/// ```
/// let source = "const DEPTH: i64 = 8; // layers\n";
/// let changed = autoresearch_agents::constants::set(source, "DEPTH", "4")?;
/// assert_eq!(changed, "const DEPTH: i64 = 4; // layers\n");
/// # Ok::<(), autoresearch_agents::ConstantError>(())
/// ```
pub fn set(source: &str, name: &str, value: &str) -> Result<String, ConstantError> {
    let unknown = || ConstantError::Unknown {
        name: name.to_owned(),
        known: Constant::all(source).map(|c| c.name).collect::<Vec<_>>().join(", "),
    };
    let constant = Constant::all(source).find(|c| c.name == name).ok_or_else(unknown)?;
    let start = constant.line.as_ptr() as usize - source.as_ptr() as usize;
    Ok([&source[..start], &constant.line_with(value), &source[start + constant.line.len()..]].concat())
}

impl Knob {
    /// Reads a range; `name` names the constant in an error.
    pub fn parse(name: &str, range: &str) -> Result<Knob, ConstantError> {
        let invalid = |why| ConstantError::Range { name: name.to_owned(), range: range.to_owned(), why };
        let range = range.trim();
        if let Some(list) = range.strip_prefix('{') {
            let list = list.strip_suffix('}').ok_or_else(|| invalid("the `}` is missing"))?;
            let choices: Vec<String> = list.split(',').map(|choice| choice.trim().to_owned()).collect();
            return match choices.iter().any(String::is_empty) || choices.len() < 2 {
                true => Err(invalid("it needs two literals or more")),
                false => Ok(Knob::Choice(choices)),
            };
        }
        let (kind, ends) = range.split_once(' ').ok_or_else(|| invalid("it has no kind"))?;
        let (low, high) = ends.split_once("..").ok_or_else(|| invalid("it has no `..`"))?;
        let float = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        let knob = match kind {
            "log" | "lin" => {
                let ends = float(low).zip(float(high)).ok_or_else(|| invalid("its ends are not numbers"))?;
                if kind == "lin" { Knob::Lin(ends.0, ends.1) } else { Knob::Log(ends.0, ends.1) }
            }
            "int" => {
                let ends = low.trim().parse().ok().zip(high.trim().parse().ok());
                let (low, high) = ends.ok_or_else(|| invalid("its ends are not integers"))?;
                Knob::Int(low, high)
            }
            _ => return Err(invalid("its kind is none of log, lin, int")),
        };
        match knob {
            Knob::Log(low, _) if low <= 0.0 => Err(invalid("a logarithmic range must begin above zero")),
            Knob::Log(low, high) | Knob::Lin(low, high) if low >= high => {
                Err(invalid("its ends are in the wrong order"))
            }
            Knob::Int(low, high) if low >= high => Err(invalid("its ends are in the wrong order")),
            knob => Ok(knob),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: &str = "//! GPT\nconst DEPTH: i64 = 8; // number of layers; knob: int 1..16\r\npub const BETAS: [f64; 2] = [0.8, 0.95]; // Adam\nconst PATTERN: &str = \"SSSL\"; // knob: {\"L\", \"SL\", \"SSSL\"}\nfn f() { let x = 8; }\n";

    #[test]
    fn constants_are_found_with_their_ranges() {
        let found: Vec<_> = Constant::all(SOURCE).map(|c| (c.name, c.kind, c.value, c.range)).collect();
        assert_eq!(
            found,
            [
                ("DEPTH", "i64", "8", Some("int 1..16")),
                ("BETAS", "[f64; 2]", "[0.8, 0.95]", None),
                ("PATTERN", "&str", "\"SSSL\"", Some("{\"L\", \"SL\", \"SSSL\"}")),
            ]
        );
    }

    #[test]
    fn setting_one_changes_nothing_else() {
        let changed = set(SOURCE, "DEPTH", "4").unwrap();
        assert_eq!(changed, SOURCE.replace("i64 = 8;", "i64 = 4;"));
        assert_eq!(set(&set(SOURCE, "PATTERN", "\"L\"").unwrap(), "PATTERN", "\"SSSL\"").unwrap(), SOURCE);
        assert!(set(SOURCE, "WIDTH", "4").unwrap_err().to_string().contains("DEPTH, BETAS, PATTERN"));
    }

    #[test]
    fn invalid_ranges_say_what_is_wrong() {
        for range in [
            "",
            "log",
            "log 1",
            "log 0..1",
            "log 2..1",
            "lin a..b",
            "int 1.5..2",
            "float 1..2",
            "{1}",
            "{1, }",
            "{1, 2",
        ] {
            assert!(Knob::parse("LR", range).unwrap_err().to_string().contains("LR"), "{range}");
        }
        assert_eq!(Knob::parse("LR", "log 1e-3..0.1"), Ok(Knob::Log(0.001, 0.1)));
    }

    proptest! {
        #[test]
        fn a_value_that_was_set_is_read_back(value in "[0-9]{1,6}(\\.[0-9]{1,6})?") {
            let source = format!("{SOURCE}const LR: f64 = 0.04; // knob: log 0.01..0.1");
            let changed = set(&source, "LR", &value).unwrap();
            prop_assert_eq!(Constant::all(&changed).find(|c| c.name == "LR").unwrap().value, value);
            prop_assert_eq!(Constant::all(&changed).count(), 4);
        }

        #[test]
        fn no_line_panics(line in "(const )?[A-Z:=/; {}.a-z0-9\"\u{e9}]{0,40}") {
            let _ = Constant::parse(&line).map(|c| c.line_with("1"));
        }
    }
}
