//! The files of a run that a metric reads: removed from the slot before the run, collected after it.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::executor::Job;
use super::remove::remove_folder;
use super::slot::{Slot, holds};
use crate::change::{is_exact, matches, root};
use crate::git::Listing;
use crate::metric::MAX_ITEM_BYTES;
use crate::sandbox::{RunLog, SIZES, SandboxError, Sizes};

/// Most files of one run that are kept.
const MOST: usize = 1000;

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
        for (at, (path, exact)) in written.into_iter().take(MOST).enumerate() {
            let from = slot.path().join(&path);
            let is_kept =
                fs::symlink_metadata(&from).is_ok_and(|found| found.is_file() && found.len() <= MAX_ITEM_BYTES);
            if !is_kept || (!exact && is_unchanged(&own, &path, &from)) {
                continue;
            }
            fs::create_dir_all(&folder).map_err(|e| failed(&folder, e))?;
            let to = folder.join(at.to_string());
            fs::copy(&from, &to).map_err(|e| failed(&to, e))?;
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

fn add(sizes: Sizes, path: &Path) -> Sizes {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    let Ok(bytes) = fs::read(path) else { return sizes };
    if !is_file {
        return sizes;
    }
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    let mut sum = sizes;
    (sum.files, sum.bytes, sum.lines) = (sum.files + 1, sum.bytes + bytes.len() as u64, sum.lines + lines as u64);
    sum
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
