//! The schema agrees with what the parser accepts, and the published file with the schema.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::schema;
use crate::config::Config;
use crate::config::examples::MINIMAL;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn as_json(text: &str) -> Option<Value> {
    serde_json::to_value(text.parse::<toml::Table>().ok()?).ok()
}

/// Lays a table over another one, as a preset is.
fn over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                match below.get_mut(&name) {
                    Some(inner) if inner.is_object() && value.is_object() => over(inner, value),
                    _ => drop(below.insert(name, value)),
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema().to_value()).unwrap()
}

#[test]
fn the_published_schema_is_that_of_the_program() {
    let path = docs().join("autoresearch.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/autoresearch.schema.json is out of date; write it anew: autoresearch schema > docs/autoresearch.schema.json"
    );
}

/// Every ```toml block of the book, with the bases that parts are laid over.
#[test]
fn every_documented_configuration_is_valid() {
    let validator = validator();
    let mut bases = vec![as_json(MINIMAL).unwrap()];
    let folder = docs().join("book-tests/fixtures/bases");
    for file in std::fs::read_dir(folder).unwrap() {
        bases.push(as_json(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap());
    }
    bases.iter().for_each(|base| assert!(validator.is_valid(base), "{base:#}"));
    let (mut seen, mut wrong) = (0, Vec::new());
    let pages = ["", "traits", "decisions"].map(|folder| std::fs::read_dir(docs().join(folder)).unwrap());
    for page in pages.into_iter().flatten().map(|page| page.unwrap().path()) {
        let Ok(text) = std::fs::read_to_string(&page) else { continue };
        for block in text.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0) {
            seen += 1;
            let parts =
                [block.to_owned(), format!("[proposer]\n{block}")].into_iter().filter_map(|text| as_json(&text));
            let fits = parts.flat_map(|part| {
                let laid = |base: &Value| {
                    let mut whole = base.clone();
                    // Another kind has other keys.
                    if part["proposer"]["kind"].is_string() {
                        whole.as_object_mut().map(|whole| whole.remove("proposer"));
                    }
                    over(&mut whole, part.clone());
                    validator.is_valid(&whole)
                };
                bases.iter().map(laid).collect::<Vec<bool>>()
            });
            if !fits.into_iter().any(|fits| fits) {
                let mut whole = bases[0].clone();
                over(&mut whole, as_json(block).unwrap_or_default());
                let why = validator.iter_errors(&whole).map(|error| error.to_string()).collect::<Vec<_>>().join("; ");
                wrong.push(format!("{}: {why}\n{block}", page.display()));
            }
        }
    }
    assert!(seen >= 10 && wrong.is_empty(), "{}", wrong.join("\n"));
    for file in ["autoresearch.toml", "strict.toml"] {
        let workload = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nanochat").join(file);
        let workload = as_json(&std::fs::read_to_string(workload).unwrap()).unwrap();
        assert!(validator.is_valid(&workload), "{file}");
    }
}

fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema["$ref"].as_str() {
        schema = root.pointer(&reference[1..]).unwrap();
    }
    // An optional section is one of its own form and null.
    match schema["anyOf"].as_array().and_then(|forms| forms.iter().find(|form| form["$ref"].is_string())) {
        Some(form) => resolved(root, form),
        None => schema,
    }
}

fn read(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoresearch.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path, None, &toml::Table::new()).map_err(|error| error.to_string())
}

/// The keys of each section are those that its parser names when it meets an unknown one.
#[test]
fn the_keys_are_those_that_the_parser_allows() {
    let root = schema().to_value();
    let mut checked = 0;
    let top = root["properties"].as_object().unwrap();
    for (section, form) in std::iter::once(("", &root)).chain(top.iter().map(|(name, form)| (name.as_str(), form))) {
        let form = resolved(&root, form);
        let Some(properties) = form["properties"].as_object() else { continue };
        let mut table: toml::Table = MINIMAL.parse().unwrap();
        let unknown = toml::Value::Integer(1);
        match section {
            "" => drop(table.insert("no_such_key".into(), unknown)),
            section => {
                let inner = table.entry(section).or_insert_with(|| toml::Table::new().into());
                inner.as_table_mut().unwrap().insert("no_such_key".into(), unknown);
            }
        }
        let error = read(&table.to_string()).unwrap_err();
        let Some((_, list)) = error.split_once("Allowed are: ") else { panic!("[{section}]: {error}") };
        let list = list.lines().next().unwrap().replace(" or ", ", ");
        let mut allowed: Vec<&str> = list.split(", ").collect();
        let mut named: Vec<&str> = properties.keys().map(String::as_str).collect();
        // Read apart from the rest.
        named.retain(|name| !(section.is_empty() && *name == "proposer"));
        allowed.retain(|name| !(section.is_empty() && *name == "proposer"));
        allowed.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, allowed, "[{section}]");
        assert_eq!(form["additionalProperties"], false, "[{section}]");
        checked += 1;
    }
    assert!(checked >= 11, "{checked} sections");
}

#[test]
fn mistakes_are_not_valid() {
    let validator = validator();
    for more in [
        "[stop]\nexperimets = 3",
        "[stop]\nhours = 0",
        "[stop]\nplateau = 0",
        "[workers]\ncount = 0",
        "[ratchet]\nrule = 'strictest'",
        "[proposer]\nkind = 'magic'",
        "[proposer]\nkind = 'knobs'\nstrategy = 'luck'",
        "[proposer]\nkind = 'merge'\nmargin = -1.0",
        "[proposer]\nkind = 'knobs'\njournal = 'x'",
        "[screening]\nmargin = 1.0",
        "[limits]\nmemory_gb = -1",
    ] {
        let text = format!("{MINIMAL}\n{more}\n");
        assert!(read(&text).is_err(), "the parser takes {more}");
        assert!(!validator.is_valid(&as_json(&text).unwrap()), "the schema takes {more}");
    }
    for text in ["", "editable = ['a']\n[run]\ncommand = ['x']\n", &MINIMAL.replace("minimise", "down")] {
        assert!(read(text).is_err() && !validator.is_valid(&as_json(text).unwrap()), "{text}");
    }
}
