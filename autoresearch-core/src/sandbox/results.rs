//! The files of a run that a metric reads, by patterns of their paths.

use serde::{Deserialize, Serialize};

/// The files that a metric reads after a run, by their paths below the candidate's folder.
///
/// A path may have `*` and `?` within a name and `**` for any number of folders. A file that is called by its exact path is removed
/// before the run, wherever it comes from, and so is every file that matches a pattern and is not the candidate's own: what
/// an earlier run or the build wrote is never read.
///
/// ```
/// use autoresearch_core::ResultFiles;
/// let mut results = ResultFiles::default();
/// results.written.push("out/result.json".into());
/// results.counted.push("src/**/*.rs".into());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultFiles {
    /// Files that the run writes. They become artifacts of its outcome, each under its path; at most 64 MiB each, and 1000 files
    /// or 512 MiB in all.
    pub written: Vec<String>,
    /// Files whose bytes and lines are counted after the run, for the artifact `sizes`.
    pub counted: Vec<String>,
}

/// The artifact with the [`Sizes`] of counted files, as JSON.
pub const SIZES: &str = "sizes";

/// The bytes and lines of counted files, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sizes {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their lines that are not blank.
    pub lines: u64,
}
