//! Placeholders of a configuration, and the folders that they stand for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::config::ConfigError;

/// A place that a path of `[workspace]` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provided {
    /// A path relative to the repository's root.
    Below(PathBuf),
    /// A path that does not lie below it.
    Elsewhere(PathBuf),
}

/// The values of placeholders in commands and variables.
#[derive(Debug, Clone)]
pub struct Placeholders {
    /// `{repo}`: the root of the user's working tree.
    pub repo: PathBuf,
    /// `{cache}`: data and builds, outside of every repository.
    pub cache: PathBuf,
    /// `{preset}`: the preset's name, empty without one.
    pub preset: String,
}

impl Placeholders {
    /// Finds the cache: `$AUTORESEARCH_CACHE`, else `autoresearch` in the user's cache folder.
    pub fn find(repo: PathBuf, preset: &str) -> Result<Placeholders, ConfigError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = set("AUTORESEARCH_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("autoresearch")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/autoresearch")));
        let cache = cache.ok_or(ConfigError::NoCache)?;
        Ok(Placeholders { repo, cache: std::path::absolute(&cache).unwrap_or(cache), preset: preset.to_owned() })
    }

    /// The folder with the slots of this repository's runs: one for each repository and run, since build tools recognise
    /// what they built by its path.
    pub fn slots(&self) -> PathBuf {
        let repository = blake3::hash(self.repo.as_os_str().as_encoded_bytes()).to_hex();
        self.cache.join("slots").join(&repository.as_str()[..12])
    }

    /// Replaces the placeholders of one text. Shell and awk have braces of their own, so anything else in braces, and
    /// whatever stands behind a `$`, is left as it is.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled += before;
            let name = after.split_once('}').map_or("", |(name, _)| name);
            let place = match name {
                _ if before.ends_with('$') => None,
                "repo" => Some(self.repo.clone()),
                "cache" => Some(self.cache.clone()),
                "target" => Some(self.cache.join("target")),
                "preset" => Some(PathBuf::from(&self.preset)),
                _ => None,
            };
            match place {
                Some(place) => {
                    filled += &place.to_string_lossy();
                    rest = &after[name.len() + 1..];
                }
                None => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled + rest
    }

    /// A path with its placeholders replaced; a relative one is below the repository's root.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.repo.join(self.fill(&path.to_string_lossy()))
    }

    /// A program with its placeholders replaced; a relative path is below the repository's root, a bare name is left for PATH.
    pub fn program(&self, program: &str) -> String {
        let filled = self.fill(program);
        if filled.contains('/') { self.repo.join(&filled).to_string_lossy().into_owned() } else { filled }
    }

    /// Finds what a path of `[workspace]` names: a file or folder below the repository's root, with its path there, or one
    /// elsewhere, which candidates reach by its own path.
    pub fn provided(&self, path: &str) -> Provided {
        let path = self.fill(path);
        if let (Some(below), Some(home)) = (path.strip_prefix('~'), std::env::var_os("HOME")) {
            return Provided::Elsewhere(PathBuf::from(home).join(below.trim_start_matches('/')));
        }
        let path = Path::new(&path);
        match path.strip_prefix(&self.repo) {
            Ok(below) => Provided::Below(below.into()),
            Err(_) if path.is_absolute() => Provided::Elsewhere(path.into()),
            Err(_) => Provided::Below(path.components().filter(|part| *part != Component::CurDir).collect()),
        }
    }

    /// The place of what a path names, wherever that is.
    pub fn place(&self, path: &str) -> PathBuf {
        match self.provided(path) {
            Provided::Elsewhere(path) => path,
            Provided::Below(below) => self.repo.join(below),
        }
    }

    /// Replaces the placeholders of a command line.
    pub fn fill_all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    /// The variables for commands. A variable that is set outside wins.
    pub fn environment(&self, variables: &BTreeMap<String, String>) -> Vec<(String, OsString)> {
        let value = |name: &str, text: &str| std::env::var_os(name).unwrap_or_else(|| self.fill(text).into());
        variables.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let placeholders = Placeholders { repo: "/r".into(), cache: "/c".into(), preset: "p".into() };
        assert_eq!(placeholders.fill("{target}/{preset}/{repo}"), "/c/target/p//r");
        for literal in ["a } b {", "awk '{ print $1 }'", "${repo}", "{}", "{tarket}"] {
            assert_eq!(placeholders.fill(literal), literal);
        }
    }
}
