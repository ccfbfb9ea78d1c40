//! The change that an agent left in its scratch copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use autoresearch_core::{EditablePaths, FileEdit, Patch};

use super::folder::{Folder, LARGEST};
use super::litter::Litter;

/// Most new files that are told apart, among the editable ones and outside them.
const FILES: usize = 10_000;
/// Most bytes of given and editable files that are read back.
const LARGEST_TOGETHER: u64 = 256 << 20;
/// Most files that a message names.
const NAMED: usize = 8;

/// Difference between the files that an agent was given and those that it left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Changes, additions and removals of editable files.
    pub patch: Patch,
    /// New files outside the editable paths, each with what became of it.
    pub outside: Vec<String>,
    /// Changes that reject the proposal, each with its path.
    pub forbidden: Vec<String>,
    /// Reason why the files cannot be read as a change, with the next step; then nothing else is known.
    pub unreadable: Option<String>,
}

/// Rules for reading a change.
pub(super) struct Rules<'a> {
    pub editable: &'a EditablePaths,
    pub litter: &'a Litter,
    /// Root of the repository, whose other files an agent may not make anew.
    pub repository: Option<&'a Path>,
}

impl Change {
    /// Compares the scratch copy with `files`, the editable ones that it was made from.
    pub fn read(folder: &Folder, files: &BTreeMap<String, String>, rules: &Rules<'_>) -> io::Result<Change> {
        let before = folder.before();
        let mut found = Found::default();
        found.walk(&folder.work(), "", before, rules)?;
        if found.unreadable.is_some() {
            return Ok(Change { unreadable: found.unreadable, ..Change::default() });
        }
        let mut change = Change::default();
        if found.unnamed > 0 {
            change.outside.push(format!("{} new files in all", FILES + found.unnamed));
        }
        for (path, content) in &found.files {
            if before.get(path) == Some(content) {
                continue;
            }
            let is_known = before.contains_key(path);
            if !rules.editable.allows(path) {
                if is_known {
                    change.forbidden.push(format!("{path} was changed"));
                } else if rules.repository.is_some_and(|root| root.join(path).exists()) {
                    change.forbidden.push(format!("{path} was overwritten"));
                } else {
                    change.outside.push(format!("{path} was made"));
                }
                continue;
            }
            match std::str::from_utf8(content) {
                _ if path.chars().any(char::is_control) => {
                    change.forbidden.push(format!("{path:?} has a control character in its name"));
                }
                Ok(text) if !text.contains('\0') => {
                    change.patch.edits.push(edit(path, files.get(path), text, rules.editable));
                }
                _ => change.forbidden.push(format!("{path} is not text (UTF-8)")),
            }
        }
        for (path, what) in found.special {
            match before.contains_key(&path) || rules.editable.allows(&path) {
                true => change.forbidden.push(format!("{path} is {what}")),
                false => change.outside.push(format!("{path} is {what}")),
            }
        }
        let named: BTreeSet<&String> = found.files.keys().chain(&found.special_paths).collect();
        for path in before.keys().filter(|path| !named.contains(path)) {
            match files.contains_key(path) && rules.editable.allows(path) {
                true => change.patch.edits.push(FileEdit::Delete { path: path.clone() }),
                false => change.forbidden.push(format!("{path} is gone")),
            }
        }
        Ok(change)
    }
}

/// Joins the first names of a list, for a message.
pub(super) fn name_some(list: &[String]) -> String {
    let more = list.len().saturating_sub(NAMED);
    let named: Vec<&str> = list.iter().take(NAMED).map(String::as_str).collect();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    named.join(", ") + &more
}

/// Returns the edit that makes `text` of a file: a replacement where one small place changed, else the whole file.
fn edit(path: &str, before: Option<&String>, text: &str, editable: &EditablePaths) -> FileEdit {
    let whole = FileEdit::Write { path: path.to_owned(), text: text.to_owned() };
    let Some(before) = before else { return whole };
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), text.split_inclusive('\n').collect());
    let shorter = old.len().min(new.len());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(shorter - head);
    // More surroundings until the place is unique; beyond half of the file the whole file is plainer.
    for more in 0..old.len() {
        let (from, above) = (head.saturating_sub(more), head.min(more));
        let below = tail.min(more);
        let search = old[from..old.len() - tail + below].concat();
        if search.len() * 2 > before.len() {
            break;
        }
        let replace = new[head - above..new.len() - tail + below].concat();
        let patch = Patch::replace(path, search, replace);
        let files = BTreeMap::from([(path.to_owned(), before.clone())]);
        if patch.applied_to(&files, editable).is_ok_and(|after| after.get(path).is_some_and(|made| made == text)) {
            return patch.edits.into_iter().next().unwrap_or(whole);
        }
    }
    whole
}

/// Files below a folder.
#[derive(Default)]
struct Found {
    /// The contents; empty for new files outside the editable paths.
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes of all contents.
    bytes: u64,
    /// Entries that no patch can hold, each with the reason.
    special: Vec<(String, &'static str)>,
    special_paths: BTreeSet<String>,
    /// Number of new editable files.
    editable: usize,
    /// Number of new files outside the editable paths, those with a name here and those without.
    outside: usize,
    unnamed: usize,
    /// Reason why the walk was cut, with the next step.
    unreadable: Option<String>,
}

impl Found {
    /// Finds every file that the agent was given or may edit, and names a bounded number of others.
    fn walk(
        &mut self,
        folder: &Path,
        below: &str,
        before: &BTreeMap<String, Vec<u8>>,
        rules: &Rules<'_>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let path = match below {
                "" => name.to_string_lossy().into_owned(),
                below => format!("{below}/{}", name.to_string_lossy()),
            };
            let kind = entry.metadata()?;
            // Files that the agent was given are never litter.
            let inside = format!("{path}/");
            let is_given = before.contains_key(&path)
                || kind.is_dir()
                    && before.range(inside.clone()..).next().is_some_and(|(path, _)| path.starts_with(&inside));
            if !is_given && rules.litter.contains(&path, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                self.walk(&entry.path(), &path, before, rules)?;
            } else {
                self.add(&entry, path, &kind, before, rules)?;
            }
            if self.unreadable.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        entry: &fs::DirEntry,
        path: String,
        kind: &fs::Metadata,
        before: &BTreeMap<String, Vec<u8>>,
        rules: &Rules<'_>,
    ) -> io::Result<()> {
        let (is_given, is_editable) = (before.contains_key(&path), rules.editable.allows(&path));
        if !is_given && is_editable {
            self.editable += 1;
            if self.editable > FILES {
                self.unreadable = Some(format!(
                    "more than {FILES} new files among the editable ones; name files that are made, and not written, in \
                     .gitignore, or give narrower editable paths"
                ));
                return Ok(());
            }
        } else if !is_given {
            // A file of the repository is a forbidden change, however many others there are.
            self.outside += 1;
            if self.outside > FILES && !rules.repository.is_some_and(|root| root.join(&path).exists()) {
                self.unnamed += 1;
                return Ok(());
            }
        }
        if !kind.is_file() || entry.file_name().to_str().is_none() {
            self.note(path, "no plain file");
        } else if kind.len() > LARGEST {
            self.note(path, "too large");
        } else if !is_given && !is_editable {
            // Only its name counts; an agent may have fetched a whole data set.
            self.files.insert(path, Vec::new());
        } else if self.bytes + kind.len() > LARGEST_TOGETHER {
            self.unreadable = Some(format!(
                "editable files that are too large together (more than {} MiB); name files that are made, and not \
                 written, in .gitignore, or give narrower editable paths",
                LARGEST_TOGETHER >> 20
            ));
        } else {
            self.bytes += kind.len();
            self.files.insert(path, fs::read(entry.path())?);
        }
        Ok(())
    }

    fn note(&mut self, path: String, what: &'static str) {
        self.special_paths.insert(path.clone());
        self.special.push((path, what));
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
