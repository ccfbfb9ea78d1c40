//! Keys: their sources, and a wrapper that never prints them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use thiserror::Error;

/// A key. It has no `Display`, is never serialised, and its `Debug` hides it.
///
/// ```
/// let key = autoresearch_agents::http::Secret::new("sk-1234567890\n");
/// assert_eq!(format!("{key:?}"), "Secret(…)");
/// assert_eq!(key.censor("wrong key: sk-1234567890"), "wrong key: [key]");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a key, without the white space that files and commands leave around it.
    pub fn new(key: impl AsRef<str>) -> Secret {
        Secret(key.as_ref().trim().to_owned())
    }

    /// Returns the key itself, for the one header that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns `text` with `[key]` in place of the key. Every text that may quote the key passes through here on its way to a
    /// log, the journal or a prompt. A key shorter than eight characters is left alone.
    pub fn censor(&self, text: &str) -> String {
        // Replacing a shorter text would garble ordinary words.
        if self.0.len() < 8 { text.to_owned() } else { text.replace(&self.0, "[key]") }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Source of a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeySource {
    /// An environment variable.
    Env(String),
    /// A file that holds only the key.
    File(PathBuf),
    /// A command that prints the key, such as a password manager.
    Command(Vec<String>),
}

/// Reason why there is no key. No message holds any part of one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The variable is missing or empty.
    #[error("the environment variable {0} is not set; set it to the key, or name another source with `key = …`")]
    NotSet(String),
    /// The file cannot be read.
    #[error("cannot read the key from {path}: {source}", path = .0.display(), source = .1)]
    Unreadable(PathBuf, std::io::Error),
    /// The command failed.
    #[error("`{0}`, which should print the key, {1}")]
    Command(String, String),
    /// The source holds no usable key.
    #[error("the key from {0} is empty, or holds characters that no header may hold")]
    Unusable(String),
}

impl KeySource {
    /// Reads the key.
    pub fn read(&self) -> Result<Secret, KeyError> {
        let (text, place) = match self {
            KeySource::Env(name) => {
                let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty());
                (text.ok_or_else(|| KeyError::NotSet(name.clone()))?, name.clone())
            }
            KeySource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| KeyError::Unreadable(path.clone(), e))?;
                (text, path.display().to_string())
            }
            KeySource::Command(argv) => {
                let name = argv.first().cloned().unwrap_or_default();
                let failed = |why: String| KeyError::Command(name.clone(), why);
                let output = Command::new(&name)
                    .args(argv.iter().skip(1))
                    .stdin(Stdio::null())
                    .stderr(Stdio::inherit())
                    .output()
                    .map_err(|e| failed(format!("cannot be started: {e}")))?;
                if !output.status.success() {
                    return Err(failed(format!("failed ({})", output.status)));
                }
                (String::from_utf8(output.stdout).map_err(|_| KeyError::Unusable(name.clone()))?, name)
            }
        };
        let secret = Secret::new(text);
        let usable = !secret.0.is_empty() && secret.0.chars().all(|c| c.is_ascii_graphic());
        if usable { Ok(secret) } else { Err(KeyError::Unusable(place)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new(" sk-very-secret\n");
        assert_eq!(secret.reveal(), "sk-very-secret");
        assert!(!format!("{secret:?} {:#?}", Some(&secret)).contains("secret-"), "{secret:?}");
        assert_eq!(secret.censor("no such key: sk-very-secret!"), "no such key: [key]!");
    }

    #[test]
    fn a_key_comes_from_a_file_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "abcdefgh\n").unwrap();
        assert_eq!(KeySource::File(path.clone()).read().unwrap().reveal(), "abcdefgh");
        std::fs::write(&path, "two\nlines").unwrap();
        let error = KeySource::File(path).read().unwrap_err().to_string();
        assert!(error.contains("header") && !error.contains("lines"), "{error}");
        let command = |argv: &[&str]| KeySource::Command(argv.iter().map(|s| (*s).to_owned()).collect()).read();
        assert_eq!(command(&["echo", "abcdefgh"]).unwrap().reveal(), "abcdefgh");
        assert!(command(&["false"]).unwrap_err().to_string().contains("failed"));
        assert!(matches!(KeySource::Env("NO_SUCH_KEY_ANYWHERE".into()).read(), Err(KeyError::NotSet(_))));
    }
}
