//! Layers by the kernel's overlays: the folder below, a candidate's changes above it.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::layer::{Layer, copy_folder};
use super::call::{check, terminated};
use super::namespaces::Namespaces;
use super::probe::{Probe, in_child};

/// Prepares the place of a layer: for an overlay, or as a copy where the kernel or the file system has none. Nothing where a command
/// has no view of its own in which either could be shown.
pub(in super::super) fn prepare(layer: &Layer) -> io::Result<()> {
    let Ok(kind) = &Probe::here().view else { return Ok(()) };
    let merged = layer.own.join("merged");
    for folder in [layer.upper(), layer.work(), merged.clone()] {
        fs::create_dir_all(folder)?;
    }
    let namespaces = Namespaces::new(*kind, true, false)?;
    let (file, at) = (terminated(&merged.join("probe"))?, terminated(&merged)?);
    let is_possible = options(layer, Path::new("/"))?.is_some_and(|options| {
        // SAFETY: the child makes plain system calls alone, and ends.
        unsafe { in_child(|| namespaces.enter().and_then(|()| try_overlay(&options, &at, &file))) == 0 }
    });
    if !is_possible {
        fs::remove_dir_all(&layer.own)?;
        copy_folder(&layer.folder, &layer.copy())?;
    }
    Ok(())
}

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

/// A file system that cannot hold the changes shows itself at the first one.
unsafe fn try_overlay(options: &CStr, at: &CStr, file: &CStr) -> io::Result<()> {
    // SAFETY: plain system calls with strings that end with a NUL.
    unsafe {
        mount(options, at)?;
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC;
        check(libc::close(check(libc::open(file.as_ptr(), flags, 0o600))?))?;
        check(libc::unlink(file.as_ptr())).map(drop)
    }
}
