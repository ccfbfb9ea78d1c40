//! The kernel's overlays: a folder below, a candidate's changes above it.

use std::ffi::{CStr, CString};
use std::io;
use std::path::{Path, PathBuf};

use super::super::layer::Layer;
use super::call::{check, terminated};

/// The options of a layer's overlay, with its folders below `root`. `None` for paths with signs that options cannot hold.
pub(super) fn options(layer: &Layer, root: &Path) -> io::Result<Option<CString>> {
    let below = |path: &Path| -> PathBuf { root.join(path.strip_prefix("/").unwrap_or(path)) };
    let folders = [layer.folder.canonicalize()?, layer.upper(), layer.work()].map(|path| below(&path));
    let is_plain = |path: &PathBuf| path.to_str().is_some_and(|path| !path.contains([',', ':', '\\']));
    if !folders.iter().all(is_plain) {
        return Ok(None);
    }
    let [lower, upper, work] = folders.map(|path| path.to_string_lossy().into_owned());
    let text = format!("lowerdir={lower},upperdir={upper},workdir={work},userxattr,index=off");
    terminated(Path::new(&text)).map(Some)
}

/// Mounts an overlay.
///
/// # Safety
/// Makes plain system calls; may be called between fork and exec.
pub(super) unsafe fn mount(options: &CStr, at: &CStr) -> io::Result<()> {
    let kind = c"overlay".as_ptr();
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: a plain system call with strings that end with a NUL.
    check(unsafe { libc::mount(kind, at.as_ptr(), kind, flags, options.as_ptr().cast()) }).map(drop)
}
