//! Removes the slots of runs that ended: they lie in the cache and can take gigabytes.

use std::fs;
use std::path::Path;

use autoresearch_core::Journal;
use autoresearch_core::internal::journal::Record;

use crate::repository::Repository;

/// The slots that were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs whose slots are gone.
    pub runs: usize,
    /// Bytes that their files took.
    pub bytes: u64,
}

/// Removes the slots in `folder` of all runs but `tag` that ended in an orderly way, and of those whose journal is gone.
///
/// The slots of a run that goes on, or that was killed, stay: processes may be left in them. What cannot be removed stays,
/// too: a run must not fail for it.
pub fn remove_ended(repository: &Repository, folder: &Path, tag: &str) -> Removed {
    let mut removed = Removed::default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(other) = name.to_str().filter(|other| *other != tag) else { continue };
        if !has_ended(&repository.journal_path(other)) {
            continue;
        }
        let (path, bytes) = (entry.path(), size(&entry.path()));
        if remove(&path).is_ok() {
            removed.runs += 1;
            removed.bytes += bytes;
        }
    }
    removed
}

/// Returns whether nobody works on a run and its last record is that of its end.
fn has_ended(journal: &Path) -> bool {
    if !journal.exists() {
        return true;
    }
    // Opening takes the lock, which a command that works on the run holds.
    let Ok(opened) = Journal::open(journal) else { return false };
    let after_the_end = |record: &Record| {
        matches!(record, Record::Audited { .. } | Record::HoldoutOpened { .. } | Record::HoldoutMeasured { .. })
    };
    let last = opened.entries().iter().rev().find(|entry| !after_the_end(&entry.record));
    last.is_some_and(|entry| matches!(entry.record, Record::Stopped { .. }))
}

/// The bytes of all files below a folder.
pub fn size(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    match metadata.is_dir() {
        true => fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum(),
        false => metadata.len(),
    }
}

/// Removes a folder, also where a tool left parts of it without write permission.
pub fn remove(path: &Path) -> std::io::Result<()> {
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    make_writable(path);
    fs::remove_dir_all(path)
}

fn make_writable(path: &Path) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    if !metadata.is_dir() {
        return;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | 0o700));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        make_writable(&entry.path());
    }
}

impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        let runs = if self.runs == 1 { "1 ended run".to_owned() } else { format!("{} ended runs", self.runs) };
        write!(f, "removed the working folders of {runs}: {megabytes:.1} MB; their results stay")
    }
}
