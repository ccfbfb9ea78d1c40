//! Constants of source files and files of settings that may be searched: a name with a value on one line, and in its comment a
//! range, as in `lr = 3e-4  # knob: log 1e-5..1e-2`.
//!
//! A range is one of `log A..B` (uniform in the logarithm), `lin A..B`, `int A..B` (both ends included), `{A, B, C}` (literals
//! as they stand in the source, in a sensible order) and `bool`. A new value is written in the spelling of the present one, and
//! nothing else of the file changes.

mod code;
mod edit;
mod entry;
mod error;
mod number;
mod pointer;
mod range;
mod scan;
mod site;
mod sites;
mod sources;
mod syntax;
mod tokens;
mod words;

#[cfg(test)]
mod corpus;

#[cfg(test)]
pub(crate) use edit::edits;
pub(crate) use edit::{edits_of, spliced};
pub use error::{ConstantError, RangeError};
pub(crate) use number::Number;
pub use range::Knob;
pub(crate) use range::{elements, rounded, same};
pub use scan::Constant;
pub(crate) use scan::{is_literal, scan};
pub use site::Site;
pub use sites::sites;
pub use sources::{Located, Sources};

/// Returns a value as a literal in the spelling of a constant's present one: its quotes, its words for true and false, and of a
/// number its kind and suffix. What is no such literal stays as it is given.
///
/// ```
/// let files = [("a.rs".to_owned(), "const LR: f64 = 0.5;\nconst LOSS: &str = \"mse\";\n".to_owned())].into();
/// let sources = autoresearch_agents::constants::Sources::new(&files);
/// assert_eq!(autoresearch_agents::constants::spelled(&sources.find("LR")?, "2"), "2.0");
/// assert_eq!(autoresearch_agents::constants::spelled(&sources.find("LOSS")?, "mae"), "\"mae\"");
/// # Ok::<(), autoresearch_agents::ConstantError>(())
/// ```
pub fn spelled(one: &Located<'_>, value: &str) -> String {
    let present = one.constant.value;
    match (Number::parse(present), Number::parse(value)) {
        (Some(number), Some(other)) if other.is_plain() => number.write(other.value),
        _ => site::respelled(value.to_owned(), present),
    }
}

/// Returns a file's text with one constant set to another literal.
///
/// ```
/// let files = [("a.rs".to_owned(), "const DEPTH: i64 = 8; // layers\n".to_owned())].into();
/// let sources = autoresearch_agents::constants::Sources::new(&files);
/// let depth = sources.find("DEPTH")?;
/// assert_eq!(autoresearch_agents::constants::set(&depth, "4"), "const DEPTH: i64 = 4; // layers\n");
/// # Ok::<(), autoresearch_agents::ConstantError>(())
/// ```
pub fn set(one: &Located<'_>, value: &str) -> String {
    spliced(one.source, 0..one.source.len(), &[(one.constant.place.clone(), value.to_owned())])
}
