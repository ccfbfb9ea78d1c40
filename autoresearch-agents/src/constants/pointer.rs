//! Values of JSON, YAML and TOML files by pointer, as in RFC 6901: `/optimizer/betas/0`.

use std::ops::Range;

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use saphyr_parser::{Event, Parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::syntax::Syntax;

/// Pointers to all scalar values of a file, with their places.
pub(super) type Pointers = Vec<(String, Range<usize>)>;

/// Reads a file.
///
/// # Errors
/// The first fault that keeps the file from being read.
pub(super) fn pointers(path: &str, source: &str) -> Result<Pointers, String> {
    let mut found = Vec::new();
    match Syntax::of(path, source).name {
        "JSON" => {
            let parsed = parse_to_ast(source, &CollectOptions::default(), &ParseOptions::default());
            if let Some(value) = parsed.map_err(|e| e.to_string())?.value {
                json(&value, String::new(), &mut found);
            }
        }
        "TOML" => {
            let table = DeTable::parse(source).map_err(|e| e.message().to_owned())?;
            toml_table(table.get_ref(), "", &mut found);
        }
        "YAML" => yaml(source, &mut found)?,
        name => return Err(format!("a file of {name} has no pointers")),
    }
    // The parsers count bytes that must be those of the text.
    found.retain(|(_, place)| source.get(place.clone()).is_some());
    Ok(found)
}

/// Returns the pointer of a key below another one.
fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn json(value: &Value<'_>, pointer: String, found: &mut Pointers) {
    match value {
        Value::Object(object) => {
            for property in &object.properties {
                let name = match &property.name {
                    ObjectPropName::String(text) => text.value.as_ref(),
                    ObjectPropName::Word(word) => word.value,
                };
                json(&property.value, below(&pointer, name), found);
            }
        }
        Value::Array(array) => {
            for (at, element) in array.elements.iter().enumerate() {
                json(element, below(&pointer, &at.to_string()), found);
            }
        }
        scalar => {
            let range = scalar.range();
            found.push((pointer, range.start..range.end));
        }
    }
}

fn toml_table(table: &DeTable<'_>, pointer: &str, found: &mut Pointers) {
    for (key, value) in table {
        toml_value(value, below(pointer, key.get_ref()), found);
    }
}

fn toml_value(value: &Spanned<DeValue<'_>>, pointer: String, found: &mut Pointers) {
    match value.get_ref() {
        DeValue::Table(table) => toml_table(table, &pointer, found),
        DeValue::Array(array) => {
            for (at, element) in array.iter().enumerate() {
                toml_value(element, below(&pointer, &at.to_string()), found);
            }
        }
        _ => found.push((pointer, value.span())),
    }
}

/// The way to the present place in a YAML document: a mapping with the key that waits for its value, or a sequence with its
/// next index.
enum Step {
    Mapping(Option<String>),
    Sequence(usize),
}

fn yaml(source: &str, found: &mut Pointers) -> Result<(), String> {
    // The parser counts characters.
    let mut offsets: Vec<usize> = source.char_indices().map(|(at, _)| at).collect();
    offsets.push(source.len());
    let mut way: Vec<Step> = Vec::new();
    for event in Parser::new_from_str(source) {
        let (event, span) = event.map_err(|e| e.to_string())?;
        match event {
            Event::Scalar(text, ..) => match way.last_mut() {
                Some(Step::Mapping(key @ None)) => *key = Some(text.into_owned()),
                _ => {
                    let place = offsets.get(span.start.index()).zip(offsets.get(span.end.index()));
                    if let Some((from, to)) = place {
                        let written = source.get(*from..*to).unwrap_or_default().trim_end().len();
                        found.push((pointer(&way), *from..from + written));
                    }
                    step(&mut way);
                }
            },
            Event::MappingStart(..) => way.push(Step::Mapping(None)),
            Event::SequenceStart(..) => way.push(Step::Sequence(0)),
            Event::MappingEnd | Event::SequenceEnd => {
                way.pop();
                step(&mut way);
            }
            Event::Alias(_) => match way.last_mut() {
                Some(Step::Mapping(key @ None)) => *key = Some("*".to_owned()),
                _ => step(&mut way),
            },
            // Pointers lead into the first document.
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    Ok(())
}

fn pointer(way: &[Step]) -> String {
    way.iter().fold(String::new(), |pointer, step| match step {
        Step::Mapping(key) => below(&pointer, key.as_deref().unwrap_or_default()),
        Step::Sequence(at) => below(&pointer, &at.to_string()),
    })
}

/// Goes on behind a value.
fn step(way: &mut [Step]) {
    match way.last_mut() {
        // A mapping or sequence that is itself a key has no name.
        Some(Step::Mapping(key)) => *key = if key.is_some() { None } else { Some("?".to_owned()) },
        Some(Step::Sequence(at)) => *at += 1,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, source: &str) -> Vec<String> {
        let found = pointers(path, source).unwrap();
        found.into_iter().map(|(pointer, place)| format!("{pointer}={}", &source[place])).collect()
    }

    #[test]
    fn pointers_lead_to_scalars_of_every_format() {
        assert_eq!(
            found("a.json", "{\"a/b\":{\"lr\":0.1,\"betas\":[0.9,\n 0.95]}, \"ö\": \"x\"}"),
            ["/a~1b/lr=0.1", "/a~1b/betas/0=0.9", "/a~1b/betas/1=0.95", "/ö=\"x\""]
        );
        assert_eq!(found("a.json5", "{lr: .5, /* n */ n: 0x10,}"), ["/lr=.5", "/n=0x10"]);
        assert_eq!(found("a.toml", "x = 1_0\n[a.b]\nlr = 1e-3 # c\nl = [1, 'ü']\n[[t]]\nn = true\n").len(), 5,);
        assert!(found("a.toml", "[a.b]\nlr = 1e-3 # c\n").contains(&"/a/b/lr=1e-3".to_owned()));
        assert_eq!(
            found(
                "a.yaml",
                "# ü\na:\n  ö: 0.1  # c\n  l: [1, 2]\n  m:\n    - x: 'q'\n      y: {z: true}\nb: text here\n"
            ),
            ["/a/ö=0.1", "/a/l/0=1", "/a/l/1=2", "/a/m/0/x='q'", "/a/m/0/y/z=true", "/b=text here"]
        );
        assert_eq!(found("a.yaml", "a: &x 1\nb: *x\nc: 2\n---\nd: 1\n").last().map(String::as_str), Some("/c=2"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        for (path, text) in [("a.json", "{"), ("a.toml", "a = "), ("a.yaml", "a: [")] {
            assert!(pointers(path, text).is_err(), "{path}");
        }
    }
}
