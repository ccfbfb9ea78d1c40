//! Documents read from a file: text, JSON Lines, parquet.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;

use crate::error::DataError;

/// A text file longer than this (in bytes) is a collection rather than one document.
const LONG_TEXT: usize = 64 << 10;
/// Length in bytes up to which paragraphs of a collection are joined into a document.
const DOCUMENT: usize = 2000;

/// The mark between two documents in collections such as TinyStories.
const END_OF_TEXT: &str = "<|endoftext|>";

fn malformed(path: &Path, line: Option<usize>, why: impl Into<String>) -> DataError {
    DataError::Malformed { path: path.to_owned(), line, why: why.into() }
}

/// Reads a text file: one document, or those between `<|endoftext|>` marks, or, from a `.txt` file over 64 KiB, its paragraphs
/// joined to about two thousand bytes each.
pub fn text(path: &Path) -> Result<Vec<String>, DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::read(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        malformed(path, Some(line), "it is not UTF-8 text; convert it (`iconv -t utf-8`) or leave it out")
    })?;
    if text.contains(END_OF_TEXT) {
        return Ok(text.split(END_OF_TEXT).map(|document| document.trim().to_owned()).collect());
    }
    if text.len() <= LONG_TEXT || path.extension().is_some_and(|e| e != "txt") {
        return Ok(vec![text]);
    }
    Ok(paragraphs(&text, DOCUMENT))
}

/// Cuts text at blank lines and joins the paragraphs until each document has at least `size` bytes.
pub fn paragraphs(text: &str, size: usize) -> Vec<String> {
    let mut documents = vec![String::new()];
    for paragraph in text.split_inclusive("\n\n") {
        match documents.last_mut() {
            Some(last) if last.len() < size => last.push_str(paragraph),
            _ => documents.push(paragraph.to_owned()),
        }
    }
    documents
}

/// Reads the field `text` of every line of a JSON Lines file.
pub fn json_lines(path: &Path) -> Result<Vec<String>, DataError> {
    let content = std::fs::read_to_string(path).map_err(|e| DataError::read(path, e))?;
    let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(index, line): (usize, &str)| {
        let wrong = |why: String| malformed(path, Some(index + 1), why);
        let value: serde_json::Value = serde_json::from_str(line).map_err(|e| wrong(format!("it is not JSON: {e}")))?;
        let text = value.get("text").and_then(|text| text.as_str());
        text.map(str::to_owned).ok_or_else(|| wrong("it has no field `text` with a string; rename the field".into()))
    };
    lines.map(read).collect()
}

/// Reads the column `text` of a parquet file.
pub fn parquet(path: &Path) -> Result<Vec<String>, DataError> {
    let file = std::fs::File::open(path).map_err(|e| DataError::read(path, e))?;
    let wrong =
        |e: parquet::errors::ParquetError| malformed(path, None, format!("it is not a readable parquet file: {e}"));
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let schema = reader.metadata().file_metadata().schema().clone();
    let Some(column) = schema.get_fields().iter().find(|field| field.name() == "text").cloned() else {
        let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        return Err(malformed(path, None, format!("it has no column `text`, only: {}", names.join(", "))));
    };
    let only_text = Type::group_type_builder(schema.name()).with_fields(vec![column]).build().map_err(wrong)?;
    let mut documents = Vec::new();
    for row in reader.get_row_iter(Some(only_text)).map_err(wrong)? {
        match row.map_err(wrong)?.into_columns().pop() {
            Some((_, Field::Str(text))) => documents.push(text),
            Some((_, Field::Null)) => {}
            _ => return Err(malformed(path, None, "its column `text` does not hold strings")),
        }
    }
    Ok(documents)
}
