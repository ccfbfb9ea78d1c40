//! The scratch copy that an agent works in.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{is_executable, make_usable, set_executable};

/// Beginning of the names of our own folders.
const PREFIX: &str = "agent-";
/// Largest file that is read back or copied for reading, in bytes.
pub(super) const LARGEST: u64 = 8 << 20;

/// A fresh folder for one proposal. It is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    root: tempfile::TempDir,
    before: BTreeMap<String, Vec<u8>>,
}

/// Makes `scratch`, and removes folders that an earlier process left there.
pub(super) fn clear(scratch: &Path) -> io::Result<()> {
    fs::create_dir_all(scratch)?;
    for entry in fs::read_dir(scratch)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            make_usable(&entry.path());
            // A folder that cannot be removed only takes space.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

impl Folder {
    /// Makes the folder below `scratch`, with the editable files and read-only copies of `references`. Editable files that
    /// are executable in `repository` are executable here.
    pub fn make(
        scratch: &Path,
        files: &BTreeMap<String, String>,
        references: &[(String, PathBuf)],
        repository: Option<&Path>,
    ) -> io::Result<Folder> {
        fs::create_dir_all(scratch)?;
        let scratch = fs::canonicalize(scratch)?;
        // Short, since agents put sockets below it, whose paths are limited in length.
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
            set_executable(&to, repository.is_some_and(|root| is_executable(&root.join(path))))?;
            folder.before.insert(path.clone(), text.clone().into_bytes());
        }
        Ok(folder)
    }

    /// Returns the folder that the agent works in.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Returns the agent's home.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Returns the agent's folder for temporary files. Nothing else may lie below it: Codex fails when its own home does.
    pub fn temporary(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// Returns the path of a file beside those of the agent.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Returns the content of every file that the agent was given.
    pub fn before(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.before
    }

    /// Makes every file and folder that the agent left readable again.
    pub fn unlock(&self) {
        make_usable(self.root.path());
    }

    /// Copies a file or the files of a folder, read-only and with their executable bits. Links are not followed, and `.git` is
    /// left out.
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
            set_executable(&to, is_executable(from))?;
            let mut permissions = fs::metadata(&to)?.permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&to, permissions)?;
            self.before.insert(path.to_owned(), content);
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.unlock();
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
