//! Walls around the server of a model: it reads its own files and the system's libraries, writes nothing, and reaches nothing.
//!
//! They stand inside of whatever walls the evaluation itself has, and without those, too. The validation data and the channel of
//! results are the evaluation's alone.

#[cfg(not(target_os = "linux"))]
use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::Walls;

/// Places of the system's libraries, and of what they read.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
];

/// Variables whose folders hold libraries.
const LIBRARIES: &[&str] = &["LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH"];

/// The files and folders that a server reads beside its own: the system's libraries, and libtorch with the packages that it is
/// linked against.
pub(crate) fn libraries() -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let listed = LIBRARIES.iter().filter_map(std::env::var_os);
    let listed: Vec<PathBuf> = listed.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).collect();
    let torch = std::env::var_os("LIBTORCH").map(|folder| Path::new(&folder).join("lib"));
    let built_with = option_env!("AUTORESEARCH_LIBTORCH_LIB").map(PathBuf::from);
    for folder in listed.into_iter().chain(torch).chain(built_with).filter_map(|folder| folder.canonicalize().ok()) {
        // torch/lib of a Python's packages needs those of nvidia beside torch.
        let torch = folder.parent().filter(|_| folder.ends_with("lib"));
        read.extend(torch.filter(|torch| torch.ends_with("torch")).and_then(Path::parent).map(|at| at.join("nvidia")));
        read.push(folder);
    }
    read.retain(|path| path.exists());
    read
}

/// Walls of systems that have none.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Walls;

#[cfg(not(target_os = "linux"))]
impl Walls {
    /// Says that there are none.
    pub fn new(_: &[PathBuf]) -> io::Result<Walls> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has what it needs"))
    }
}
