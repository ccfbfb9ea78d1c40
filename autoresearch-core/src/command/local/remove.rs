//! Removing the leftovers of a candidate, which may have taken permissions away.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Abandoned folders that one slot may have beside it.
const ABANDONED: u32 = 1000;

/// Removes a folder with everything below it, also where permissions were taken away. Links are not followed; a folder that is
/// not there is as good.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Something else than a folder: a file, or a link to one.
        Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(folder),
        Err(_) => {
            make_writable(folder);
            fs::remove_dir_all(folder)
        }
        Ok(()) => Ok(()),
    }
}

/// Lets the owner read, write and enter a folder again. What fails here fails again where it matters, with a message.
#[cfg(unix)]
pub(super) fn make_usable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(found) = fs::symlink_metadata(folder) else { return };
    let mode = found.permissions().mode();
    if found.is_dir() && mode & 0o700 != 0o700 {
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(mode & 0o7777 | 0o700));
    }
}

#[cfg(not(unix))]
pub(super) fn make_usable(_folder: &Path) {}

/// The same for all folders below it as well.
fn make_writable(folder: &Path) {
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        make_usable(&folder);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
        }
    }
}

/// Moves a folder that cannot be emptied aside, for a fresh one in its place.
pub(super) fn abandon(folder: &Path) -> io::Result<()> {
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    let names = (1..ABANDONED).map(|number| beside(folder, &format!(".abandoned-{number}")));
    let free = names.into_iter().find(|name| fs::symlink_metadata(name).is_err());
    let free = free.ok_or_else(|| io::Error::other("too many abandoned folders are beside it; remove them"))?;
    make_usable(folder);
    fs::rename(folder, free)
}

/// Removes the folders that were moved aside, as far as that succeeds by now.
pub(super) fn remove_abandoned(folder: &Path) {
    let names = (1..ABANDONED).map(|number| beside(folder, &format!(".abandoned-{number}")));
    for name in names.take_while(|name| fs::symlink_metadata(name).is_ok()) {
        let _ = remove_folder(&name);
    }
}

/// Returns the path beside `folder` whose name has `ending` appended.
pub(super) fn beside(folder: &Path, ending: &str) -> PathBuf {
    let mut name = folder.to_owned().into_os_string();
    name.push(ending);
    name.into()
}
