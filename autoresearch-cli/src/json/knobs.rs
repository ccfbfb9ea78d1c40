//! The answer of `autoresearch knobs`.

use autoresearch_agents::Suggestion;
use autoresearch_agents::constants::{Constant, Located, Site};
use schemars::JsonSchema;
use serde::Serialize;

use super::version::VERSION;

/// Values that a search may change, and ranges for others.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KnobsAnswer {
    /// Version of this form.
    pub version: u32,
    /// Values with a range.
    pub knobs: Vec<Knob>,
    /// Ranges for values without one that look like hyperparameters.
    pub suggestions: Vec<Knob>,
}

/// A value with a range.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Knob {
    /// Key of `[knobs]` that names the value and no other.
    pub key: String,
    /// Path of the file.
    pub file: String,
    /// Number of the line, from 1.
    pub line: usize,
    /// Name of the value.
    pub name: String,
    /// The value, as written.
    pub value: String,
    /// The range, as written.
    pub range: String,
}

impl KnobsAnswer {
    /// The answer about these values.
    pub fn new(known: &[Site<'_>], suggested: &[Suggestion<'_>]) -> KnobsAnswer {
        let suggestion = |one: &Suggestion<'_>| {
            let Located { path, constant, .. } = &one.located;
            Knob::new(&one.key, path, constant, &one.range)
        };
        KnobsAnswer {
            version: VERSION,
            knobs: known.iter().map(|site| Knob::new(&site.label, site.path, &site.constant, &site.range)).collect(),
            suggestions: suggested.iter().map(suggestion).collect(),
        }
    }
}

impl Knob {
    fn new(key: &str, file: &str, constant: &Constant<'_>, range: &str) -> Knob {
        Knob {
            key: key.to_owned(),
            file: file.to_owned(),
            line: constant.number,
            name: constant.name.clone(),
            value: constant.value.to_owned(),
            range: range.to_owned(),
        }
    }

    /// File and line.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}
