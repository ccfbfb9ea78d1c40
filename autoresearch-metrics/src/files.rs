//! The files that a run wrote, as the executor kept them.

use std::path::Path;

use autoresearch_core::internal::matches;
use autoresearch_core::{MetricError, RunLog};

/// A file that a run wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its path below the candidate's folder.
    pub path: String,
    pub bytes: Vec<u8>,
}

impl Written {
    /// Its text. What is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim_start_matches('\u{feff}').to_owned()
    }
}

/// Reads the files of a run that match a pattern, sorted by their paths.
///
/// # Errors
/// If there is none, or one cannot be read.
pub(crate) fn written(log: &RunLog, pattern: &str) -> Result<Vec<Written>, MetricError> {
    let plain = pattern.trim_start_matches("./");
    let kept: Vec<(&String, &std::path::PathBuf)> =
        log.artifacts.iter().filter(|(path, _)| *path == plain || matches(plain, path)).collect();
    if kept.is_empty() {
        return Err(MetricError::Refused(format!(
            "the run wrote no file `{pattern}`; write it below the folder that the run starts in, anew each time, 64 MiB at most"
        )));
    }
    kept.into_iter().map(|(path, place)| read(path, place)).collect()
}

/// Reads the only file that matches a pattern.
///
/// # Errors
/// If there are several, too: their order says nothing about which one counts.
pub(crate) fn only(log: &RunLog, pattern: &str) -> Result<Written, MetricError> {
    let mut found = written(log, pattern)?;
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one),
        (count, last) => {
            let mut paths: Vec<&str> = found.iter().chain(&last).map(|file| file.path.as_str()).take(8).collect();
            paths.sort_unstable();
            let paths = paths.join(", ");
            Err(MetricError::Refused(format!(
                "the run wrote {count} files `{pattern}`: {paths}; give `file` a path that only one of them has"
            )))
        }
    }
}

fn read(path: &str, place: &Path) -> Result<Written, MetricError> {
    let bytes = std::fs::read(place);
    let bytes = bytes.map_err(|e| MetricError::Refused(format!("reading {path}, kept as {}: {e}", place.display())))?;
    Ok(Written { path: path.to_owned(), bytes })
}
