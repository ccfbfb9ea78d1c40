//! Places in a value: JSON pointers, with `-1` for the last entry of a list.

use autoresearch_core::internal::metric::parse_number;
use serde_json::Value;

/// Finds the value at a place. A place without a slash is the name of one entry.
pub(super) fn resolve<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    let Some(rest) = pointer.strip_prefix('/') else { return entry(value, pointer) };
    // A column may have slashes in its name: `train/loss`.
    if let Some(found) = value.get(rest) {
        return Some(found);
    }
    rest.split('/').try_fold(value, |value, name| entry(value, &name.replace("~1", "/").replace("~0", "~")))
}

fn entry<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(entries) => entries.get(name),
        Value::Array(list) => match name.strip_prefix('-') {
            Some(back) => list.len().checked_sub(back.parse().ok()?).and_then(|at| list.get(at)),
            None => list.get(name.parse::<usize>().ok()?),
        },
        _ => None,
    }
}

/// Lists the places of numbers, those most like `wanted` first.
pub(super) fn numbers(value: Option<&Value>, wanted: &str) -> String {
    let mut found = value.map(places).unwrap_or_default();
    let last = |place: &str| place.rsplit('/').next().unwrap_or_default().to_lowercase();
    let wanted = last(wanted);
    let unlike = |place: &str| {
        let name = last(place);
        (name != wanted, !(name.contains(&wanted) || wanted.contains(&name)))
    };
    found.sort_by_key(|(place, _)| unlike(place));
    let more = found.len().saturating_sub(8);
    let shown: Vec<String> = found.iter().take(8).map(|(place, value)| format!("{place} {value}")).collect();
    shown.join(", ") + &if more > 0 { format!(", and {more} more") } else { String::new() }
}

/// Finds the places of all numbers, in the order of the value; of a list only the first few.
pub(super) fn places(value: &Value) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, place: String, found: &mut Vec<(String, f64)>) {
    // A long list of numbers would hide everything else.
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                collect(value, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate().take(3) {
                collect(value, format!("{place}/{at}"), found);
            }
        }
        single => {
            if let Ok((number, _)) = number(single) {
                found.push((place, number));
            }
        }
    }
}

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Result<(f64, String), String> {
    let shown = || value.to_string().chars().take(60).collect::<String>();
    match value {
        // Through its text, which serde_json keeps to the last digit.
        Value::Number(number) => {
            number.as_f64().filter(|value| value.is_finite()).map(|value| (value, String::new())).ok_or_else(shown)
        }
        Value::String(text) => parse_number(text).map_err(|_| shown()),
        _ => Err(shown()),
    }
}
