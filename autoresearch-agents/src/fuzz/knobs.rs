//! Files with constants: whatever stands in them, reading them never fails, and setting a value changes nothing else.
//!
//! An input is the name of a file in the first line, and its text.

use std::collections::BTreeMap;

use autoresearch_core::{EditablePaths, Patch};

use super::fuzz;
use crate::constants::{Constant, Knob, Located, Sources, edits, set, sites};

/// Values of an input that are changed: each reads the file again.
const CHANGED: usize = 4;

fn check(input: &[u8]) -> Result<(), String> {
    let input = String::from_utf8_lossy(input);
    let (name, text) = input.split_once('\n').unwrap_or(("a.py", &input));
    // Odd paths are the business of another reader.
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(64).collect();
    let path = if name.trim_matches('.').is_empty() { "a" } else { &name };
    let _ = Knob::parse(path, text.lines().next().unwrap_or_default());
    let files: BTreeMap<String, String> = [(path.to_owned(), text.to_owned())].into();
    let sources = Sources::new(&files);
    // Errors are answers, too.
    let _ = (sites(&sources, &BTreeMap::new()), sources.find(path), sources.find(&format!("{path}:/a/b")));
    let all = Constant::all(path, text);
    for constant in &all {
        if text.get(constant.place.clone()) != Some(constant.value) || constant.value.contains('\n') {
            return Err(format!("the place of {} = {} is another one", constant.name, constant.value));
        }
        // A line may end with several carriage returns.
        let line = text.lines().nth(constant.number - 1).map(|line| line.trim_end_matches('\r'));
        if line != Some(constant.line.trim_end_matches('\r')) {
            return Err(format!("{} = {} does not stand in line {}", constant.name, constant.value, constant.number));
        }
    }
    for constant in all.iter().step_by(all.len() / CHANGED + 1) {
        let one = Located { path, source: text, constant: constant.clone() };
        let expected = set(&one, "7");
        let (before, after) = (&text[..constant.place.start], &text[constant.place.end..]);
        if expected != format!("{before}7{after}") {
            return Err(format!("setting {} gives {expected:?}", constant.name));
        }
        let edits = edits(path, text, vec![(constant.place.clone(), "7".to_owned())]);
        let editable = EditablePaths::new([path]);
        if constant.value == "7" || !editable.allows(path) || text.contains('\0') {
            continue;
        }
        let patched = Patch { edits }.applied_to(&files, &editable).map_err(|error| error.to_string())?;
        if patched.get(path) != Some(&expected) {
            return Err(format!("the edits of {} give {:?}", constant.name, patched.get(path)));
        }
    }
    Ok(())
}

#[test]
fn fuzz_of_knobs() {
    fuzz("knobs", check);
}
