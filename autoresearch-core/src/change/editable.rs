//! The allow-list of the paths that proposals may change.

use serde::{Deserialize, Serialize};

use super::pattern::{is_exact, matches};

/// The paths that proposals may change: exact files, whole folders as `folder/**`, every file as `**`, or patterns with `*` and
/// `?` within a name, as `src/*.py` and `**/*.rs`.
///
/// Some files are found by tools on their own, and through them a candidate could reconfigure the build or the lab:
/// everything in `.cargo`, `rust-toolchain`, `rust-toolchain.toml`, and all names that begin with `.git`, such as
/// `.gitattributes`, at any depth and in any case. No folder or pattern covers them: each must be listed by its exact path.
/// What is inside a `.git` may never be edited, even if it is listed.
///
/// ```
/// use autoresearch_core::EditablePaths;
/// let editable = EditablePaths::new(["src/**", "bench/*.py", "sub/.gitignore"]);
/// assert!(editable.allows("src/main.rs") && editable.allows("bench/a.py") && editable.allows("sub/.gitignore"));
/// assert!(!editable.allows("src/.cargo/config.toml") && !editable.allows("build.rs"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditablePaths(Vec<String>);

impl EditablePaths {
    /// Makes an allow-list. `src/**` allows everything below `src`, but for the files that must be listed by name.
    pub fn new(paths: impl IntoIterator<Item = impl Into<String>>) -> EditablePaths {
        EditablePaths(paths.into_iter().map(Into::into).collect())
    }

    /// True if `path` may be edited. Absolute paths and paths with `.`, `..` or `.git` in them never may.
    pub fn allows(&self, path: &str) -> bool {
        let plain = path.split('/').all(|part| !matches!(part, "" | "." | "..") && !is_git(part));
        let by_name_only = path.split('/').any(configures_tools);
        plain
            && !path.contains(['\\', '\0', ':'])
            && self
                .0
                .iter()
                .any(|allowed| path == allowed || (!by_name_only && !is_exact(allowed) && matches(allowed, path)))
    }
}

/// True if some file system takes the name for `.git`: in any case, by its short name, and with dots and spaces at its end. Git itself
/// makes no such file.
fn is_git(name: &str) -> bool {
    let name = name.trim_end_matches(['.', ' ']);
    [".git", "git~1"].iter().any(|git| name.eq_ignore_ascii_case(git))
}

/// True if tools look for a file or folder of this name on their own.
fn configures_tools(name: &str) -> bool {
    // In any case, since some file systems do not tell `.Cargo` from `.cargo`.
    let name = name.to_ascii_lowercase();
    name.starts_with(".git") || matches!(name.as_str(), ".cargo" | "rust-toolchain" | "rust-toolchain.toml")
}

impl std::fmt::Display for EditablePaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "src/git~1/hooks/post-commit",
            "src/.git. ./config",
            "train.rs/",
            "other.rs",
            "src//a",
            "srcs/a.rs",
        ] {
            assert!(!editable.allows(path), "{path}");
        }
    }

    #[test]
    fn two_stars_alone_are_every_file() {
        let editable = EditablePaths::new(["**"]);
        assert!(editable.allows("a.rs") && editable.allows("src/a/b.rs") && editable.allows(".hidden/cargo"));
        assert!(!editable.allows("") && !editable.allows("../a.rs") && !editable.allows("/a.rs"));
        assert!(!EditablePaths::new(["src**"]).allows("srcs/a.rs"), "only whole folders have two stars");
    }

    #[test]
    fn stars_within_a_name_stay_in_their_folder() {
        let editable = EditablePaths::new(["src/*.py", "**/conf?.toml", "app/[id].tsx"]);
        for path in ["src/a.py", "conf1.toml", "x/y/conf2.toml", "app/[id].tsx"] {
            assert!(editable.allows(path), "{path}");
        }
        for path in ["src/deep/a.py", "src/a.pyc", "a.py", "x/conf.toml", "app/i.tsx"] {
            assert!(!editable.allows(path), "{path}");
        }
        let hidden = EditablePaths::new(["*", "*/*", "src/.cargo/*", "rust-toolchain*"]);
        assert!(TOOLS.iter().all(|path| !hidden.allows(path)), "no pattern covers what tools find by themselves");
        assert!(!hidden.allows("src/../a.py") && !hidden.allows("x/.git"));
    }

    const TOOLS: [&str; 10] = [
        ".cargo/config.toml",
        "src/.cargo/config",
        "src/.Cargo/registry/x",
        "rust-toolchain",
        "src/Rust-Toolchain.TOML",
        ".gitattributes",
        "src/deep/.gitmodules",
        "src/.gitignore",
        ".GITHUB/workflows/ci.yml",
        ".git-blame-ignore-revs",
    ];

    #[test]
    fn files_that_tools_find_by_themselves_are_editable_only_by_name() {
        let folders = EditablePaths::new([
            "**",
            "src/**",
            ".cargo/**",
            "src/.cargo/**",
            ".github/**",
            ".GITHUB/**",
            "src/deep/**",
        ]);
        for path in TOOLS {
            assert!(!folders.allows(path), "{path}");
            assert!(EditablePaths::new([path]).allows(path), "{path}");
            assert!(!EditablePaths::new([path.to_uppercase()]).allows(path), "{path}");
        }
        assert!(folders.allows("src/rust-toolchain.rs") && folders.allows("cargo/config.toml"));
    }

    #[test]
    fn nothing_in_a_git_folder_is_ever_editable() {
        for path in [".git", ".git/config", ".Git/hooks/pre-commit", "src/.git/config"] {
            assert!(!EditablePaths::new([path, "**", ".git/**"]).allows(path), "{path}");
        }
    }
}
