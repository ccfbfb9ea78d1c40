//! Where things are.

use std::path::{Path, PathBuf};

use crate::driver::Driver;

/// The root of the workspace. `AUTORESEARCH_ROOT` replaces it in tests of the set-up.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    std::env::var_os("AUTORESEARCH_ROOT").map(PathBuf::from).or(here).unwrap_or_default()
}

/// Data and builds of experiments, outside of every repository.
pub fn cache() -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("AUTORESEARCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("autoresearch")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/autoresearch")))
        .ok_or_else(|| "no home directory is known; set AUTORESEARCH_CACHE to a folder for data and builds".into())
}

/// Returns true when there is an NVIDIA driver.
pub fn nvidia() -> bool {
    Driver::here().is_some()
}
