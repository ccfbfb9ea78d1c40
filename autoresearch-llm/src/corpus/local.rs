//! Files of one's own: text, JSON Lines, parquet.

use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;

use super::{Goes, Part, Source};
use crate::error::DataError;

/// A text file longer than this (in bytes) is a collection rather than one document.
const LONG_TEXT: usize = 64 << 10;
/// Paragraphs of a collection are joined up to about so many bytes.
const DOCUMENT: usize = 2000;

/// What collections such as TinyStories put between their documents.
const END_OF_TEXT: &str = "<|endoftext|>";

/// Finds the documents below `paths`. Without `val`, validation documents are chosen by their content.
pub fn parts(paths: &[PathBuf], val: &[PathBuf]) -> Result<Vec<Part>, DataError> {
    let goes = if val.is_empty() { Goes::ByContent } else { Goes::Train };
    let mut parts = Vec::new();
    for (paths, goes) in [(paths, goes), (val, Goes::Val)] {
        // Small files share a shard, so that the loader has one to choose from.
        let mut texts = Vec::new();
        for path in paths {
            let mut files = Vec::new();
            collect(path, &mut files)?;
            if files.is_empty() {
                return Err(DataError::Empty(path.display().to_string()));
            }
            for file in files {
                let name = format!("part-{}", parts.len());
                match file.extension().and_then(|e| e.to_str()) {
                    Some("parquet") => parts.push(Part { name, goes, source: Source::Parquet(file) }),
                    Some("jsonl" | "ndjson") => parts.push(Part { name, goes, source: Source::JsonLines(file) }),
                    _ => texts.extend(text(&file)?),
                }
            }
        }
        if !texts.is_empty() {
            parts.push(Part { name: format!("part-{}", parts.len()), goes, source: Source::Memory(texts) });
        }
    }
    Ok(parts)
}

/// What the documents are made from: names, sizes and times of change.
pub fn settings(paths: &[PathBuf], val: &[PathBuf]) -> Result<String, DataError> {
    let mut described = String::from("files");
    for path in paths.iter().chain(std::iter::once(&PathBuf::from("--val"))).chain(val) {
        let mut files = Vec::new();
        match path.as_os_str() == "--val" {
            true => described += " --val",
            false => collect(path, &mut files)?,
        }
        for file in files {
            let metadata = file.metadata().map_err(|e| DataError::read(&file, e))?;
            let changed = metadata.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
            described += &format!(" {} {} {}", file.display(), metadata.len(), changed.unwrap_or_default().as_nanos());
        }
    }
    Ok(described)
}

/// All files at or below a path, in a fixed order; hidden ones are left out.
fn collect(path: &Path, into: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let metadata = path.metadata().map_err(|e| DataError::read(path, e))?;
    if !metadata.is_dir() {
        into.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|e| DataError::read(path, e))?;
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    names.iter().filter(|path| !hidden(path)).try_for_each(|path| collect(path, into))
}

fn malformed(path: &Path, line: Option<usize>, why: impl Into<String>) -> DataError {
    DataError::Malformed { path: path.to_owned(), line, why: why.into() }
}

/// One document, or what stands between `<|endoftext|>` marks, or, of a long `.txt` file, paragraphs between blank lines joined to about two thousand bytes each.
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

/// Paragraphs between blank lines, joined until they have at least `size` bytes.
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

/// The `text` field of every line.
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

/// The `text` column.
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
