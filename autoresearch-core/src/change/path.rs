//! The gate for the paths of a patch: names that no file system, list or terminal can be trusted with are rejected.

use super::PatchFault;

/// The longest name of a file or folder, in bytes: the limit of the usual file systems.
const MOST_NAME: usize = 255;
/// The longest path, in bytes: the usual limit of 4096 less room for the path of the candidate's own folder.
const MOST_PATH: usize = 2048;

/// Checks that `path` names a file below the root and nothing else: relative, with `/`, without `.`, `..`, control characters
/// or names that are too long. Every path of a patch passes through it before anything else is done with the patch.
///
/// ```
/// use autoresearch_core::internal::check_path;
/// assert!(check_path("src/train.rs").is_ok());
/// assert!(check_path("../train.rs").is_err());
/// assert!(check_path("train.rs\nother.rs").is_err());
/// ```
///
/// # Errors
/// If the path is refused, with the reason.
pub fn check_path(path: &str) -> Result<(), PatchFault> {
    let drive = path.as_bytes().get(1) == Some(&b':') && path.starts_with(|c: char| c.is_ascii_alphabetic());
    let names = || path.split('/');
    let why = if path.is_empty() {
        "it is empty"
    } else if path.chars().any(is_unprintable) {
        "it has a control character, such as a line break or a NUL"
    } else if path.len() > MOST_PATH {
        "it is longer than 2048 bytes"
    } else if names().any(|name| name.len() > MOST_NAME) {
        "one of its names is longer than 255 bytes"
    } else if path.starts_with('/') || drive {
        "it is absolute; give it relative to the root"
    } else if path.contains('\\') {
        "it has a backslash; separate names by `/`"
    } else if names().any(|name| name == "..") {
        "it leaves its folder with `..`"
    } else if names().any(|name| matches!(name, "" | ".")) {
        "it has an empty name, or `.`, in it"
    } else {
        return Ok(());
    };
    Err(PatchFault::BadPath { path: shown(path), why })
}

/// Control characters, and those that turn or break the line they are shown in.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A path as it can be shown: escaped, and cut where it is long.
fn shown(path: &str) -> String {
    let mut shown: String = path.chars().take(120).flat_map(char::escape_debug).collect();
    if path.chars().count() > 120 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{EditablePaths, FileEdit, Patch};
    use proptest::prelude::*;

    fn hostile() -> Vec<(String, &'static str)> {
        let long = "a".repeat(256);
        [
            ("", "empty"),
            ("a\nb", "control"),
            ("a\0b", "control"),
            ("a\u{1b}[2Jb", "control"),
            ("a\u{202e}b", "control"),
            ("a\u{7f}", "control"),
            ("a\u{85}b", "control"),
            ("a\rb", "control"),
            ("/etc/passwd", "absolute"),
            ("C:/windows", "absolute"),
            ("a\\b", "backslash"),
            ("a/../../b", ".."),
            ("..", ".."),
            ("./a", "empty name"),
            ("a//b", "empty name"),
            ("a/", "empty name"),
            (&long, "255"),
            (&format!("src/{long}.rs"), "255"),
            (&"a/".repeat(1100), "2048"),
        ]
        .map(|(path, why)| (path.to_owned(), why))
        .to_vec()
    }

    #[test]
    fn a_path_that_names_no_file_below_the_root_is_rejected_with_the_reason() {
        for (path, word) in hostile() {
            match check_path(&path) {
                Err(PatchFault::BadPath { why, path: shown }) => {
                    assert!(why.contains(word), "{path:?}: {why}");
                    assert!(!shown.chars().any(is_unprintable) && shown.len() < 600, "{shown}");
                }
                other => panic!("{path:?}: {other:?}"),
            }
        }
        // In the header of a diff a path ends at a tab, so that this one comes in other edits only.
        assert!(check_path("a\tb").is_err());
        // The limits are in bytes.
        assert!(check_path(&"ä".repeat(128)).is_err());
        for path in ["a", "a'\"$b", "日本", "src/a b/ü.rs", ".hidden", "a..b", "...", &"a".repeat(255)] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn every_kind_of_edit_passes_the_gate_also_where_all_files_are_editable() {
        let all = EditablePaths::new(["**"]);
        for (path, _) in hostile() {
            let diff = format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n");
            for edit in [
                FileEdit::Write { path: path.clone(), text: "x".into() },
                FileEdit::Replace { path: path.clone(), search: "a".into(), replace: "b".into() },
                FileEdit::Diff { diff },
            ] {
                let refused = Patch { edits: vec![edit.clone()] }.checked(&Default::default(), &all);
                let diff = matches!(edit, FileEdit::Diff { .. });
                let by_gate = matches!(refused, Err(PatchFault::BadPath { .. }));
                // In a diff a tab ends the path: what follows is a time.
                let names_another = diff && path.contains('\t');
                assert!(by_gate || names_another || (diff && refused.is_err()), "{edit:?}: {refused:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_below_the_root_and_on_one_line(path in "(?s).{0,40}") {
            if check_path(&path).is_ok() {
                let parts: Vec<_> = std::path::Path::new(&path).components().collect();
                let plain = parts.iter().all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(plain && !parts.is_empty() && path.lines().count() == 1 && !path.contains('\0'));
            }
        }
    }
}
