//! Files beside the commit that decide the number: they stay as they are while a run goes on.

use std::collections::BTreeMap;
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
            let marks = files.iter().flat_map(|(path, found)| found.marks(path));
            let marks = marks.collect::<io::Result<Vec<Mark>>>().map_err(failed)?;
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

/// Digests the content of a file, or the names and contents of all files below a folder. A link there is its text, and the content that
/// it leads to.
pub fn digest(path: &Path) -> io::Result<String> {
    let is_file = path.metadata()?.is_file();
    let mut all = blake3::Hasher::new();
    for (file, found) in files(path)? {
        let content = if found.has_content() { of_file(&file)?.to_string() } else { String::new() };
        if is_file {
            return Ok(content[..DIGITS].to_owned());
        }
        let name = file.strip_prefix(path).unwrap_or(&file).display().to_string();
        // No name of a file has a NUL.
        let line = match found.text() {
            Some(text) => format!("{content} {name}\0{}\n", text.display()),
            None => format!("{content} {name}\n"),
        };
        all.update(line.as_bytes());
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

/// A file or a link below a folder.
#[derive(Debug)]
enum Found {
    File,
    /// A link with its text, and true if it leads to a file that is not below the folder under a name of its own.
    Link(PathBuf, bool),
}

impl Found {
    fn has_content(&self) -> bool {
        matches!(self, Found::File | Found::Link(_, true))
    }

    fn text(&self) -> Option<&Path> {
        match self {
            Found::Link(text, _) => Some(text),
            Found::File => None,
        }
    }

    /// The marks of a file, and of a link to it.
    fn marks(&self, path: &Path) -> impl Iterator<Item = io::Result<Mark>> {
        let link = self.text().map(|_| path.symlink_metadata());
        let file = self.has_content().then(|| path.metadata());
        let path = path.to_owned();
        link.into_iter().chain(file).map(move |found| Ok(mark(&path, &found?)))
    }
}

/// The path itself, or all files and links below a folder. A folder that a link leads to is looked into under the link's name, once.
fn files(path: &Path) -> io::Result<BTreeMap<PathBuf, Found>> {
    let mut found = BTreeMap::new();
    if !path.metadata()?.is_dir() {
        found.insert(path.to_owned(), Found::File);
        return Ok(found);
    }
    // Real paths of the folders that were looked into, with all that is below them.
    let mut known: Vec<PathBuf> = Vec::new();
    let mut folders = vec![path.to_owned()];
    while !folders.is_empty() {
        let mut links = Vec::new();
        for folder in folders {
            let real = folder.canonicalize()?;
            if !known.iter().any(|known| real.starts_with(known)) {
                known.push(real);
                links.extend(walk(folder, &mut found)?);
            }
        }
        links.sort();
        folders = Vec::new();
        for link in links {
            let text = fs::read_link(&link)?;
            let leads_to = link.canonicalize().ok();
            let is_new = leads_to.as_ref().is_some_and(|real| !known.iter().any(|known| real.starts_with(known)));
            if is_new && link.is_dir() {
                folders.push(link.clone());
            }
            let has_content = is_new && link.is_file();
            found.insert(link, Found::Link(text, has_content));
        }
    }
    Ok(found)
}

/// Finds the files below a folder, and returns the links.
fn walk(folder: PathBuf, found: &mut BTreeMap<PathBuf, Found>) -> io::Result<Vec<PathBuf>> {
    let (mut links, mut left) = (Vec::new(), vec![folder]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => left.push(entry.path()),
                kind if kind.is_file() => drop(found.insert(entry.path(), Found::File)),
                kind if kind.is_symlink() => links.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(links)
}

fn mark(path: &Path, found: &fs::Metadata) -> Mark {
    #[cfg(unix)]
    let inode = {
        use std::os::unix::fs::MetadataExt;
        (found.ino(), found.ctime(), found.ctime_nsec())
    };
    #[cfg(not(unix))]
    let inode = (0, 0, 0);
    Mark { path: path.to_owned(), size: found.len(), modified: found.modified().ok(), inode }
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

    #[cfg(unix)]
    #[test]
    fn links_below_a_folder_are_their_text_and_what_they_lead_to() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (hub, outside) = (folder.path().join("hub"), folder.path().join("outside"));
        for path in [hub.join("blobs"), hub.join("snapshots"), outside.join("deep")] {
            fs::create_dir_all(path).unwrap();
        }
        for path in [hub.join("blobs/1"), hub.join("blobs/2"), outside.join("file"), outside.join("deep/file")] {
            fs::write(path, "one").unwrap();
        }
        // As the cache of a hub has them: snapshots are links to blobs beside them.
        let snapshot = hub.join("snapshots/model");
        symlink("../blobs/1", &snapshot).unwrap();
        symlink(outside.join("file"), hub.join("file")).unwrap();
        symlink(&outside, hub.join("folder")).unwrap();
        symlink(&outside, hub.join("folder-again")).unwrap();
        symlink(&hub, outside.join("back")).unwrap();
        symlink("nothing", hub.join("gone")).unwrap();
        let locks = Locks::new(std::slice::from_ref(&hub));
        let changed = || matches!(locks.check(), Err(SandboxError::LockedChanged { .. }));
        let snapshots = digest(&hub.join("snapshots")).unwrap();
        assert!(!changed() && !changed());
        fs::remove_file(&snapshot).unwrap();
        symlink("../blobs/2", &snapshot).unwrap();
        assert!(changed(), "a link to the same content elsewhere");
        fs::remove_file(&snapshot).unwrap();
        symlink("../blobs/1", &snapshot).unwrap();
        assert!(!changed(), "it is as it was");
        for path in [outside.join("file"), outside.join("deep/file"), hub.join("blobs/1")] {
            fs::write(&path, "two").unwrap();
            assert!(changed(), "{}", path.display());
            assert!(digest(&hub.join("snapshots")).unwrap() != snapshots || !path.ends_with("1"));
            fs::write(&path, "one").unwrap();
            assert!(!changed(), "{}", path.display());
        }
    }

    #[test]
    fn the_digest_of_a_folder_without_links_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        let names = ["a", "b/c", "b.d"];
        names.iter().for_each(|name| fs::write(folder.path().join(name), name).unwrap());
        let mut hasher = blake3::Hasher::new();
        for name in ["a", "b/c", "b.d"] {
            hasher.update(format!("{} {name}\n", blake3::hash(name.as_bytes())).as_bytes());
        }
        assert_eq!(digest(folder.path()).unwrap(), hasher.finalize().to_hex()[..DIGITS]);
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
