//! The scratch copy that an agent works in, and what it changed there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use autoresearch_core::{EditablePaths, FileEdit, Patch};

/// Folders of our own begin like that.
const PREFIX: &str = "agent-";
/// The largest text file that is taken over, and the largest copy for reading.
const LARGEST: u64 = 8 << 20;
/// So many files are looked at; an agent that made more has not kept to the task.
const FILES: usize = 10_000;
/// So many are named in a message.
const NAMED: usize = 8;

/// A fresh folder for one proposal. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    root: tempfile::TempDir,
    before: BTreeMap<String, Vec<u8>>,
}

/// What became of the files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing changed.
    Nothing,
    /// Only what may be changed did.
    Edits(Patch),
    /// Something else changed; the list of it, for the agent.
    Strays(String),
}

/// Makes `scratch`, and removes what earlier proposals left there, of a harness that died.
pub(super) fn clear(scratch: &Path) -> io::Result<()> {
    fs::create_dir_all(scratch)?;
    for entry in fs::read_dir(scratch)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // What cannot be removed is only in the way of the disk.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

impl Folder {
    /// Makes the folder below `scratch`, with the editable files and read-only copies of `references`.
    pub(super) fn make(
        scratch: &Path,
        files: &BTreeMap<String, String>,
        references: &[(String, PathBuf)],
    ) -> io::Result<Folder> {
        fs::create_dir_all(scratch)?;
        let scratch = fs::canonicalize(scratch)?;
        // Short, since agents put sockets below it, whose paths may not be long.
        let root = tempfile::Builder::new().prefix(PREFIX).rand_bytes(4).tempdir_in(scratch)?;
        let mut folder = Folder { root, before: BTreeMap::new() };
        for part in [folder.work(), folder.home(), folder.temporary()] {
            fs::create_dir_all(part)?;
        }
        for (path, from) in references {
            folder.copy(path, from)?;
        }
        for (path, text) in files {
            let to = folder.work().join(path);
            make_parent(&to)?;
            // It may be there as a reference, which is read-only.
            let _ = fs::remove_file(&to);
            fs::write(&to, text)?;
            folder.before.insert(path.clone(), text.clone().into_bytes());
        }
        Ok(folder)
    }

    /// Where the agent works.
    pub(super) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Its home.
    pub(super) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Its folder for temporary files. Nothing else may lie below it: Codex cannot work when its own home does.
    pub(super) fn temporary(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// A file beside those of the agent.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Copies a file or the files of a folder, read-only. Links are not followed, hidden ones of git not taken.
    fn copy(&mut self, path: &str, from: &Path) -> io::Result<()> {
        let kind = fs::symlink_metadata(from).map_err(|e| naming(from, &e))?;
        if kind.is_dir() {
            for entry in fs::read_dir(from).map_err(|e| naming(from, &e))? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name != ".git" {
                    self.copy(&format!("{path}/{name}"), &from.join(&name))?;
                }
            }
        } else if kind.is_file() && kind.len() <= LARGEST {
            let content = fs::read(from).map_err(|e| naming(from, &e))?;
            let to = self.work().join(path);
            make_parent(&to)?;
            fs::write(&to, &content)?;
            // A script among the references stays one.
            let mut permissions = kind.permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&to, permissions)?;
            self.before.insert(path.to_owned(), content);
        }
        Ok(())
    }

    /// What the agent changed.
    pub(super) fn change(&self, files: &BTreeMap<String, String>, editable: &EditablePaths) -> io::Result<Change> {
        let mut after = BTreeMap::new();
        let mut strays = Vec::new();
        walk(&self.work(), "", &mut after, &mut strays)?;
        let mut edits = Vec::new();
        for (path, content) in &after {
            if self.before.get(path) == Some(content) {
                continue;
            }
            let what = if self.before.contains_key(path) { "changed" } else { "made" };
            if !editable.allows(path) {
                strays.push(format!("{path} was {what}"));
                continue;
            }
            match std::str::from_utf8(content) {
                Ok(text) if !text.contains('\0') => edits.push(edit(path, files.get(path), text, editable)),
                _ => strays.push(format!("{path} is no text any more")),
            }
        }
        // A patch can empty a file and not remove it.
        strays
            .extend(self.before.keys().filter(|path| !after.contains_key(*path)).map(|path| format!("{path} is gone")));
        if !strays.is_empty() {
            let more = strays.len().saturating_sub(NAMED);
            strays.truncate(NAMED);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            return Ok(Change::Strays(strays.join(", ") + &more));
        }
        Ok(if edits.is_empty() { Change::Nothing } else { Change::Edits(Patch { edits }) })
    }
}

/// The edit that makes `text` of a file: a replacement where one small place changed, else the whole file.
fn edit(path: &str, before: Option<&String>, text: &str, editable: &EditablePaths) -> FileEdit {
    let whole = FileEdit::Write { path: path.to_owned(), text: text.to_owned() };
    let Some(before) = before else { return whole };
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), text.split_inclusive('\n').collect());
    let shorter = old.len().min(new.len());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(shorter - head);
    // More surroundings until the place is unique; beyond half of the file the whole file says it more plainly.
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
        if patch.apply(&files, editable).is_ok_and(|changed| changed.get(path).is_some_and(|done| done == text)) {
            return patch.edits.into_iter().next().unwrap_or(whole);
        }
    }
    whole
}

/// Reads all files below `folder`; what is neither a file nor a folder is a stray.
fn walk(folder: &Path, below: &str, found: &mut BTreeMap<String, Vec<u8>>, strays: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = if below.is_empty() {
            name.to_string_lossy().into_owned()
        } else {
            format!("{below}/{}", name.to_string_lossy())
        };
        let kind = entry.metadata()?;
        if found.len() + strays.len() > FILES {
            strays.push(format!("there are more than {FILES} files"));
            return Ok(());
        }
        if kind.is_dir() {
            walk(&entry.path(), &path, found, strays)?;
        } else if !kind.is_file() || name.to_str().is_none() {
            strays.push(format!("{path} is no plain file"));
        } else if kind.len() > LARGEST {
            strays.push(format!("{path} is too large"));
        } else {
            found.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
