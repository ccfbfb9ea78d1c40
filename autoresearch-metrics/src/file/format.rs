//! Formats of files with numbers, each read as rows of entries.

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// One JSON value. NaN and infinities, which Python writes, are read as no number.
    Json,
    /// JSON Lines: one value for each line.
    Jsonl,
    /// YAML: each document is a row.
    Yaml,
    /// TOML.
    Toml,
    /// Comma-separated values, with the names of the columns in the first row.
    Csv,
    /// Tab-separated values, likewise.
    Tsv,
    /// The metadata of a safetensors file.
    Safetensors,
}

impl Format {
    /// The format that a file's ending tells. JSON for an unknown one.
    pub fn of(path: &str) -> Format {
        match path.rsplit('.').next().unwrap_or_default().to_lowercase().as_str() {
            "jsonl" | "ndjson" => Format::Jsonl,
            "yaml" | "yml" => Format::Yaml,
            "toml" => Format::Toml,
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "safetensors" => Format::Safetensors,
            _ => Format::Json,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Json => "JSON",
            Format::Jsonl => "JSON Lines",
            Format::Yaml => "YAML",
            Format::Toml => "TOML",
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::Safetensors => "safetensors",
        }
    }

    /// Reads the rows of a file. Formats without rows have one.
    pub(crate) fn rows(self, bytes: &[u8]) -> Result<Vec<Value>, String> {
        if self == Format::Safetensors {
            return Ok(vec![safetensors(bytes)?]);
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}');
        match self {
            Format::Json => Ok(vec![json(text)?]),
            Format::Jsonl => {
                let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
                lines.map(|(at, line)| json(line).map_err(|why| format!("line {}: {why}", at + 1))).collect()
            }
            Format::Yaml => {
                let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
                Ok(documents.iter().map(yaml).collect())
            }
            Format::Toml => {
                let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
                serde_json::to_value(table).map(|value| vec![value]).map_err(|error| error.to_string())
            }
            Format::Csv => table(text, b','),
            Format::Tsv => table(text, b'\t'),
            Format::Safetensors => Ok(Vec::new()),
        }
    }
}

/// Parses JSON, also with the numbers that Python writes and JSON does not have.
pub(crate) fn json(text: &str) -> Result<Value, String> {
    let strict = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    if !["NaN", "Infinity"].iter().any(|word| text.contains(word)) {
        return Err(strict);
    }
    serde_json::from_str(&without_python(text)).map_err(|_| strict)
}

/// A number that is not finite, as [`json`] reads it and as a table has it.
pub(crate) fn not_finite(value: &Value) -> Option<f64> {
    value.as_str()?.trim().parse::<f64>().ok().filter(|value| !value.is_finite())
}

/// Puts quotes around NaN and infinities outside of strings.
fn without_python(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(first) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].iter().find(|word| !quoted && rest.starts_with(**word));
        if let Some(word) = word {
            plain.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        let escaped = quoted && first == '\\';
        let taken = first.len_utf8() + if escaped { rest[1..].chars().next().map_or(0, char::len_utf8) } else { 0 };
        quoted ^= first == '"';
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    plain
}

/// A table with the names of its columns in the first row.
fn table(text: &str, mark: u8) -> Result<Vec<Value>, String> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(mark).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|error| error.to_string())?;
        let cells = names.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), Value::from(cell)));
        Ok(Value::Object(cells.collect::<Map<_, _>>()))
    };
    reader.records().map(row).collect()
}

fn yaml(value: &Yaml) -> Value {
    match value {
        Yaml::Integer(number) => Value::from(*number),
        // As it is written: `.5` and `1_000` are for the reader of numbers.
        Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Boolean(one) => Value::from(*one),
        Yaml::Array(list) => Value::Array(list.iter().map(yaml).collect()),
        Yaml::Hash(entries) => {
            let name = |key: &Yaml| match key {
                Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
                Yaml::Integer(number) => Some(number.to_string()),
                Yaml::Boolean(one) => Some(one.to_string()),
                _ => None,
            };
            Value::Object(entries.iter().filter_map(|(key, value)| Some((name(key)?, yaml(value)))).collect())
        }
        Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => Value::Null,
    }
}

/// The metadata in the header of a safetensors file, which is JSON of a stated length.
fn safetensors(bytes: &[u8]) -> Result<Value, String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("it has no header")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| "its header is too long")?;
    let header = rest.get(..length).ok_or("its header is cut off")?;
    let header: Value = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    header.get("__metadata__").cloned().ok_or_else(|| "its header has no __metadata__".into())
}
