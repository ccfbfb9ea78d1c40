//! The one gate for paths that a proposal names.

use thiserror::Error;

/// Longest name of a file or folder, in bytes: the limit of the common file systems.
const LONGEST_NAME: usize = 255;
/// Longest path below the candidate's folder, in bytes: the system's limit of 4096 less room for the folder's own path.
const LONGEST_PATH: usize = 2048;

/// A path that no file may have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path holds a line break, a NUL or another control character.
    #[error("the path \"{}\" holds a control character; use printable characters only", .0.escape_debug())]
    ControlCharacter(String),
    /// One name of the path is too long.
    #[error("the name `{name}…` has {length} bytes; a name of a file or folder has at most {LONGEST_NAME}")]
    LongName {
        /// The beginning of the name.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The whole path is too long.
    #[error("the path `{path}…` has {length} bytes; a path has at most {LONGEST_PATH}")]
    LongPath {
        /// The beginning of the path.
        path: String,
        /// Its length in bytes.
        length: usize,
    },
}

/// Checks that a file system can hold `path` and that a terminal can show it, before anything is written.
///
/// ```
/// use autoresearch_core::git::check_path;
/// assert!(check_path("src/main.rs").is_ok());
/// assert!(check_path("src/a\n/etc/passwd").is_err());
/// assert!(check_path(&"a".repeat(300)).is_err());
/// ```
pub fn check_path(path: &str) -> Result<(), PathError> {
    let beginning = |text: &str| text.chars().take(40).collect::<String>();
    // Beside the control characters those that turn the direction of text: with them a path reads as another one.
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if path.contains(hidden) {
        return Err(PathError::ControlCharacter(path.to_owned()));
    }
    if let Some(name) = path.split('/').find(|name| name.len() > LONGEST_NAME) {
        return Err(PathError::LongName { name: beginning(name), length: name.len() });
    }
    if path.len() > LONGEST_PATH {
        return Err(PathError::LongPath { path: beginning(path), length: path.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_file_system_holds_are_refused() {
        assert_eq!(check_path(&format!("src/{}", "a".repeat(255))), Ok(()));
        let long = check_path(&format!("src/{}", "a".repeat(256)));
        assert!(matches!(long, Err(PathError::LongName { length: 256, .. })), "{long:?}");
        // The limit is in bytes: 128 letters of two bytes each.
        assert!(matches!(check_path(&"ä".repeat(128)), Err(PathError::LongName { .. })));
        assert!(matches!(check_path(&"abc/".repeat(600)), Err(PathError::LongPath { .. })));
    }

    #[test]
    fn names_that_a_list_or_a_terminal_would_misread_are_refused() {
        for path in ["a\nb", "a\0b", "a\rb", "a\u{1b}[2Jb", "a\u{7f}", "a\u{85}b", "a\u{202e}b", "a\tb"] {
            let error = check_path(path).unwrap_err();
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
        }
        for path in ["a b", "ä/ö", "a'\"$b", "日本"] {
            assert_eq!(check_path(path), Ok(()));
        }
    }
}
