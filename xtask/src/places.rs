//! Where things are.

use std::path::{Path, PathBuf};

use crate::sh;

/// The root of the workspace. `AUTORESEARCH_ROOT` replaces it in tests of the set-up.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    std::env::var_os("AUTORESEARCH_ROOT").map(PathBuf::from).or(here).unwrap_or_default()
}

/// Where cargo puts what it builds.
pub fn target() -> Result<PathBuf, String> {
    let metadata = sh::output(sh::cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let (_, rest) = metadata.split_once(r#""target_directory":""#).ok_or("cargo names no target folder")?;
    rest.split('"').next().map(PathBuf::from).ok_or_else(|| "cargo names no target folder".into())
}

/// Data and builds of experiments, outside of every repository.
pub fn cache() -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("AUTORESEARCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("autoresearch")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/autoresearch")))
        .ok_or_else(|| "no home directory is known; set AUTORESEARCH_CACHE to a folder for data and builds".into())
}

/// Whether there is an NVIDIA driver.
pub fn nvidia() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl"].iter().any(|path| Path::new(path).exists())
}
