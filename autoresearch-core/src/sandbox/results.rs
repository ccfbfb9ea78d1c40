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
    /// Files that the run writes. They become artifacts of its outcome, each under its path; at most 64 MiB each, 1000 in all.
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

/// True if a pattern has no wildcard: it is the path of one file.
#[cfg(any(test, feature = "command"))]
pub(crate) fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

/// The folder that all files of a pattern are below, empty for the root.
#[cfg(any(test, feature = "command"))]
pub(crate) fn root(pattern: &str) -> &str {
    let fixed = pattern.find(['*', '?']).unwrap_or(pattern.len());
    pattern.get(..fixed).and_then(|fixed| fixed.rsplit_once('/')).map_or("", |(folder, _)| folder)
}

/// True if a path, with `/` between its names, matches a pattern.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    let path: Vec<&str> = path.split('/').collect();
    names_match(&pattern, &path)
}

fn names_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], rest) => !rest.is_empty(),
        (["**", rest @ ..], _) => (0..=path.len()).any(|skipped| names_match(rest, &path[skipped..])),
        ([name, rest @ ..], [first, others @ ..]) => {
            let (name, first): (Vec<char>, Vec<char>) = (name.chars().collect(), first.chars().collect());
            name_matches(&name, &first) && names_match(rest, others)
        }
        _ => false,
    }
}

fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|skipped| name_matches(rest, &name[skipped..])),
        (['?', rest @ ..], [_, others @ ..]) => name_matches(rest, others),
        ([one, rest @ ..], [other, others @ ..]) => one == other && name_matches(rest, others),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("out/a.json", "out/a.json", true),
            ("./out/a.json", "out/a.json", true),
            ("*.json", "a.json", true),
            ("*.json", "out/a.json", false),
            ("**/*.json", "out/deep/a.json", true),
            ("**/*.json", "a.json", true),
            ("runs/**", "runs/x/events.1", true),
            ("runs/**", "runs", false),
            ("**/new/estimates.json", "target/criterion/fib 20/new/estimates.json", true),
            ("events.out.tfevents.*", "events.out.tfevents.17.host", true),
            ("a?.txt", "ab.txt", true),
            ("a?.txt", "a.txt", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert_eq!((root("a/b/*.json"), root("**/x"), root("a/b.json")), ("a/b", "", "a"));
    }
}
