//! The crates of the workspace and their source files.

use std::fs;
use std::path::{Path, PathBuf};

/// A member of the workspace.
pub struct Crate {
    pub folder: PathBuf,
    /// The files that the compiler starts from: the library and each binary.
    pub roots: Vec<PathBuf>,
}

/// Lists the workspace's members, read from the manifest in `root`.
pub fn crates(root: &Path) -> Result<Vec<Crate>, String> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let (_, rest) = manifest.split_once("members = [").ok_or("the root manifest lists no members")?;
    let list = rest.split(']').next().unwrap_or_default();
    let folders = list.split('"').skip(1).step_by(2).map(|name| root.join(name));
    folders.map(|folder| Ok(Crate { roots: roots(&folder)?, folder })).collect()
}

fn roots(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let manifest = read(&folder.join("Cargo.toml"))?;
    let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    let mut roots: Vec<PathBuf> = named.filter(|path| path.ends_with(".rs")).map(|path| folder.join(path)).collect();
    roots.extend(["src/lib.rs", "src/main.rs"].map(|path| folder.join(path)));
    roots.extend(below(&folder.join("src/bin"), "rs")?);
    roots.retain(|root| root.exists());
    roots.sort();
    roots.dedup();
    Ok(roots)
}

/// Lists the files below a folder whose names end in `.ending`, in order. A folder that is not there has none.
pub fn below(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("cannot list {}: {e}", folder.display()))?.path();
        if path.is_dir() {
            files.extend(below(&path, ending)?);
        } else if path.extension().is_some_and(|own| own == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a file as text.
pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// The path of a file from the root of the workspace, as it is shown.
pub fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
