//! A constant with its range: the literals that it may be set to, in its own spelling.

use super::error::ConstantError;
use super::number::Number;
use super::range::Knob;
use super::scan::{Constant, boolean};
use super::sources::Located;
use super::syntax::Syntax;

/// A constant that may be changed, with its place and its range.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// Path of the file.
    pub path: &'a str,
    /// Text of the file.
    pub(crate) source: &'a str,
    /// The constant.
    pub constant: Constant<'a>,
    /// Name that no other constant of the space has.
    pub label: String,
    /// Range, as written.
    pub range: String,
    /// Range, with choices in the spelling of the value.
    pub(crate) knob: Knob,
    /// Spelling of the value, if it is a number.
    number: Option<Number>,
    /// Name that its line gives it: its own, or that of the list of which it is an element.
    pub(crate) line_name: String,
    /// Place among the constants of that name in the file, from 1; 0 if no line names it.
    pub(crate) line_nth: usize,
    /// True if no other constant of the file has that name.
    pub(crate) is_alone: bool,
    /// Place in the list, if it is an element of one.
    pub(crate) element: Option<usize>,
}

impl<'a> Site<'a> {
    /// Puts a constant and a range together.
    ///
    /// # Errors
    /// The range cannot be read, or its values cannot stand in the constant's place.
    pub(crate) fn new(one: Located<'a>, label: String, range: &str) -> Result<Site<'a>, ConstantError> {
        let Located { path, source, constant, .. } = one;
        let knob = Knob::parse(&label, range)?;
        let value = constant.value;
        let number = match knob {
            Knob::Choice(_) => None,
            _ => Some(Number::parse(value).ok_or_else(|| ConstantError::NoNumber {
                file: path.into(),
                line: constant.number,
                name: constant.name.clone(),
                value: value.into(),
            })?),
        };
        let is_integer = number.as_ref().is_some_and(Number::is_integer);
        if is_integer && !knob.is_whole() && !Syntax::of(path, source).loose_numbers {
            return Err(ConstantError::Fraction {
                file: path.into(),
                line: constant.number,
                name: constant.name,
                value: value.into(),
                range: range.into(),
            });
        }
        let knob = match knob {
            Knob::Choice(choices) => Knob::Choice(choices.into_iter().map(|choice| respelled(choice, value)).collect()),
            knob => knob,
        };
        let (line_name, line_nth) = (constant.name.clone(), constant.nth);
        let range = range.to_owned();
        let (is_alone, element) = (false, None);
        Ok(Site { path, source, constant, label, range, knob, number, line_name, line_nth, is_alone, element })
    }

    /// Returns true if its values are integers.
    pub(crate) fn is_integer(&self) -> bool {
        self.number.as_ref().is_some_and(Number::is_integer) && self.knob.is_whole()
    }

    /// Returns a value as a literal in the spelling of the present one.
    pub(crate) fn written(&self, value: f64) -> String {
        match (&self.knob, &self.number) {
            (Knob::Choice(choices), _) => choices.get(value.max(0.0) as usize).cloned().unwrap_or_default(),
            (_, Some(number)) => number.write(value),
            (_, None) => value.to_string(),
        }
    }

    /// Returns the literal that a number of the range stands for.
    pub(crate) fn literal(&self, number: f64) -> String {
        self.written(self.knob.value(number, self.is_integer()))
    }
}

/// Returns a choice in the spelling of the present value: its word for true and false, its quotes.
pub(super) fn respelled(choice: String, present: &str) -> String {
    if let (Some((pair, _)), Some((_, truth))) = (boolean(present), boolean(&choice)) {
        return (if truth { pair.0 } else { pair.1 }).to_owned();
    }
    let quote_of = |text: &str| {
        let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some((quote, inner.to_owned()))
    };
    let Some((quote, _)) = quote_of(present) else { return choice };
    let inner = match quote_of(&choice) {
        Some((own, inner)) if own != quote => inner,
        Some(_) => return choice,
        None => choice.clone(),
    };
    match inner.contains([quote, '\\']) {
        true => choice,
        false => format!("{quote}{inner}{quote}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use super::super::sources::Sources;

    fn site(path: &str, line: &str, range: &str) -> Result<Vec<String>, String> {
        let files: BTreeMap<String, String> = [(path.to_owned(), line.to_owned())].into();
        let sources = Sources::new(&files);
        let one = sources.all().into_iter().next().unwrap();
        let site = Site::new(one, "X".into(), range).map_err(|error| error.to_string())?;
        let (low, high) = site.knob.ends();
        Ok([low, (low + high) / 2.0, high].map(|number| site.literal(number)).to_vec())
    }

    #[test]
    fn literals_keep_kind_suffix_and_quotes() {
        let of = |path, line, range| site(path, line, range).unwrap().join(" ");
        assert_eq!(of("a.py", "n = 64", "log 16..256"), "16 64 256");
        assert_eq!(of("a.py", "dropout = 0", "lin 0..0.5"), "0 0.25 0.5");
        assert_eq!(of("a.rs", "const X: f64 = 8.0;", "int 1..16"), "1.0 9.0 16.0");
        assert_eq!(of("a.cpp", "float x = 3.0f;", "lin 1..4"), "1.0f 2.5f 4.0f");
        assert_eq!(of("a.py", "o = 'adam'", "{\"adam\", sgd}"), "'adam' 'sgd' 'sgd'");
        assert_eq!(of("a.py", "flash = True", "{true, false}"), "True False False");
        assert_eq!(of("a.yaml", "flash: on", "bool"), "off on on");
        assert_eq!(of("a.py", "n = 2 ** 10", "{2 ** 10, 2 ** 11}"), "2 ** 10 2 ** 11 2 ** 11");
    }

    #[test]
    fn what_could_not_stand_there_is_told() {
        let error = |path: &str, line: &str, range: &str| site(path, line, range).unwrap_err();
        for value in ["2 ** 10", "1 << 10", "512 * 4", "BASE // 2", "f(3)"] {
            let error = error("a.py", &format!("n = {value}"), "int 1..9");
            assert!(error.contains("a.py:1") && error.contains(&format!("{{{value}, …}}")), "{error}");
        }
        assert!(error("a.rs", "const X: i64 = 1;", "lin 0..0.5").contains("`1.0`"));
        assert!(error("a.py", "x = 1", "int 9..1").contains("wrong order"));
    }
}
