//! Trees of candidates: from a repository, from memory, and into a folder.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::executor::Tree;
use crate::git::{FileMode, GitError, Lineage, Listing, ObjectId, TreeFile, stays_inside};
use crate::revision::Revision;
use crate::sandbox::SandboxError;

/// The files of a commit.
#[derive(Debug)]
pub(crate) struct CommitTree {
    lineage: Arc<Mutex<Lineage>>,
    revision: Revision,
}

impl CommitTree {
    pub(crate) fn new(lineage: Arc<Mutex<Lineage>>, revision: Revision) -> CommitTree {
        CommitTree { lineage, revision }
    }

    fn read_with<T>(&self, work: impl FnOnce(&Lineage) -> Result<T, GitError>) -> Result<T, SandboxError> {
        // A panic in a git call does not damage the repository.
        Ok(work(&self.lineage.lock().unwrap_or_else(PoisonError::into_inner))?)
    }
}

impl Tree for CommitTree {
    fn revision(&self) -> &Revision {
        &self.revision
    }

    fn listing(&self) -> Result<Arc<Listing>, SandboxError> {
        self.read_with(|git| git.tree(&self.revision))
    }

    fn read(&self, content: ObjectId) -> Result<Vec<u8>, SandboxError> {
        self.read_with(|git| git.blob(content))
    }
}

/// Files in memory, for tests of executors and for sandboxes that make their files themselves.
///
/// ```
/// use autoresearch_core::{MemoryTree, Tree};
/// let tree = MemoryTree::new([("src/a", "one\n"), ("b", "two\n")])?;
/// assert_eq!(tree.listing()?.len(), 2);
/// # Ok::<(), autoresearch_core::SandboxError>(())
/// ```
#[derive(Debug)]
pub struct MemoryTree {
    revision: Revision,
    listing: Arc<Listing>,
    contents: HashMap<ObjectId, Vec<u8>>,
}

impl MemoryTree {
    /// A tree of regular files, by path and content.
    pub fn new<P: Into<String>, T: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, T)>,
    ) -> Result<MemoryTree, SandboxError> {
        MemoryTree::with_modes(
            files.into_iter().map(|(path, content)| (path.into(), FileMode::Regular, content.into())),
        )
    }

    /// A tree of files of any kind, by path, kind and content.
    #[doc(hidden)]
    pub fn with_modes(
        files: impl IntoIterator<Item = (String, FileMode, Vec<u8>)>,
    ) -> Result<MemoryTree, SandboxError> {
        let (mut listing, mut contents) = (Listing::new(), HashMap::new());
        for (path, mode, content) in files {
            let blob = ObjectId::of_file(&content)?;
            contents.insert(blob, content);
            listing.insert(path, TreeFile { blob, mode });
        }
        let described: Vec<String> =
            listing.iter().map(|(path, file)| format!("{} {:?} {path}", file.blob, file.mode)).collect();
        let revision = Revision(ObjectId::of_file(described.join("\0").as_bytes())?.to_string());
        Ok(MemoryTree { revision, listing: Arc::new(listing), contents })
    }
}

impl Tree for MemoryTree {
    fn revision(&self) -> &Revision {
        &self.revision
    }

    fn listing(&self) -> Result<Arc<Listing>, SandboxError> {
        Ok(self.listing.clone())
    }

    fn read(&self, content: ObjectId) -> Result<Vec<u8>, SandboxError> {
        let found = self.contents.get(&content).cloned();
        found.ok_or_else(|| SandboxError::Other(format!("the tree has no object {content}")))
    }
}

/// Writes all files of a tree into the empty folder `to`, for executors that ship a candidate elsewhere.
///
/// Submodules become empty folders; links that lead outside the tree are left out.
pub fn export(tree: &dyn Tree, to: &Path) -> Result<(), SandboxError> {
    let failed = |place: &Path, e| SandboxError::io(format!("writing {}", place.display()), e);
    fs::create_dir_all(to).map_err(|e| failed(to, e))?;
    for (path, file) in tree.listing()?.iter() {
        let place = to.join(path);
        if file.mode == FileMode::Submodule {
            fs::create_dir_all(&place).map_err(|e| failed(&place, e))?;
            continue;
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        }
        write_file(&place, path, file.mode, &tree.read(file.blob)?).map_err(|e| failed(&place, e))?;
    }
    Ok(())
}

/// Writes a file or a link at `place`, where nothing may be; `path` is its path in the tree. A link that leads outside the tree
/// is left out.
pub(super) fn write_file(place: &Path, path: &str, mode: FileMode, content: &[u8]) -> io::Result<()> {
    match mode {
        FileMode::Symlink if !stays_inside(path, content) => Ok(()),
        FileMode::Symlink => make_link(place, content),
        _ => {
            fs::write(place, content)?;
            set_mode(place, mode == FileMode::Executable)
        }
    }
}

#[cfg(unix)]
fn make_link(place: &Path, target: &[u8]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), place)
}

/// A file with the target as its text, as git does where there are no links.
#[cfg(not(unix))]
fn make_link(place: &Path, target: &[u8]) -> io::Result<()> {
    fs::write(place, target)
}

/// Sets a file's permissions, unless it has them already.
#[cfg(unix)]
pub(super) fn set_mode(place: &Path, executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let wanted = if executable { 0o755 } else { 0o644 };
    if fs::metadata(place)?.permissions().mode() & 0o777 != wanted {
        fs::set_permissions(place, fs::Permissions::from_mode(wanted))?;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn set_mode(_place: &Path, _executable: bool) -> io::Result<()> {
    Ok(())
}
