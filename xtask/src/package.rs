//! `cargo xtask package`: packs and verifies the crates that are published, in the order in which they depend on each other,
//! and checks what they depend on.

use std::fs;
use std::path::PathBuf;

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
            let read = |path: PathBuf| fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()));
            if read(places::root().join(licence))? != read(places::root().join(name).join(licence))? {
                return Err(format!("{name}/{licence} differs from {licence}; copy it again"));
            }
        }
        if let Some(path) = list.lines().find(|path| path.split('/').any(is_reserved)) {
            return Err(format!("the package of {name} holds {path}, which Windows cannot check out; rename it"));
        }
    }
    let target = sh::target()?.join("packages");
    let unpacked = cargo_home().map(|home| home.join("registry/src")).into_iter().flat_map(folders);
    forget(unpacked.chain([target.join("debug/.fingerprint")]))?;
    let mut cargo = sh::cargo();
    // One call: each crate is built against the packages of the ones before it, published or not. One target folder: they share
    // what they depend on.
    cargo.args(["package", "--locked"]).args(CRATES.iter().flat_map(|name| ["-p", name])).args(arguments);
    cargo.env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
    sh::run(cargo.env("LIBTORCH", setup::setup()?))?;
    optional("deny", &["check", "licenses", "bans", "sources"])?;
    if sh::output(sh::cargo().args(["info", "--registry", "crates-io", "autoresearch-core"])).is_err() {
        println!("SKIP cargo semver-checks: no version is published yet to compare with");
        return Ok(());
    }
    optional("semver-checks", &["--package", CRATES[0]])
}

/// Cargo's own folder.
fn cargo_home() -> Option<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Removes from these folders what an earlier call unpacked and built of our crates. Cargo believes that the source of a version in
/// a registry never changes, and would build the later crates against the earlier call's.
fn forget(places: impl Iterator<Item = PathBuf>) -> Result<(), String> {
    for folder in places.flat_map(folders) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if CRATES.iter().any(|own| name.strip_prefix(own).is_some_and(|rest| rest.starts_with('-'))) {
            fs::remove_dir_all(&folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))?;
        }
    }
    Ok(())
}

/// The folders in a folder.
fn folders(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
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
    fn what_an_earlier_call_built_of_these_crates_is_forgotten_and_nothing_else() {
        let place = std::env::temp_dir().join(format!("autoresearch-packages-{}", std::process::id()));
        let names = ["autoresearch-core-0123", "autoresearch-core", "serde-0123"];
        names.iter().for_each(|name| fs::create_dir_all(place.join(name)).unwrap());
        forget([place.clone()].into_iter()).unwrap();
        let left = names.map(|name| place.join(name).exists());
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(left, [false, true, true]);
    }

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
