//! The default kind of change: a set of file edits that is applied whole or not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod diff;
mod editable;
mod error;
mod nearest;
mod path;
mod pattern;

use diff::{to_crlf, uses_crlf};
pub use editable::EditablePaths;
pub use error::PatchError;
pub(crate) use error::PatchFault;
use nearest::nearest_line;
pub use path::check_path;
pub use pattern::matches;
#[cfg(feature = "command")]
pub(crate) use pattern::{is_exact, root};

/// A set of edits to text files, applied atomically to the incumbent's files.
///
/// ```
/// use autoresearch_core::{EditablePaths, Patch};
/// let files = [("train.py".to_owned(), "lr = 0.04\n".to_owned())].into();
/// let changed = Patch::replace("train.py", "0.04", "0.02").apply(&files, &EditablePaths::new(["train.py"]))?;
/// assert_eq!(changed["train.py"].as_deref(), Some("lr = 0.02\n"));
/// # Ok::<(), autoresearch_core::PatchError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The edits, in order. Later ones see the result of earlier ones.
    pub edits: Vec<FileEdit>,
}

/// One edit of a patch. Paths are relative to the root, with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FileEdit {
    /// Replaces the only occurrence of `search`. Where the file has CRLF, LF in the edit means CRLF.
    Replace {
        /// Path of the file.
        path: String,
        /// Text that stands exactly once in the file.
        search: String,
        /// The text in its place afterwards.
        replace: String,
    },
    /// Writes the whole file, which may be new.
    Write {
        /// Path of the file.
        path: String,
        /// The file's whole text.
        text: String,
    },
    /// Removes a file.
    Delete {
        /// Path of the file, which must exist.
        path: String,
    },
    /// Applies a unified diff of one or several files, whose counts and line numbers may be wrong.
    Diff {
        /// The diff, with `--- a/path` and `+++ b/path` before the hunks of each file.
        diff: String,
    },
}

impl FileEdit {
    /// The paths that this edit touches. All of them must be editable, even those of a diff that is rejected later.
    #[doc(hidden)]
    pub fn paths(&self) -> Result<Vec<String>, PatchFault> {
        match self {
            FileEdit::Replace { path, .. } | FileEdit::Write { path, .. } | FileEdit::Delete { path } => {
                Ok(vec![path.clone()])
            }
            FileEdit::Diff { diff } => {
                Ok(diff::parse(diff)?.iter().flat_map(diff::FileDiff::paths).map(str::to_owned).collect())
            }
        }
    }
}

impl Patch {
    /// A patch of one unique search-and-replace.
    pub fn replace(path: impl Into<String>, search: impl Into<String>, replace: impl Into<String>) -> Patch {
        Patch { edits: vec![FileEdit::Replace { path: path.into(), search: search.into(), replace: replace.into() }] }
    }

    /// Applies all edits to `files` and returns the files that changed with their new text, or `None` for a file that is
    /// removed.
    ///
    /// # Errors
    /// If an edit names a bad path or one that is not `editable`, does not fit the files, or if nothing changes.
    ///
    /// ```
    /// use autoresearch_core::{EditablePaths, Patch};
    /// let files = [("train.rs".to_owned(), "const LR: f64 = 0.04;\n".to_owned())].into();
    /// let patch = Patch::replace("train.rs", "0.04", "0.02");
    /// let changed = patch.apply(&files, &EditablePaths::new(["train.rs"]))?;
    /// assert_eq!(changed["train.rs"].as_deref(), Some("const LR: f64 = 0.02;\n"));
    /// # Ok::<(), autoresearch_core::PatchError>(())
    /// ```
    pub fn apply(
        &self,
        files: &BTreeMap<String, String>,
        editable: &EditablePaths,
    ) -> Result<BTreeMap<String, Option<String>>, PatchError> {
        self.checked(files, editable).map_err(PatchError::from_fault)
    }

    fn checked(
        &self,
        files: &BTreeMap<String, String>,
        editable: &EditablePaths,
    ) -> Result<BTreeMap<String, Option<String>>, PatchFault> {
        for edit in &self.edits {
            for path in edit.paths()? {
                check_path(&path)?;
                if !editable.allows(&path) {
                    return Err(PatchFault::NotEditable { path, editable: editable.to_string() });
                }
            }
        }
        let mut changed: BTreeMap<String, Option<String>> = BTreeMap::new();
        for edit in &self.edits {
            match edit {
                FileEdit::Write { path, text } => {
                    changed.insert(path.clone(), Some(text.clone()));
                }
                FileEdit::Delete { path } => {
                    current(&changed, files, path)?;
                    changed.insert(path.clone(), None);
                }
                FileEdit::Replace { path, search, replace } => {
                    let text = replace_once(path, current(&changed, files, path)?, search, replace)?;
                    changed.insert(path.clone(), Some(text));
                }
                FileEdit::Diff { diff } => {
                    for file in diff::parse(diff)? {
                        file.check()?;
                        let before = match (current(&changed, files, file.path()), file.creates()) {
                            (Ok(_), true) => return Err(PatchFault::already_exists(file.path())),
                            (Err(_), true) => "",
                            (before, false) => before?,
                        };
                        let text = file.apply(before)?;
                        changed.insert(file.path().to_owned(), Some(text));
                    }
                }
            }
        }
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if let Some((path, _)) = changed.iter().find(|(_, text)| has_nul(text)) {
            return Err(PatchFault::binary(path));
        }
        changed.retain(|path, text| files.get(path) != text.as_ref());
        if changed.is_empty() { Err(PatchFault::Empty) } else { Ok(changed) }
    }

    /// Applies all edits to `files` and returns all files as they are then, the unchanged ones included.
    #[doc(hidden)]
    pub fn applied_to(
        &self,
        files: &BTreeMap<String, String>,
        editable: &EditablePaths,
    ) -> Result<BTreeMap<String, String>, PatchError> {
        let mut after = files.clone();
        for (path, text) in self.apply(files, editable)? {
            match text {
                Some(text) => drop(after.insert(path, text)),
                None => drop(after.remove(&path)),
            }
        }
        Ok(after)
    }
}

/// Returns the text that an edit of `path` sees.
fn current<'a>(
    changed: &'a BTreeMap<String, Option<String>>,
    files: &'a BTreeMap<String, String>,
    path: &str,
) -> Result<&'a str, PatchFault> {
    let text = match changed.get(path) {
        Some(text) => text.as_deref(),
        None => files.get(path).map(String::as_str),
    };
    text.ok_or_else(|| PatchFault::no_such_file(path))
}

fn replace_once(path: &str, text: &str, search: &str, replace: &str) -> Result<String, PatchFault> {
    if uses_crlf(text) && [search, replace].iter().any(|part| to_crlf(part) != **part) {
        return replace_once(path, text, &to_crlf(search), &to_crlf(replace));
    }
    // Overlapping occurrences count too: "aa" stands twice in "aaa", and replacing the first would be a guess.
    let mut places =
        (0..text.len()).filter(|&at| !search.is_empty() && text.as_bytes()[at..].starts_with(search.as_bytes()));
    match (places.next(), places.count()) {
        (Some(at), 0) => Ok([&text[..at], replace, &text[at + search.len()..]].concat()),
        (Some(_), more) => Err(PatchFault::Ambiguous { path: path.to_owned(), count: more + 1 }),
        (None, _) => {
            let (line, nearest) = nearest_line(text, search);
            Err(PatchFault::NoMatch { path: path.to_owned(), line, nearest })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(text: &str) -> BTreeMap<String, String> {
        [("a.rs".to_owned(), text.to_owned())].into()
    }

    fn apply(text: &str, search: &str, replace: &str) -> Result<String, PatchFault> {
        let patch = Patch::replace("a.rs", search, replace);
        patch
            .checked(&files(text), &EditablePaths::new(["a.rs"]))
            .map(|mut changed| changed.remove("a.rs").unwrap().unwrap())
    }

    #[test]
    fn a_match_must_be_unique() {
        assert_eq!(apply("one two\n", "two", "2").unwrap(), "one 2\n");
        assert_eq!(apply("aaa", "aa", "b"), Err(PatchFault::Ambiguous { path: "a.rs".into(), count: 2 }));
        assert!(matches!(apply("x", "", "b"), Err(PatchFault::NoMatch { .. })));
        let Err(PatchFault::NoMatch { line, nearest, .. }) = apply("fn a()\nlet rate = 1;\n", "let rate = 2;", "")
        else {
            panic!("must not match")
        };
        assert_eq!((line, nearest.as_str()), (2, "let rate = 1;"));
    }

    #[test]
    fn a_patch_that_changes_nothing_is_refused() {
        assert_eq!(apply("a b", "a", "a"), Err(PatchFault::Empty));
        assert_eq!(Patch::default().checked(&files("a"), &EditablePaths::new(["a.rs"])), Err(PatchFault::Empty));
    }

    #[test]
    fn one_bad_edit_refuses_the_whole_patch() {
        let mut patch = Patch::replace("a.rs", "a", "b");
        patch.edits.push(FileEdit::Replace { path: "b.rs".into(), search: "x".into(), replace: "y".into() });
        assert!(patch.checked(&files("a"), &EditablePaths::new(["a.rs"])).is_err());
    }

    #[test]
    fn every_path_is_checked_before_any_edit() {
        let mut patch = Patch::replace("a.rs", "not there", "b");
        patch.edits.push(FileEdit::Write { path: "b.rs".into(), text: String::new() });
        let refused = patch.checked(&files("a"), &EditablePaths::new(["a.rs"]));
        assert!(matches!(refused, Err(PatchFault::NotEditable { path, .. }) if path == "b.rs"));
    }

    #[test]
    fn a_replacement_in_a_file_with_crlf_keeps_it() {
        assert_eq!(apply("a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\nz\n").unwrap(), "x\r\ny\r\nz\r\nc\r\n");
        assert_eq!(apply("a\r\nb\r\n", "a", "x\ny").unwrap(), "x\r\ny\r\nb\r\n");
        assert_eq!(apply("a\r\nb\r\n", "a\r\nb", "x\ny").unwrap(), "x\r\ny\r\n");
        assert!(matches!(apply("a\r\nb\n", "a\nb", "x"), Err(PatchFault::NoMatch { .. })), "mixed: exact only");
        assert_eq!(apply("a\nb\n", "b", "x\r\ny").unwrap(), "a\nx\r\ny\n");
    }

    #[test]
    fn a_file_with_a_nul_is_refused() {
        let write = Patch { edits: vec![FileEdit::Write { path: "a.rs".into(), text: "a\0".into() }] };
        assert_eq!(write.checked(&files("a"), &EditablePaths::new(["a.rs"])), Err(PatchFault::binary("a.rs")));
        assert_eq!(apply("a", "a", "\0"), Err(PatchFault::binary("a.rs")));
    }

    #[test]
    fn a_file_is_removed_and_may_be_written_again() {
        let delete = FileEdit::Delete { path: "a.rs".into() };
        let write = FileEdit::Write { path: "a.rs".into(), text: "b".into() };
        let apply = |edits: &[&FileEdit]| {
            let patch = Patch { edits: edits.iter().copied().cloned().collect() };
            patch.checked(&files("a"), &EditablePaths::new(["a.rs"]))
        };
        assert_eq!(apply(&[&delete]), Ok([("a.rs".to_owned(), None)].into()));
        assert_eq!(apply(&[&delete, &write]), Ok([("a.rs".to_owned(), Some("b".to_owned()))].into()));
        assert_eq!(apply(&[&write, &delete]), Ok([("a.rs".to_owned(), None)].into()));
        assert_eq!(apply(&[&delete, &delete]), Err(PatchFault::no_such_file("a.rs")));
        let patch = Patch { edits: vec![delete] };
        assert!(patch.applied_to(&files("a"), &EditablePaths::new(["a.rs"])).unwrap().is_empty());
        assert!(matches!(
            patch.checked(&files("a"), &EditablePaths::new(["b"])),
            Err(PatchFault::NotEditable { path, .. }) if path == "a.rs"
        ));
    }

    #[test]
    fn a_diff_sees_what_earlier_edits_left() {
        let mut patch = Patch::replace("a.rs", "one", "two");
        patch.edits.push(FileEdit::Diff { diff: "--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n-two\n+three\n".into() });
        assert_eq!(
            patch.checked(&files("one\n"), &EditablePaths::new(["a.rs"])).unwrap()["a.rs"].as_deref(),
            Some("three\n")
        );
        let json = serde_json::to_value(&patch.edits[1]).unwrap();
        assert_eq!(json["kind"], "diff");
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
