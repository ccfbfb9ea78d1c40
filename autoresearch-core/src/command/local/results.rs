//! The files of a run that a metric reads: removed from the slot before the run, collected after it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::super::executor::Job;
use super::remove::remove_folder;
use super::slot::{Slot, holds};
use crate::change::{is_exact, matches, root};
use crate::git::Listing;
use crate::metric::MAX_ITEM_BYTES;
use crate::sandbox::{RunLog, SIZES, SandboxError, Sizes};

/// Most files of one run that are kept, and their bytes together.
const MOST: usize = 1000;
const MOST_BYTES: u64 = 8 * MAX_ITEM_BYTES;
/// Longest file whose lines are counted.
const MOST_COUNTED: u64 = 1 << 30;

/// Removes the files that the run is to write.
pub(super) fn remove(slot: &Slot, job: &Job) -> Result<(), SandboxError> {
    if job.results.written.is_empty() {
        return Ok(());
    }
    let own = job.tree.listing()?;
    for (path, exact) in found(slot, &job.results.written) {
        if exact || !own.contains_key(&path) {
            let place = slot.path().join(&path);
            // A folder in the place of a file is as much in the way.
            remove_folder(&place).map_err(|e| SandboxError::io(format!("removing {}", place.display()), e))?;
        }
    }
    Ok(())
}

/// Copies the files that the run wrote beside its log, and counts those to be counted.
pub(super) fn collect(slot: &Slot, job: &Job, log: &mut RunLog) -> Result<(), SandboxError> {
    let Some(folder) = log.path.as_ref().map(|path| folder(path)) else { return Ok(()) };
    let failed = |place: &Path, e| SandboxError::io(format!("writing {}", place.display()), e);
    if !job.results.written.is_empty() {
        let own = job.tree.listing()?;
        let written = found(slot, &job.results.written);
        let mut room = MOST_BYTES;
        for (at, (path, exact)) in written.into_iter().take(MOST).enumerate() {
            let from = slot.path().join(&path);
            let Some(mut content) = open(&from, MAX_ITEM_BYTES.min(room)) else { continue };
            if !exact && is_unchanged(&own, &path, &from) {
                continue;
            }
            fs::create_dir_all(&folder).map_err(|e| failed(&folder, e))?;
            let to = folder.join(at.to_string());
            let mut copy = fs::File::create(&to).map_err(|e| failed(&to, e))?;
            room -= std::io::copy(&mut content, &mut copy).map_err(|e| failed(&to, e))?;
            log.artifacts.insert(path, to);
        }
    }
    if !job.results.counted.is_empty() {
        let sizes = found(slot, &job.results.counted)
            .iter()
            .fold(Sizes::default(), |sizes, (path, _)| add(sizes, &slot.path().join(path)));
        fs::create_dir_all(&folder).map_err(|e| failed(&folder, e))?;
        let to = folder.join(SIZES);
        let text = serde_json::to_vec(&sizes).map_err(|e| failed(&to, e.into()))?;
        fs::write(&to, text).map_err(|e| failed(&to, e))?;
        log.artifacts.insert(SIZES.into(), to);
    }
    Ok(())
}

/// The folder beside a log with the files of its run.
pub(super) fn folder(log: &Path) -> PathBuf {
    log.with_extension("files")
}

/// True for a file of the candidate that the run did not write.
fn is_unchanged(own: &Listing, path: &str, place: &Path) -> bool {
    own.get(path).is_some_and(|file| holds(place, file.blob))
}

/// Opens a file of at most `most` bytes for reading. Something else, such as a pipe on whose writer one would wait for ever, is
/// none, and neither is a file that may not be read.
pub(super) fn open(path: &Path, most: u64) -> Option<fs::File> {
    let is_file = |found: fs::Metadata| found.is_file() && found.len() <= most;
    fs::symlink_metadata(path).is_ok_and(is_file).then(|| fs::File::open(path).ok()).flatten()
}

/// Adds the size of a file. One that is too long to be read counts a line for each byte.
fn add(before: Sizes, path: &Path) -> Sizes {
    let Some((bytes, file)) = open(path, u64::MAX).and_then(|file| Some((file.metadata().ok()?.len(), file))) else {
        return before;
    };
    let lines = if bytes > MOST_COUNTED { Ok(bytes) } else { count_lines(file) };
    let Ok(lines) = lines else { return before };
    let mut sizes = before;
    (sizes.files, sizes.bytes, sizes.lines) =
        (before.files + 1, before.bytes.saturating_add(bytes), before.lines.saturating_add(lines));
    sizes
}

/// Counts the lines that are not blank.
fn count_lines(file: fs::File) -> std::io::Result<u64> {
    let (mut reader, mut lines, mut is_blank) = (BufReader::with_capacity(1 << 16, file), 0, true);
    loop {
        let bytes = reader.fill_buf()?;
        for byte in bytes {
            // A line counts at its first character that is not blank.
            match byte {
                b'\n' => is_blank = true,
                _ if is_blank && !byte.is_ascii_whitespace() => {
                    is_blank = false;
                    lines += 1;
                }
                _ => {}
            }
        }
        let count = bytes.len();
        if count == 0 {
            return Ok(lines);
        }
        reader.consume(count);
    }
}

/// Finds the files below a slot that match the patterns, sorted, each with whether it is called by its exact path. Links are not
/// followed, and nothing outside of the slot is found.
pub(super) fn found(slot: &Slot, patterns: &[String]) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for pattern in patterns {
        let stays = pattern.split('/').all(|name| name != "..") && !pattern.starts_with('/');
        if !stays {
            continue;
        }
        let plain = pattern.trim_start_matches("./").to_owned();
        if is_exact(&plain) {
            if leads_through_folders(slot.path(), &plain) {
                found.push((plain, true));
            }
            continue;
        }
        let mut left = vec![root(&plain).to_owned()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(slot.path().join(&folder)).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => left.push(path),
                    Ok(_) if matches(&plain, &path) => found.push((path, false)),
                    _ => {}
                }
            }
        }
    }
    found.sort();
    found.dedup_by(|one, other| one.0 == other.0);
    found
}

/// True if something is at a path, and no folder on the way is a link to elsewhere.
fn leads_through_folders(slot: &Path, path: &str) -> bool {
    let mut place = slot.to_owned();
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        place.push(name);
        let Ok(found) = fs::symlink_metadata(&place) else { return false };
        if names.peek().is_some() && !found.is_dir() {
            return false;
        }
    }
    true
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::super::executor::JobName;
    use super::super::super::tree::Tree;
    use super::*;

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_read_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let slot = Slot::new(folder.path().join("slot"));
        let tree = Tree::new([("a.rs", "one\n\n  \ntwo")]).unwrap();
        slot.fill(&tree).unwrap();
        let mut job = Job::new(JobName::new("t", "1"), tree, vec!["true".into()], std::time::Duration::from_secs(1));
        job.results.counted = vec!["**/*.rs".into()];
        job.results.written = vec!["**/*.rs".into(), "pipe.rs".into()];
        nix::unistd::mkfifo(&slot.path().join("pipe.rs"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", slot.path().join("endless.rs")).unwrap();
        fs::write(slot.path().join("new.rs"), "three\n").unwrap();
        let mut log = RunLog { path: Some(folder.path().join("log")), ..RunLog::default() };
        collect(&slot, &job, &mut log).unwrap();
        let sizes: Sizes = serde_json::from_slice(&fs::read(&log.artifacts[SIZES]).unwrap()).unwrap();
        assert_eq!((sizes.files, sizes.bytes, sizes.lines), (2, 17, 3));
        assert_eq!(log.artifacts.keys().collect::<Vec<_>>(), ["new.rs", SIZES]);
        // A hole of which nobody sees the end.
        let size = 1 << 40;
        fs::File::options().write(true).open(slot.path().join("new.rs")).unwrap().set_len(size).unwrap();
        collect(&slot, &job, &mut log).unwrap();
        let sizes: Sizes = serde_json::from_slice(&fs::read(&log.artifacts[SIZES]).unwrap()).unwrap();
        assert_eq!((sizes.bytes, sizes.lines), (size + 11, size + 2));
    }
}
