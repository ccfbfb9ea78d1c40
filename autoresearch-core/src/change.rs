//! The default kind of change: a set of file edits that is applied whole or not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A set of edits to text files, applied atomically to the incumbent's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The edits, in order. Later ones see the result of earlier ones.
    pub edits: Vec<FileEdit>,
}

/// One edit. Paths are relative to the root, with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FileEdit {
    /// Replaces the only place where `search` stands.
    Replace {
        /// The file.
        path: String,
        /// Text that stands exactly once in it.
        search: String,
        /// What stands there afterwards.
        replace: String,
    },
    /// Writes the whole file, which may be new.
    Write {
        /// The file.
        path: String,
        /// Its whole text.
        text: String,
    },
}

/// Why a patch was refused. Nothing was changed, and no experiment is spent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// No edit at all, or edits that change nothing.
    #[error("the patch changes nothing")]
    Empty,
    /// A path outside the allow-list.
    #[error("{path} may not be edited; editable: {editable}")]
    NotEditable {
        /// The path.
        path: String,
        /// What may be edited.
        editable: String,
    },
    /// The file to be edited does not exist.
    #[error("{0} does not exist")]
    NoSuchFile(String),
    /// The search text stands nowhere.
    #[error("the text to be replaced stands nowhere in {path}; the nearest line is {line}: {nearest}")]
    NoMatch {
        /// The file.
        path: String,
        /// The number of the nearest line, from 1.
        line: usize,
        /// The nearest line.
        nearest: String,
    },
    /// The search text stands in several places.
    #[error("the text to be replaced stands {count} times in {path}; give more of its surroundings")]
    Ambiguous {
        /// The file.
        path: String,
        /// How many times.
        count: usize,
    },
}

/// The paths that proposals may change: exact files, or whole folders as `folder/**`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditablePaths(Vec<String>);

impl EditablePaths {
    /// An allow-list. `src/**` allows everything below `src`.
    pub fn new(paths: impl IntoIterator<Item = impl Into<String>>) -> EditablePaths {
        EditablePaths(paths.into_iter().map(Into::into).collect())
    }

    /// Whether `path` may be edited. Absolute paths and paths with `.`, `..` or `.git` in them never may.
    pub fn allows(&self, path: &str) -> bool {
        let plain = path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git"));
        plain
            && !path.contains(['\\', '\0', ':'])
            && self.0.iter().any(|allowed| match allowed.strip_suffix("**") {
                Some(folder) => path.starts_with(folder) && path.len() > folder.len(),
                None => path == allowed,
            })
    }
}

impl std::fmt::Display for EditablePaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Patch {
    /// A patch of one unique search-and-replace.
    pub fn replace(path: impl Into<String>, search: impl Into<String>, replace: impl Into<String>) -> Patch {
        Patch { edits: vec![FileEdit::Replace { path: path.into(), search: search.into(), replace: replace.into() }] }
    }

    /// Applies all edits to `files` and returns the files that changed with their new text.
    ///
    /// ```
    /// use autoresearch_core::{EditablePaths, Patch};
    /// let files = [("train.rs".to_owned(), "const LR: f64 = 0.04;\n".to_owned())].into();
    /// let patch = Patch::replace("train.rs", "0.04", "0.02");
    /// let changed = patch.apply(&files, &EditablePaths::new(["train.rs"]))?;
    /// assert_eq!(changed["train.rs"], "const LR: f64 = 0.02;\n");
    /// # Ok::<(), autoresearch_core::PatchError>(())
    /// ```
    pub fn apply(
        &self,
        files: &BTreeMap<String, String>,
        editable: &EditablePaths,
    ) -> Result<BTreeMap<String, String>, PatchError> {
        let mut changed: BTreeMap<String, String> = BTreeMap::new();
        for edit in &self.edits {
            let (FileEdit::Replace { path, .. } | FileEdit::Write { path, .. }) = edit;
            if !editable.allows(path) {
                return Err(PatchError::NotEditable { path: path.clone(), editable: editable.to_string() });
            }
            let text = match edit {
                FileEdit::Write { text, .. } => text.clone(),
                FileEdit::Replace { search, replace, .. } => {
                    let before = changed.get(path).or_else(|| files.get(path));
                    let before = before.ok_or_else(|| PatchError::NoSuchFile(path.clone()))?;
                    replace_once(path, before, search, replace)?
                }
            };
            changed.insert(path.clone(), text);
        }
        changed.retain(|path, text| files.get(path) != Some(text));
        if changed.is_empty() { Err(PatchError::Empty) } else { Ok(changed) }
    }
}

fn replace_once(path: &str, text: &str, search: &str, replace: &str) -> Result<String, PatchError> {
    // Overlapping occurrences count too: "aa" stands twice in "aaa", and replacing the first would be a guess.
    let mut places =
        (0..text.len()).filter(|&at| !search.is_empty() && text.as_bytes()[at..].starts_with(search.as_bytes()));
    match (places.next(), places.count()) {
        (Some(at), 0) => Ok([&text[..at], replace, &text[at + search.len()..]].concat()),
        (Some(_), more) => Err(PatchError::Ambiguous { path: path.to_owned(), count: more + 1 }),
        (None, _) => {
            let (line, nearest) = nearest_line(text, search);
            Err(PatchError::NoMatch { path: path.to_owned(), line, nearest })
        }
    }
}

/// The line that shares most words with the first line searched for, for an error that helps to mend the edit.
fn nearest_line(text: &str, search: &str) -> (usize, String) {
    let first = search.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let wanted: Vec<&str> = words(first).collect();
    let shared = |line: &str| words(line).filter(|word| wanted.contains(word)).count();
    let best = text.lines().enumerate().max_by_key(|(at, line)| (shared(line), std::cmp::Reverse(*at)));
    best.map_or((1, String::new()), |(at, line)| (at + 1, line.trim().chars().take(200).collect()))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(text: &str) -> BTreeMap<String, String> {
        [("a.rs".to_owned(), text.to_owned())].into()
    }

    fn apply(text: &str, search: &str, replace: &str) -> Result<String, PatchError> {
        let patch = Patch::replace("a.rs", search, replace);
        patch.apply(&files(text), &EditablePaths::new(["a.rs"])).map(|mut changed| changed.remove("a.rs").unwrap())
    }

    #[test]
    fn a_match_must_be_unique() {
        assert_eq!(apply("one two\n", "two", "2").unwrap(), "one 2\n");
        assert_eq!(apply("aaa", "aa", "b"), Err(PatchError::Ambiguous { path: "a.rs".into(), count: 2 }));
        assert!(matches!(apply("x", "", "b"), Err(PatchError::NoMatch { .. })));
        let Err(PatchError::NoMatch { line, nearest, .. }) = apply("fn a()\nlet rate = 1;\n", "let rate = 2;", "")
        else {
            panic!("must not match")
        };
        assert_eq!((line, nearest.as_str()), (2, "let rate = 1;"));
    }

    #[test]
    fn paths_outside_the_list_are_refused() {
        let editable = EditablePaths::new(["train.rs", "src/**"]);
        for path in ["train.rs", "src/a.rs", "src/a/b.rs"] {
            assert!(editable.allows(path), "{path}");
        }
        for path in [
            "src",
            "src/",
            "src/../prepare.rs",
            "/train.rs",
            "./train.rs",
            "src/.git/config",
            "src/.GIT",
            "train.rs/",
            "other.rs",
            "src//a",
        ] {
            assert!(!editable.allows(path), "{path}");
        }
    }

    #[test]
    fn a_patch_that_changes_nothing_is_refused() {
        assert_eq!(apply("a b", "a", "a"), Err(PatchError::Empty));
        assert_eq!(Patch::default().apply(&files("a"), &EditablePaths::new(["a.rs"])), Err(PatchError::Empty));
    }

    #[test]
    fn one_bad_edit_refuses_the_whole_patch() {
        let mut patch = Patch::replace("a.rs", "a", "b");
        patch.edits.push(FileEdit::Replace { path: "b.rs".into(), search: "x".into(), replace: "y".into() });
        assert!(patch.apply(&files("a"), &EditablePaths::new(["a.rs"])).is_err());
    }

    proptest! {
        #[test]
        fn a_replacement_changes_only_its_place(before in "[a-c\n]{0,20}", search in "[d-f]{1,5}", after in "[a-c\n]{0,20}", new in "\\PC{0,8}") {
            prop_assume!(new != search);
            let text = format!("{before}{search}{after}");
            prop_assert_eq!(apply(&text, &search, &new).unwrap(), format!("{before}{new}{after}"));
        }
    }
}
