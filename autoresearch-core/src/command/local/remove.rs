//! Removing the leftovers of a candidate, which may have taken permissions away.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Abandoned folders that one slot may have beside it.
const ABANDONED: u32 = 1000;

/// Removes a folder with everything below it, also where permissions were taken away. Links are not followed; a folder that is
/// not there is as good.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => remove_flat(folder),
        // Something else than a folder: a file, or a link to one.
        Ok(_) => fs::remove_file(folder),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a folder by moving every folder below it right into it first: nested however deep, it takes neither the stack of a
/// recursion nor a path longer than the system's.
fn remove_flat(folder: &Path) -> io::Result<()> {
    let (mut left, mut number) = (vec![folder.to_owned()], 0_u64);
    while let Some(next) = left.last().cloned() {
        make_usable(&next);
        let is_top = next == folder;
        let (before, mut is_empty) = (left.len(), true);
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            is_empty = false;
            match entry.file_type()?.is_dir() {
                true if is_top => left.push(entry.path()),
                true => left.push(move_into(folder, &entry.path(), &mut number)?),
                false => fs::remove_file(entry.path())?,
            }
        }
        match fs::remove_dir(&next) {
            Ok(()) => drop(left.remove(before - 1)),
            // What was found in it comes first, and then what a changing folder did not list.
            Err(_) if !is_empty => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Moves a folder right into another one, under a name that is free there.
fn move_into(above: &Path, folder: &Path, number: &mut u64) -> io::Result<PathBuf> {
    // A folder without permissions cannot be moved: its `..` changes.
    make_usable(folder);
    loop {
        *number += 1;
        let to = above.join(format!("removed-{number}"));
        if fs::symlink_metadata(&to).is_err() {
            return fs::rename(folder, &to).map(|()| to);
        }
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn folders_nested_however_deep_are_removed_on_a_small_stack() {
        let folder = tempfile::tempdir().unwrap();
        let slot = folder.path().join("slot");
        fs::create_dir_all(slot.join("removed-1")).unwrap();
        fs::write(slot.join("removed-2"), "in the way").unwrap();
        // From the inside out: no path is long.
        let (deep, around) = (slot.join("deep"), slot.join("around"));
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        for _ in 0..20_000 {
            fs::create_dir(&around).unwrap();
            fs::rename(&deep, around.join("d")).unwrap();
            fs::rename(&around, &deep).unwrap();
        }
        for closed in [deep.join("d/d"), deep.join("d"), slot.clone()] {
            fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        }
        let place = slot.clone();
        let small = std::thread::Builder::new().stack_size(256 << 10);
        small.spawn(move || remove_folder(&place)).unwrap().join().unwrap().unwrap();
        assert!(fs::symlink_metadata(&slot).is_err());
    }
}
