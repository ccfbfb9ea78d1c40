//! A candidate directory: a tree exported from a commit, without `.git`, outside the user's tree, and reused from one
//! experiment to the next so that builds stay incremental.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid};

use crate::git::{Lineage, TreeFile};
use crate::sandbox::{Revision, SandboxError};

/// One directory that holds one candidate at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    root: PathBuf,
}

impl Slot {
    /// A slot at `root`, which is made when it is first filled.
    pub fn new(root: impl Into<PathBuf>) -> Slot {
        Slot { root: root.into() }
    }

    /// Where the candidate's files are.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// A folder for temporary files, beside the candidate's. It is emptied whenever the slot is filled: nothing that one run
    /// leaves there reaches the next.
    pub fn scratch(&self) -> PathBuf {
        self.beside(".tmp")
    }

    /// A folder for what a build leaves elsewhere and the run needs, beside the candidate's. It is gone when the slot is filled.
    pub fn built(&self) -> PathBuf {
        self.beside(".built")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.root.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Makes the directory hold exactly the files of `revision`.
    ///
    /// Only files whose content differs are written: build tools go by modification times. Everything else that lies
    /// there, whoever left it, is removed.
    pub fn fill(&self, lineage: &Lineage, revision: &Revision) -> Result<(), SandboxError> {
        let files = lineage.tree(revision)?;
        let folders: BTreeSet<&Path> = files.keys().flat_map(|path| Path::new(path).ancestors().skip(1)).collect();
        self.make_folder(&self.root)?;
        for left in [self.scratch(), self.built()] {
            match fs::remove_dir_all(&left) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(SandboxError::io(format!("emptying {}", left.display()), error));
                }
                _ => {}
            }
        }
        self.make_folder(&self.scratch())?;
        self.remove_strangers(&self.root, Path::new(""), &files, &folders)?;
        for folder in &folders {
            self.make_folder(&self.root.join(folder))?;
        }
        for (path, file) in files.iter() {
            let path = self.root.join(path);
            if holds(&path, file.blob) {
                set_mode(&path, file)?;
                continue;
            }
            let content = lineage.blob(file.blob)?;
            // A new file rather than new content: what lies there may be a link to something outside.
            let _ = fs::remove_file(&path);
            fs::write(&path, &content).map_err(|e| SandboxError::io(format!("writing {}", path.display()), e))?;
            set_mode(&path, file)?;
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path) -> Result<(), SandboxError> {
        fs::create_dir_all(folder).map_err(|e| SandboxError::io(format!("making {}", folder.display()), e))
    }

    fn remove_strangers(
        &self,
        folder: &Path,
        below: &Path,
        files: &BTreeMap<String, TreeFile>,
        folders: &BTreeSet<&Path>,
    ) -> Result<(), SandboxError> {
        let failed = |e| SandboxError::io(format!("cleaning {}", folder.display()), e);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, below) = (entry.path(), below.join(entry.file_name()));
            // Of the link itself, not of what it points to.
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && folders.contains(below.as_path()) {
                self.remove_strangers(&path, &below, files, folders)?;
            } else if kind.is_dir() {
                fs::remove_dir_all(&path).map_err(failed)?;
            } else if !kind.is_file() || !below.to_str().is_some_and(|path| files.contains_key(path)) {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Whether a file has the content of a blob.
///
/// It is always read: size, times and inode do not tell. A candidate may set the modification time, and on tmpfs a write
/// through a shared mapping changes not even the time of change. The blob's id does tell, so that the blob need not be read.
fn holds(path: &Path, blob: Oid) -> bool {
    fs::read(path).is_ok_and(|found| Oid::hash_object(ObjectType::Blob, &found).is_ok_and(|id| id == blob))
}

#[cfg(unix)]
fn set_mode(path: &Path, file: &TreeFile) -> Result<(), SandboxError> {
    use std::os::unix::fs::PermissionsExt;
    let wanted = if file.executable { 0o755 } else { 0o644 };
    let failed = |e| SandboxError::io(format!("setting the mode of {}", path.display()), e);
    if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777 != wanted {
        fs::set_permissions(path, fs::Permissions::from_mode(wanted)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _file: &TreeFile) -> Result<(), SandboxError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use git2::{Repository, Signature, Time};

    #[test]
    fn a_changed_file_is_found_whatever_its_times_say() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init(folder.path().join("repo")).unwrap();
        let mut tree = repository.treebuilder(None).unwrap();
        for name in ["a", "b"] {
            tree.insert(name, repository.blob(b"as committed\n").unwrap(), 0o100644).unwrap();
        }
        let tree = repository.find_tree(tree.write().unwrap()).unwrap();
        let author = Signature::new("u", "u@x", &Time::new(0, 0)).unwrap();
        let commit = repository.commit(Some("HEAD"), &author, &author, "start", &tree, &[]).unwrap();
        let lineage = Lineage::open(repository.path(), "test").unwrap();
        let slot = Slot::new(folder.path().join("slot"));
        let fill = || slot.fill(&lineage, &Revision(commit.to_string())).unwrap();
        fill();

        let modified = |name| fs::metadata(slot.path().join(name)).unwrap().modified().unwrap();
        let (a, b) = (modified("a"), modified("b"));
        // The same size, and the time put back.
        fs::write(slot.path().join("a"), "as tampered.\n").unwrap();
        fs::File::options().write(true).open(slot.path().join("a")).unwrap().set_modified(a).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fill();
        assert_eq!(fs::read(slot.path().join("a")).unwrap(), b"as committed\n");
        assert_eq!(modified("b"), b, "what did not change was not written");
    }
}
