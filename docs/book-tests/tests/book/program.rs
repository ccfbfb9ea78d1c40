//! The real `autoresearch` command, built beside the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use autoresearch_book::page::root;

/// Path of the command. Cargo builds it if it is missing or old, as `cargo test --workspace` does: asked for it alone, cargo chooses other
/// features and compiles the workspace a second time.
pub fn autoresearch() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of this test");
        let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_owned();
        let target = profile.parent().expect("the target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["test", "--no-run", "--quiet", "--locked", "--workspace", "--test", "suite"])
            .current_dir(root())
            .env("CARGO_TARGET_DIR", target)
            .status()
            .expect("cargo starts");
        assert!(built.success(), "autoresearch-cli does not build");
        profile.join("autoresearch")
    })
}

/// A command that sees a home of its own below `home`: no configuration of git, no keys, no cache of the user.
pub fn sealed(program: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let outer = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let kept = |name: &str, folder: &str| std::env::var_os(name).map_or_else(|| outer.join(folder), PathBuf::from);
    let mut path = vec![autoresearch().parent().expect("a folder").to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::join_paths(path).expect("a PATH"))
        .env("HOME", home)
        .env("CARGO_HOME", kept("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", kept("RUSTUP_HOME", ".rustup"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LANG", "C.UTF-8")
        .env("AUTORESEARCH_CACHE", home.join("cache"));
    for (name, value) in [("NAME", "A Reader"), ("EMAIL", "reader@example.org")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    command
}

/// Both streams of a finished command, for a message.
pub fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr].map(|stream| String::from_utf8_lossy(stream).trim().to_owned());
    streams.join("\n")
}
