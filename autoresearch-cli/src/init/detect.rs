//! A look at a repository: its languages, scripts, benchmarks and tests.

use std::path::Path;

use autoresearch_core::internal::git::Listing;

use crate::checks::find_program;

/// Languages by the ends of file names.
const LANGUAGES: [(&str, &[&str]); 14] = [
    ("Python", &["py"]),
    ("Rust", &["rs"]),
    ("JavaScript", &["js", "mjs", "cjs", "jsx"]),
    ("TypeScript", &["ts", "tsx"]),
    ("Go", &["go"]),
    ("Ruby", &["rb"]),
    ("C", &["c", "h"]),
    ("C++", &["cc", "cpp", "cxx", "hpp", "cu"]),
    ("Java", &["java", "kt"]),
    ("Julia", &["jl"]),
    ("Lua", &["lua"]),
    ("R", &["R"]),
    ("PHP", &["php"]),
    ("shell", &["sh"]),
];

/// Words in the names of scripts that measure, the most telling ones first.
const MEASURES: [&str; 7] = ["bench", "benchmark", "perf", "train", "eval", "run", "main"];

/// Folders that hold no source of the program.
const ASIDE: [&str; 14] = [
    "test",
    "tests",
    "spec",
    "bench",
    "benches",
    "benchmark",
    "benchmarks",
    "docs",
    "doc",
    "examples",
    "data",
    "vendor",
    "third_party",
    "scripts",
];

/// A repository: the files of its last commit, and the working tree around them.
pub struct Look<'a> {
    /// The root of the working tree.
    pub root: &'a Path,
    /// The files of the last commit.
    pub files: &'a Listing,
}

impl<'a> Look<'a> {
    /// Returns whether a file is committed.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Returns whether a folder holds a committed file.
    pub fn has_folder(&self, folder: &str) -> bool {
        self.below(folder).next().is_some()
    }

    /// The committed files below a folder.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{folder}/");
        let files = self.files.range(prefix.clone()..).map(|(path, _)| path.as_str());
        files.take_while(move |path| path.starts_with(&prefix))
    }

    /// Returns whether a file or folder is in the working tree and not in the commit.
    pub fn has_beside(&self, path: &str) -> bool {
        self.root.join(path).exists() && !self.has(path) && !self.has_folder(path)
    }

    /// The text of a file of the working tree; empty if there is none.
    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    /// The languages with the numbers of their files, the most frequent one first.
    pub fn languages(&self) -> Vec<(&'static str, usize)> {
        let count = |ends: &[&str]| self.files.keys().filter(|path| ends_in(path, ends)).count();
        let mut found: Vec<(&str, usize)> = LANGUAGES.iter().map(|(name, ends)| (*name, count(ends))).collect();
        found.retain(|(_, count)| *count > 0);
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found
    }

    /// The scripts that may measure something, the likeliest one first: by their name, then the least deep one.
    pub fn scripts(&self, ends: &[&str]) -> Vec<&'a str> {
        let rank = |path: &str| {
            let path = path.to_ascii_lowercase();
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            let aside = path.starts_with("test") || path.starts_with("spec") || name.starts_with("test_");
            let folder = path.starts_with("bench");
            let place = MEASURES.iter().position(|word| name.starts_with(word) || name.contains(&format!("_{word}")));
            match (place, folder) {
                _ if aside => None,
                (Some(place), _) => Some((place, path.matches('/').count())),
                (None, true) => Some((1, path.matches('/').count())),
                (None, false) => None,
            }
        };
        let scripts = self.files.keys().filter(|path| ends_in(path, ends));
        let mut ranked: Vec<_> = scripts.filter_map(|path| Some((rank(path)?, path.as_str()))).collect();
        ranked.sort();
        ranked.into_iter().map(|(_, path)| path).collect()
    }

    /// The paths that proposals may change: folders of sources in these languages, else the files in the root, without what measures.
    pub fn sources(&self, ends: &[&str], measures: Option<&str>) -> Vec<String> {
        let sources: Vec<&str> = self.files.keys().map(String::as_str).filter(|path| ends_in(path, ends)).collect();
        let mut folders: Vec<&str> =
            sources.iter().filter_map(|path| path.split_once('/').map(|(top, _)| top)).collect();
        folders.dedup();
        folders.retain(|folder| !ASIDE.contains(folder) && !folder.starts_with('.'));
        if !folders.is_empty() {
            return folders.iter().map(|folder| format!("{folder}/**")).collect();
        }
        let is_test = |path: &str| {
            let name = path.to_ascii_lowercase();
            name.starts_with("test") || name.contains("_test.") || name.contains(".test.") || name == "setup.py"
        };
        let in_root = || sources.iter().filter(|path| !path.contains('/') && !is_test(path));
        let others: Vec<String> =
            in_root().filter(|path| Some(**path) != measures).map(|path| (*path).to_owned()).collect();
        // A script that is alone is what is improved.
        if others.is_empty() { in_root().map(|path| (*path).to_owned()).collect() } else { others }
    }

    /// The Python to start: that of an environment in the repository, which is shared, or the one on PATH.
    pub fn python(&self) -> (Vec<String>, Vec<String>) {
        for environment in [".venv", "venv", "env"] {
            let program = format!("{environment}/bin/python");
            if self.root.join(&program).exists() {
                return (vec![program], vec![environment.to_owned()]);
            }
        }
        if self.has("uv.lock") && find_program("uv").is_ok() {
            return (vec!["uv".into(), "run".into()], Vec::new());
        }
        let name = ["python", "python3"].into_iter().find(|name| find_program(name).is_ok()).unwrap_or("python3");
        (vec![name.to_owned()], Vec::new())
    }
}

fn ends_in(path: &str, ends: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| ends.contains(&end))
}

/// Splits a command line as a shell does. One that needs a shell, for a pipe or a variable, gets one.
pub fn quoted(line: &str) -> Result<Vec<String>, String> {
    let needs_shell = line.contains(['|', '&', ';', '<', '>', '$', '`', '*', '~']);
    if needs_shell {
        return Ok(vec!["sh".into(), "-c".into(), line.to_owned()]);
    }
    match shlex::split(line) {
        Some(words) if !words.is_empty() => Ok(words),
        _ => Err(format!("`{line}` is no command line: it is empty, or a quotation mark is not closed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_a_shell_does() {
        assert_eq!(quoted("python train.py --lr '0.1 0.2'").unwrap(), ["python", "train.py", "--lr", "0.1 0.2"]);
        assert_eq!(quoted("make && ./bench").unwrap(), ["sh", "-c", "make && ./bench"]);
        assert!(quoted("echo 'open").is_err() && quoted("  ").is_err());
    }
}
