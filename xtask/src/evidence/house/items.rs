//! Public items of autoresearch-core, now and before the house was rebuilt, and how they are documented. All of it is read
//! from rustdoc's JSON by xtask/public-items.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{places, sh};

/// The last commit before the house was rebuilt.
pub const BEFORE: &str = "1099d7f";
const CORE: &str = "autoresearch-core";
/// The stored list of the public API.
const STORED: &str = "autoresearch-core/public-api.txt";

/// The public API of this checkout's core, one item a line.
pub fn now() -> Result<Vec<String>, String> {
    items(&places::root(), &["list"])
}

/// The public API of core at [`BEFORE`].
pub fn before() -> Result<Vec<String>, String> {
    items(&checkout(BEFORE)?, &["list"])
}

/// The number of public items, each once however many paths lead to it: now and at [`BEFORE`].
pub fn distinct() -> Result<(String, String), String> {
    let count = |checkout: &Path| Ok::<_, String>(items(checkout, &["distinct"])?.concat());
    Ok((count(&places::root())?, count(&checkout(BEFORE)?)?))
}

/// Public items without a sentence, and traits and constructors without a doctest; one line each.
pub fn undocumented() -> Result<Vec<String>, String> {
    items(&places::root(), &["undocumented"])
}

/// Lines that the stored list has and the code has not (`-`), and the reverse (`+`).
pub fn changed() -> Result<Vec<String>, String> {
    let stored = super::crates::read(&places::root().join(STORED))?;
    let (stored, now): (Vec<&str>, Vec<String>) = (stored.lines().collect(), now()?);
    let gone = stored.iter().filter(|line| !now.iter().any(|own| own == *line)).map(|line| format!("-{line}"));
    let new = now.iter().filter(|line| !stored.contains(&line.as_str())).map(|line| format!("+{line}"));
    Ok(gone.chain(new).collect())
}

/// Writes the list of the public API anew: `cargo xtask public-api`.
pub fn store() -> Result<(), String> {
    let path = places::root().join(STORED);
    let text = now()?.join("\n") + "\n";
    fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Runs public-items on the core of a checkout and returns the lines that it prints.
fn items(checkout: &Path, arguments: &[&str]) -> Result<Vec<String>, String> {
    let target = sh::target()?;
    // One folder for each checkout: cargo does not notice when another one replaced the JSON.
    let folder = target.join("house/doc").join(checkout.file_name().unwrap_or_default());
    // rustdoc's JSON is not yet stable: the pinned compiler and the pinned reader of its format belong together.
    let mut doc = sh::cargo();
    doc.current_dir(checkout).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &folder);
    doc.args(["rustdoc", "--locked", "-p", CORE, "--lib", "--", "-Z", "unstable-options", "--output-format", "json"]);
    sh::output(&mut doc)?;
    let json = folder.join("doc/autoresearch_core.json");
    let mut read = sh::cargo();
    read.args(["run", "--quiet", "--locked", "-p", "public-items", "--"]).args(arguments).arg(json);
    Ok(sh::output(&mut read)?.lines().map(str::to_owned).collect())
}

/// The files of a commit, in the target folder.
pub fn checkout(commit: &str) -> Result<PathBuf, String> {
    let folder = sh::target()?.join("house").join(commit);
    if folder.join("Cargo.toml").exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let archive = folder.with_extension("tar");
    let mut git = Command::new("git");
    git.current_dir(places::root()).args(["archive", "--output"]).arg(&archive).arg(commit);
    sh::output(&mut git).map_err(|e| format!("{e}\nthe history is needed: `git fetch --unshallow`"))?;
    sh::output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
    Ok(folder)
}
