//! Ranges of constants: `log A..B`, `lin A..B`, `int A..B`, `{A, B, C}`, `bool`.

use thiserror::Error;

use super::number::Number;

/// Values that a constant may be set to.
#[derive(Debug, Clone, PartialEq)]
pub enum Knob {
    /// A number between the two ends, uniform in its logarithm; an integer where the constant is one.
    Log(f64, f64),
    /// A number between the two ends; an integer where the constant is one.
    Lin(f64, f64),
    /// An integer between the two ends, both included.
    Int(i64, i64),
    /// One of these literals.
    Choice(Vec<String>),
}

/// Fault of a range, with the ways to write one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error(
    "the range `{range}` of {name} is not valid: {why}; write `log 0.01..0.1`, `lin 0..1`, `int 1..8`, `bool` or `{{A, B}}`"
)]
pub struct RangeError {
    /// Name of the constant.
    pub name: String,
    /// Text of the range.
    pub range: String,
    /// Reason for the failure.
    pub why: &'static str,
}

impl Knob {
    /// Reads a range; `name` names the constant in an error.
    pub fn parse(name: &str, range: &str) -> Result<Knob, RangeError> {
        let invalid = |why| RangeError { name: name.to_owned(), range: range.to_owned(), why };
        let range = range.trim();
        if range == "bool" {
            return Ok(Knob::Choice(vec!["false".into(), "true".into()]));
        }
        if let Some(list) = range.strip_prefix('{') {
            let list = list.strip_suffix('}').ok_or_else(|| invalid("the `}` is missing"))?;
            let choices = split(list);
            return match choices.iter().any(String::is_empty) || choices.len() < 2 {
                true => Err(invalid("it needs two literals or more")),
                false => Ok(Knob::Choice(choices)),
            };
        }
        let (kind, ends) = range.split_once(' ').ok_or_else(|| invalid("it has no kind"))?;
        let (low, high) = ends.split_once("..").ok_or_else(|| invalid("it has no `..`"))?;
        let number = |text: &str| Number::parse(text).map(|number| number.value);
        let knob = match kind {
            "log" | "lin" => {
                let ends = number(low).zip(number(high)).ok_or_else(|| invalid("its ends are not numbers"))?;
                if kind == "lin" { Knob::Lin(ends.0, ends.1) } else { Knob::Log(ends.0, ends.1) }
            }
            "int" => {
                let whole = |text: &str| number(text).filter(|value| value.fract() == 0.0).map(|value| value as i64);
                let ends = whole(low).zip(whole(high));
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

    /// Returns the ends of the numbers that stand for its values, the second one excluded: logarithms for `log`, places in
    /// the list for choices.
    pub(crate) fn ends(&self) -> (f64, f64) {
        match self {
            Knob::Log(low, high) => (low.ln(), high.ln()),
            Knob::Lin(low, high) => (*low, *high),
            Knob::Int(low, high) => (*low as f64, *high as f64 + 1.0),
            Knob::Choice(choices) => (0.0, choices.len() as f64),
        }
    }

    /// Returns the number that stands for a literal, if it lies in the range.
    pub(crate) fn number(&self, literal: &str) -> Option<f64> {
        let (low, high) = self.ends();
        let value = || Number::parse(literal).map(|number| number.value);
        let number = match self {
            // The upper end belongs to the range and not to the numbers that stand for it.
            Knob::Log(..) => value()?.ln().min(high - (high - low) * 1e-9),
            Knob::Lin(..) => value().filter(|v| *v <= high)?.min(high - (high - low) * 1e-9),
            Knob::Int(..) => value().filter(|v| v.fract() == 0.0)? + 0.5,
            Knob::Choice(choices) => choices.iter().position(|choice| same(choice, literal))? as f64 + 0.5,
        };
        (low..high).contains(&number).then_some(number)
    }

    /// Returns the value that a number stands for, with two significant digits, or with more in a narrow range: finer steps drown in the noise. Of an
    /// `integer` it is one.
    pub(crate) fn value(&self, number: f64, integer: bool) -> f64 {
        match self {
            Knob::Log(low, high) => rounded(number.exp(), *low, *high, integer),
            Knob::Lin(low, high) => rounded(number, *low, *high, integer),
            Knob::Int(low, high) => number.floor().clamp(*low as f64, *high as f64),
            Knob::Choice(choices) => (number.max(0.0)).floor().min(choices.len().saturating_sub(1) as f64),
        }
    }

    /// Returns true if the ends are written as integers, so that an integer may stay one.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Knob::Log(low, high) | Knob::Lin(low, high) => low.fract() == 0.0 && high.fract() == 0.0,
            Knob::Int(..) | Knob::Choice(_) => true,
        }
    }
}

/// The fewest values that a range has with two significant digits. A narrower one, as 0.99 to 0.999, gets more digits.
const FEWEST: f64 = 5.0;

/// Rounds a value to two significant digits within the ends, or to more where they are close to each other.
pub(crate) fn rounded(value: f64, low: f64, high: f64, integer: bool) -> f64 {
    let step = 10f64.powf(low.abs().max(high.abs()).log10().floor() - 1.0);
    let decimals = -((high - low) / 20.0).log10().floor();
    let short = match (high - low) / step < FEWEST && (0.0..=15.0).contains(&decimals) {
        true => format!("{value:.0$}", decimals as usize),
        false => format!("{value:.1e}"),
    };
    let short: f64 = short.parse().unwrap_or(value);
    let short = short.clamp(low, high);
    if integer { short.round().clamp(low.ceil(), high.floor()) } else { short }
}

/// Returns true if two literals are the same value.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let number = |text: &str| Number::parse(text).map(|number| number.value);
    a.trim() == b.trim() || number(a).is_some_and(|a| number(b) == Some(a))
}

/// Returns the elements of a list in brackets, and of a list without its last bracket.
pub(crate) fn elements(list: &str) -> Vec<String> {
    let list = list.trim();
    let inner = list.strip_prefix(['(', '[', '{']).unwrap_or(list);
    split(inner.strip_suffix([')', ']', '}']).unwrap_or(inner))
}

/// Splits a list at its commas; those within quotes or brackets belong to a literal.
fn split(list: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quote) = (vec![String::new()], 0i32, None);
    for c in list.chars() {
        match (c, quote) {
            (_, Some(open)) => quote = (c != open).then_some(open),
            ('"' | '\'' | '`', None) => quote = Some(c),
            ('(' | '[' | '{', None) => depth += 1,
            (')' | ']' | '}', None) => depth -= 1,
            _ => {}
        }
        match (c, depth, quote, parts.last_mut()) {
            (',', 0, None, _) => parts.push(String::new()),
            (_, _, _, Some(part)) => part.push(c),
            _ => {}
        }
    }
    match quote.is_some() || depth != 0 {
        // Quotes that do not pair are no quotes.
        true => list.split(',').map(|part| part.trim().to_owned()).collect(),
        false => parts.into_iter().map(|part| part.trim().to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_range_has_more_values_than_its_ends() {
        for (low, high) in [(0.99, 0.999), (1000.0, 1010.0), (0.95, 0.99), (1e-9, 1.1e-9)] {
            let values = (0..=100).map(|at| rounded(low + (high - low) * f64::from(at) / 100.0, low, high, false));
            let mut values: Vec<f64> = values.collect();
            values.dedup();
            assert!(values.len() > 20 && values.iter().all(|value| (low..=high).contains(value)), "{values:?}");
        }
        assert_eq!(rounded(0.123_456, 0.0, 1.0, false), 0.12);
        assert_eq!(rounded(0.012_345, 1e-4, 1.0, false), 0.012);
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
        assert_eq!(Knob::parse("N", "int 1_000..2_000"), Ok(Knob::Int(1000, 2000)));
        assert_eq!(Knob::parse("N", "int -3..-1"), Ok(Knob::Int(-3, -1)));
    }

    #[test]
    fn commas_within_a_literal_do_not_end_it() {
        let choices = |range| match Knob::parse("B", range) {
            Ok(Knob::Choice(choices)) => choices,
            other => panic!("{other:?}"),
        };
        assert_eq!(choices("{(0.9, 0.95), (0.8, 0.95)}"), ["(0.9, 0.95)", "(0.8, 0.95)"]);
        assert_eq!(choices("{\"a,b\", \"c\"}"), ["\"a,b\"", "\"c\""]);
        assert_eq!(choices("{don't, do}"), ["don't", "do"]);
        assert_eq!(choices("{-O2 -Wall, -O3 -Wall}"), ["-O2 -Wall", "-O3 -Wall"]);
    }

    #[test]
    fn literals_in_any_spelling_are_points_of_the_range() {
        assert!(Knob::Int(1, 128).number("0x40").is_some());
        assert!(Knob::Int(1, 2000).number("1_000").is_some());
        assert!(Knob::Log(0.1, 10.0).number("3.0f").is_some());
        assert_eq!(Knob::Int(1, 8).number("9"), None);
        assert_eq!(Knob::Lin(0.0, 1.0).number("1.5"), None);
        assert_eq!(Knob::Choice(vec!["16".into(), "1_024".into()]).number("1024"), Some(1.5));
        assert_eq!((rounded(137.2, 16.0, 512.0, true), rounded(0.6, 0.5, 1.0, true)), (140.0, 1.0));
    }
}
