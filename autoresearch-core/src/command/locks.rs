//! Files beside the commit that decide the number: they stay as they are while a run goes on.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::sandbox::SandboxError;

/// Digits of a digest.
const DIGITS: usize = 16;

/// Files and folders that decide the number, and their content as the run began.
#[derive(Debug, Default)]
pub(super) struct Locks {
    locks: Mutex<Vec<Lock>>,
    trials: Mutex<Trials>,
}

/// Counts of trials.
#[derive(Debug, Default)]
struct Trials {
    running: usize,
    started: u64,
}

/// One trial that runs.
pub(super) struct Turn<'a> {
    trials: &'a Mutex<Trials>,
    /// The number that it has if no other trial ran when it began.
    alone: Option<u64>,
}

impl Turn<'_> {
    /// Returns whether no other trial has run since this one began.
    pub(super) fn was_alone(&self) -> bool {
        self.alone == Some(self.trials.lock().unwrap_or_else(PoisonError::into_inner).started)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner).running -= 1;
    }
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Content and marks at the first look; none before it.
    seen: Option<(String, Vec<Mark>)>,
}

/// The marks of a file: whoever writes to it changes one of them, though not on every file system where it is mapped into memory.
#[derive(Debug, PartialEq)]
struct Mark {
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
    /// The inode and the time of its last change, which no program can set.
    inode: (u64, i64, i64),
}

impl Locks {
    pub(super) fn new(paths: &[PathBuf]) -> Locks {
        let locks = paths.iter().map(|path| Lock { path: path.clone(), seen: None }).collect();
        Locks { locks: Mutex::new(locks), ..Locks::default() }
    }

    /// Notes that a trial begins, until the result is dropped.
    pub(super) fn begin(&self) -> Turn<'_> {
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        let was_idle = trials.running == 0;
        (trials.running, trials.started) = (trials.running + 1, trials.started + 1);
        Turn { trials: &self.trials, alone: was_idle.then_some(trials.started) }
    }

    /// Remembers the content at the first call, and compares at every other one: by the marks of the files, and by their content
    /// where these differ.
    pub(super) fn check(&self) -> Result<(), SandboxError> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        for Lock { path, seen } in locks.iter_mut() {
            let failed = |e| SandboxError::io(format!("reading {}, which decides the number", path.display()), e);
            let gone = || SandboxError::LockedChanged { path: path.clone() };
            let files = match files(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && seen.is_some() => return Err(gone()),
                files => files.map_err(failed)?,
            };
            let marks = files.iter().map(|file| mark(file)).collect::<io::Result<Vec<Mark>>>().map_err(failed)?;
            if seen.as_ref().is_some_and(|(_, then)| *then == marks) {
                continue;
            }
            let digest = digest(path).map_err(failed)?;
            if seen.as_ref().is_some_and(|(then, _)| *then != digest) {
                return Err(gone());
            }
            *seen = Some((digest, marks));
        }
        Ok(())
    }
}

/// Digests the content of a file, or the names and contents of all files below a folder.
pub fn digest(path: &Path) -> io::Result<String> {
    let is_file = path.metadata()?.is_file();
    let mut all = blake3::Hasher::new();
    for file in files(path)? {
        let content = of_file(&file)?;
        if is_file {
            return Ok(content.to_hex()[..DIGITS].to_owned());
        }
        let name = file.strip_prefix(path).unwrap_or(&file);
        all.update(format!("{content} {}\n", name.display()).as_bytes());
    }
    Ok(all.finalize().to_hex()[..DIGITS].to_owned())
}

fn of_file(path: &Path) -> io::Result<blake3::Hash> {
    let (mut file, mut hasher, mut buffer) = (fs::File::open(path)?, blake3::Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => drop(hasher.update(&buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The path itself, or all files below a folder, sorted. Links are not followed below it.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.metadata()?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut left) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => left.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn mark(path: &Path) -> io::Result<Mark> {
    let found = path.metadata()?;
    #[cfg(unix)]
    let inode = {
        use std::os::unix::fs::MetadataExt;
        (found.ino(), found.ctime(), found.ctime_nsec())
    };
    #[cfg(not(unix))]
    let inode = (0, 0, 0);
    Ok(Mark { path: path.to_owned(), size: found.len(), modified: found.modified().ok(), inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_noticed_and_what_is_touched_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, below) = (folder.path().join("file"), folder.path().join("data"));
        fs::create_dir_all(below.join("deep")).unwrap();
        for path in [&file, &below.join("deep/a"), &below.join("b")] {
            fs::write(path, "one").unwrap();
        }
        let locks = Locks::new(&[file.clone(), below.clone()]);
        let changed = || matches!(locks.check(), Err(SandboxError::LockedChanged { .. }));
        assert!(!changed() && !changed());
        fs::write(below.join("deep/a"), "one").unwrap();
        assert!(!changed(), "written anew with the same content");
        let then = file.metadata().unwrap().modified().unwrap();
        fs::write(&file, "two").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        assert!(changed(), "the same size, and its time put back");
        fs::write(&file, "one").unwrap();
        assert!(!changed(), "it is as it was");
        fs::write(below.join("new"), "").unwrap();
        assert!(changed(), "a further file");
        fs::remove_file(below.join("new")).unwrap();
        fs::rename(below.join("b"), below.join("c")).unwrap();
        assert!(changed(), "another name");
        fs::remove_dir_all(&below).unwrap();
        assert!(changed(), "gone");
    }

    #[test]
    fn a_trial_was_alone_if_no_other_ran_at_any_time_of_it() {
        let locks = Locks::default();
        let first = locks.begin();
        assert!(first.was_alone());
        let second = locks.begin();
        assert!(!first.was_alone() && !second.was_alone());
        drop((first, second));
        assert!(locks.begin().was_alone());
    }

    #[test]
    fn the_digest_of_a_file_is_that_of_its_content_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), "one").unwrap();
        }
        let of = |name: &str| digest(&folder.path().join(name)).unwrap();
        assert_eq!((of("a"), of("a")), (of("b"), blake3::hash(b"one").to_hex()[..DIGITS].to_owned()));
    }
}
