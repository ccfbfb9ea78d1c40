//! `cargo xtask package`: packs and verifies the crates that are published, in the order in which they depend on each other,
//! and checks what they depend on.

use crate::{places, setup, sh};

/// The crates that are published, each after those that it depends on.
const CRATES: &[&str] =
    &["autoresearch-core", "autoresearch-agents", "autoresearch-metrics", "autoresearch-llm", "autoresearch-cli"];
/// Files and folders that every package must hold.
const FILES: &[&str] = &["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/"];

/// Checks everything; options go to `cargo package`, e.g. `--allow-dirty`.
pub fn package(arguments: &[String]) -> Result<(), String> {
    for name in CRATES {
        let list = sh::output(sh::cargo().args(["package", "--locked", "--list", "--allow-dirty", "-p", name]))?;
        let missing = FILES.iter().find(|file| !list.lines().any(|line| line.starts_with(**file)));
        if let Some(file) = missing {
            return Err(format!("the package of {name} would hold no {file}"));
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let read = |path: std::path::PathBuf| {
                std::fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))
            };
            if read(places::root().join(licence))? != read(places::root().join(name).join(licence))? {
                return Err(format!("{name}/{licence} differs from {licence}; copy it again"));
            }
        }
        if let Some(path) = list.lines().find(|path| path.split('/').any(is_reserved)) {
            return Err(format!("the package of {name} holds {path}, which Windows cannot check out; rename it"));
        }
    }
    let mut cargo = sh::cargo();
    // One call: each crate is built against the packages of the ones before it, published or not.
    cargo.args(["package", "--locked"]).args(CRATES.iter().flat_map(|name| ["-p", name])).args(arguments);
    sh::run(cargo.env("LIBTORCH", setup::setup()?))?;
    optional("deny", &["check", "licenses", "bans", "sources"])?;
    if sh::output(sh::cargo().args(["info", "--registry", "crates-io", "autoresearch-core"])).is_err() {
        println!("SKIP cargo semver-checks: no version is published yet to compare with");
        return Ok(());
    }
    optional("semver-checks", &["--package", CRATES[0]])
}

/// Runs a subcommand of cargo if it is installed, and says so if it is not.
fn optional(name: &str, arguments: &[&str]) -> Result<(), String> {
    if sh::output(sh::cargo().args([name, "--version"])).is_err() {
        println!("SKIP cargo {name}: it is not installed (`cargo install cargo-{name}`)");
        return Ok(());
    }
    sh::run(sh::cargo().arg(name).args(arguments))
}

/// True for the names that Windows keeps for devices, with any extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    ["con", "prn", "aux", "nul"].contains(&stem.as_str())
        || numbered.is_some_and(|n| n.len() == 1 && n != "0" && n.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn no_file_of_the_repository_has_a_name_that_windows_keeps() {
        assert!(
            is_reserved("nul")
                && is_reserved("COM1.txt")
                && !is_reserved("null")
                && !is_reserved("com")
                && !is_reserved("com10")
        );
        let Ok(output) = Command::new("git").current_dir(places::root()).args(["ls-files"]).output() else { return };
        let files = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = files.lines().filter(|path| path.split('/').any(is_reserved)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
