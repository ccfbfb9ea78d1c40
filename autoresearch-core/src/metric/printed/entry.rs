//! A number in an output, with its line.

use super::label;
use super::lines::Line;
use super::number::Number;
use crate::text::one_line;

/// A number in an output.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Printed {
    /// The names that it may be meant by, the most likely one first.
    pub names: Vec<String>,
    /// The number, or the reason why the text is not read as one.
    pub value: Result<f64, String>,
    /// The number's own text.
    pub text: String,
    /// The unit behind it; empty for none.
    pub unit: String,
    /// Number of its line, from 1.
    pub line: usize,
    /// Its line, cleaned and cut.
    pub shown: String,
    /// The words around it without their numbers: lines of one loop have the same.
    pub(super) shape: String,
    /// Place of its line among all lines, also those that a terminal overwrites.
    pub(super) place: usize,
    /// True if the output overwrote it afterwards, as a progress bar does.
    pub(super) overwritten: bool,
}

/// The length to which a line is cut, in characters.
const SHOWN: usize = 120;

impl Printed {
    pub(super) fn new(line: &Line, names: Vec<String>, number: Number, shape: String) -> Printed {
        let Number { value, text, unit, .. } = number;
        let shown = one_line(&line.text, SHOWN);
        // A different spelling of a name is another number until somebody says otherwise.
        let shape = format!("{}: {shape}", names.first().map_or("", String::as_str));
        Printed {
            names,
            value,
            text,
            unit,
            line: line.number,
            shown,
            shape,
            place: line.place,
            overwritten: line.overwritten,
        }
    }

    /// True if `name` is one of its names, in whatever case and with `-`, `_` or a space.
    pub(super) fn is_named(&self, folded: &str) -> bool {
        self.names.iter().any(|name| label::folded(name) == folded)
    }
}
