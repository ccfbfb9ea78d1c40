//! The places for a candidate's changes to pristine folders.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::Path;

use super::super::layer::{Layer, copy_folder};
use super::call::{check, terminated};
use super::namespaces::Namespaces;
use super::overlay::{mount, options};
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
