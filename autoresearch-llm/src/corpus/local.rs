//! The user's own files as a corpus.

use std::path::{Path, PathBuf};

use super::read::text;
use super::{Goes, Part, Source};
use crate::error::DataError;

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

/// Describes the files that the documents come from: names, sizes and times of change.
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

/// Collects all files at or below a path, in a fixed order; hidden ones are left out.
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
