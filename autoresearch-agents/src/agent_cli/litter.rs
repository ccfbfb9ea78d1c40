//! Files that tools leave behind and that never belong to a proposal.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::Gitignore;

use crate::lab_files::is_lab_file;

/// Names of files and folders that tools make on their own, at any depth.
const NAMES: [&str; 9] = [
    "__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    ".DS_Store",
    ".git",
    "node_modules",
    "target",
    "nohup.out",
];

/// Tells litter from files by well-known names and by the `.gitignore` files of the repository.
#[derive(Debug, Default)]
pub(super) struct Litter {
    repository: Option<PathBuf>,
}

impl Litter {
    /// Reads the rules of `repository`, if there is one.
    pub fn of(repository: Option<&Path>) -> Litter {
        Litter { repository: repository.map(Path::to_owned) }
    }

    /// Returns true if a path, relative to the root, is litter, or lies in a folder that is.
    pub fn contains(&self, path: &str, is_folder: bool) -> bool {
        path.split('/').any(is_well_known) || self.is_ignored(path, is_folder)
    }

    /// Returns true if git ignores a path. As in git, an ignored folder hides everything within it, and a rule of a deeper
    /// `.gitignore` outweighs one above it.
    fn is_ignored(&self, path: &str, is_folder: bool) -> bool {
        let Some(root) = &self.repository else { return false };
        let ends = path.match_indices('/').map(|(at, _)| (at, true)).chain([(path.len(), is_folder)]);
        let mut prefixes = ends.filter_map(|(end, is_folder)| Some((path.get(..end)?, is_folder)));
        prefixes.any(|(prefix, is_folder)| rule_for(root, prefix, is_folder))
    }
}

/// Returns true if the deepest rule that matches a path ignores it.
fn rule_for(root: &Path, path: &str, is_folder: bool) -> bool {
    let folders = Path::new(path).ancestors().skip(1);
    let files = folders.map(|folder| root.join(folder).join(".gitignore")).chain([root.join(".git/info/exclude")]);
    for file in files.filter(|file| file.is_file()) {
        // Rules of `.git/info/exclude` are relative to the root.
        let base = if file.ends_with(".gitignore") { file.parent().unwrap_or(root) } else { root };
        let mut rules = ignore::gitignore::GitignoreBuilder::new(base);
        // An unreadable or broken rule ignores nothing.
        let _ = rules.add(&file);
        match rules.build().unwrap_or_else(|_| Gitignore::empty()).matched(root.join(path), is_folder) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
    }
    false
}

fn is_well_known(name: &str) -> bool {
    NAMES.contains(&name)
        || is_lab_file(name)
        || name.starts_with(".aider")
        || name.ends_with('~')
        || name.ends_with(".swp")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn caches_of_tools_are_litter_everywhere() {
        let litter = Litter::default();
        for path in [
            "__pycache__/a.pyc",
            "lib/.pytest_cache/README.md",
            ".aider.chat.history.md",
            ".aider.tags.cache.v4/c.db",
            "node_modules/x/1.js",
            "target/debug/a",
            "lib/.DS_Store",
            ".git/HEAD",
            "value.txt~",
            "results.tsv",
            "out/run.log",
        ] {
            assert!(litter.contains(path, false), "{path}");
        }
        for path in ["src/main.rs", "targets/a.rs", "src/target.rs", ".gitignore"] {
            assert!(!litter.contains(path, false), "{path}");
        }
    }

    #[test]
    fn the_rules_of_the_repository_hold_as_in_git() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for (file, rules) in [
            (".gitignore", "*.log\n/build/\nout\n!keep.log\n"),
            ("lib/.gitignore", "*.tmp\n!deep.log\n"),
            (".git/info/exclude", "mine.txt\n"),
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), rules).unwrap();
        }
        assert!(std::process::Command::new("git").args(["init", "-q"]).current_dir(root).status().unwrap().success());
        let litter = Litter::of(Some(root));
        for path in [
            "a.log",
            "keep.log",
            "build/x",
            "lib/build/x",
            "out/deep/file",
            "lib/a.tmp",
            "a.tmp",
            "lib/deep.log",
            "lib/a.log",
            "mine.txt",
            "src/a.rs",
        ] {
            let git = std::process::Command::new("git").args(["check-ignore", "-q", path]).current_dir(root).status();
            assert_eq!(litter.contains(path, false), git.unwrap().success(), "{path}");
        }
    }
}
