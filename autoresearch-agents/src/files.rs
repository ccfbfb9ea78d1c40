//! Files in the folders of checks and agents, where a model's programs may have left anything.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Reads a plain file; `None` for everything else, such as a link to elsewhere or a pipe on whose writer one would wait for ever.
pub(crate) fn read_file(path: &Path) -> Option<Vec<u8>> {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file()).then(|| fs::read(path).ok()).flatten()
}

/// Removes whatever is at a path, a folder with everything in it. Links are not followed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        // There is no folder that it could be in.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives the owner all rights to a folder and those below it, and lets them read the files: a tool may have left them without.
/// Links are not followed.
#[cfg(unix)]
pub(crate) fn make_usable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let needed = match found.file_type() {
        kind if kind.is_dir() => 0o700,
        kind if kind.is_file() => 0o400,
        _ => return,
    };
    let mode = found.permissions().mode() & 0o7777;
    if mode & needed != needed {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode | needed));
    }
    if found.is_dir() {
        fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| make_usable(&entry.path()));
    }
}

#[cfg(not(unix))]
pub(crate) fn make_usable(_: &Path) {}

/// Sets or clears the executable bits of a file, for everybody who may read it. Does nothing where files have none.
#[cfg(unix)]
pub(crate) fn set_executable(path: &Path, executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    let mode = permissions.mode();
    let wanted = if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
    if wanted != mode {
        permissions.set_mode(wanted);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

/// Returns true if the owner of a file may execute it.
#[cfg(unix)]
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
pub(crate) fn set_executable(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn is_executable(_: &Path) -> bool {
    false
}
