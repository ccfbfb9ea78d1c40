//! The numbers of a line that is a JSON object.

use serde_json::Value;

use super::number::{self, Number};

/// An object in a line.
pub(super) struct Object {
    /// Its numbers, each with its names: the path to it, with dots or slashes between the keys.
    pub numbers: Vec<(Vec<String>, Number)>,
    /// Its texts without their digits: those of a loop are the same in each line.
    pub texts: String,
    /// The place where it begins in the line.
    pub from: usize,
}

/// Keys of texts that differ from one line to the next.
const CHANGING: [&str; 8] = ["time", "timestamp", "ts", "date", "datetime", "@timestamp", "level", "id"];

/// Reads the object of a line. `None` if the line is none.
pub(super) fn object(line: &str) -> Option<Object> {
    let from = line.find('{')?;
    // A log may put a prefix before it, but no value: that is for the other reading.
    if line[..from].contains(['=', '\'', '"']) || !line.ends_with('}') {
        return None;
    }
    let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(&line[from..]) else { return None };
    let (mut numbers, mut said) = (Vec::new(), Vec::new());
    collect(&value, &mut Vec::new(), &mut numbers);
    texts(&value, &mut said);
    Some(Object { numbers, texts: said.join(" "), from })
}

fn texts(value: &Value, said: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(key, _)| !CHANGING.contains(&key.to_lowercase().as_str()));
            kept.for_each(|(_, value)| texts(value, said));
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, said)),
        Value::String(text) if number_of(value).is_none() => {
            said.push(text.chars().filter(|c| !c.is_ascii_digit()).collect())
        }
        _ => {}
    }
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Number)>) {
    match value {
        Value::Object(entries) => {
            let text = |key: &str| entries.get(key).and_then(Value::as_str);
            let name = ["name", "metric", "key", "tag"].iter().find_map(|key| text(key));
            if let (Some(name), Some(number)) = (name, entries.get("value").and_then(number_of)) {
                found.push((vec![name.to_owned()], number));
            }
            for (key, value) in entries {
                path.push(key.clone());
                collect(value, path, found);
                path.pop();
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                path.push(at.to_string());
                collect(value, path, found);
                path.pop();
            }
        }
        single => {
            if let Some(number) = number_of(single) {
                let joined = path.join(".");
                let mut names = vec![joined];
                if path.len() > 1 {
                    names.push(path.join("/"));
                }
                found.push((names, number));
            }
        }
    }
}

/// A number, or a text that is one and nothing else.
fn number_of(value: &Value) -> Option<Number> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let number = number::leading(&text)?;
    text.get(number.length..)?.trim().is_empty().then_some(number)
}
