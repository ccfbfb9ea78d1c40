//! A candidate's folder: a tree without `.git`, outside the user's working tree, and reused from one trial to the next so that
//! builds stay incremental.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::tree::{Tree, set_mode, write_file};
use super::remove::{abandon, beside, make_usable, remove_abandoned, remove_folder};
use super::replaced::Replaced;
use crate::git::{FileMode, Listing, ObjectId};
use crate::sandbox::SandboxError;

/// Bytes of a file that can be read at any time, and that fill no disk.
const SMALL: u64 = 1 << 20;

/// One folder that holds one candidate at a time, with a folder for temporary files and one for builds beside it.
///
/// ```
/// use autoresearch_core::{LocalExecutor, Slot};
/// let slots = ["slots/0", "slots/1"].map(Slot::new);
/// let executor = LocalExecutor::new(slots, "logs");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    root: PathBuf,
}

impl<P: Into<PathBuf>> From<P> for Slot {
    fn from(root: P) -> Slot {
        Slot { root: root.into() }
    }
}

impl Slot {
    /// A slot at `root`, which is made when it is first filled.
    pub fn new(root: impl Into<PathBuf>) -> Slot {
        Slot { root: root.into() }
    }

    /// The folder of the candidate's files.
    #[doc(hidden)]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The folder for temporary files, beside the candidate's. It is emptied before and after each trial, so that nothing
    /// which one trial leaves there reaches the next.
    #[doc(hidden)]
    pub fn scratch(&self) -> PathBuf {
        beside(&self.root, ".tmp")
    }

    /// The folder that takes the place of the user's home, beside the candidate's. It is removed before and after each trial.
    #[doc(hidden)]
    pub fn home(&self) -> PathBuf {
        beside(&self.root, ".home")
    }

    /// The folder for files that a build leaves elsewhere and the run needs, beside the candidate's. It is removed before and
    /// after each trial.
    #[doc(hidden)]
    pub fn built(&self) -> PathBuf {
        beside(&self.root, ".built")
    }

    /// The folder for the changes that the commands of a candidate make to pristine folders, beside the candidate's. It is removed
    /// before and after each trial.
    pub(super) fn layers(&self) -> PathBuf {
        beside(&self.root, ".layers")
    }

    /// The folder for what a build or a run put in the place of committed files, while guards run. It is removed before and after
    /// each trial.
    fn replaced(&self) -> PathBuf {
        beside(&self.root, ".replaced")
    }

    /// The mark beside the candidate's folder of the moment at which it was filled.
    fn filled(&self) -> PathBuf {
        beside(&self.root, ".filled")
    }

    /// The folders beside the candidate's that are removed before and after each trial.
    fn beside(&self) -> [PathBuf; 5] {
        [self.scratch(), self.home(), self.built(), self.layers(), self.replaced()]
    }

    /// The slot beside this one in which what a run left is evaluated.
    #[doc(hidden)]
    pub fn evaluator(&self) -> Slot {
        Slot { root: beside(&self.root, ".evaluator") }
    }

    /// Makes the folder hold exactly the files of `tree`.
    ///
    /// Only files whose content differs are written: build tools go by modification times. Everything else in the folder is
    /// removed, whoever left it. A folder that cannot be emptied is moved aside, and a fresh one takes its place.
    #[doc(hidden)]
    pub fn fill(&self, tree: &Tree) -> Result<(), SandboxError> {
        let files = tree.listing()?;
        match self.try_fill(tree, &files) {
            // Not the disk's fault, nor that of the tree: something of an earlier candidate is in the way.
            Err(SandboxError::Io { .. }) => {
                for folder in self.beside().iter().chain([&self.root]) {
                    abandon(folder).map_err(|e| SandboxError::io(format!("moving {} aside", folder.display()), e))?;
                }
                self.try_fill(tree, &files)
            }
            filled => filled,
        }
    }

    /// Removes what a trial left beside the files of its tree, so that it fills no disk. What cannot be removed now is in the
    /// way of the next trial, which deals with it.
    #[doc(hidden)]
    pub fn empty(&self, tree: &Tree) {
        for folder in self.beside() {
            let _ = remove_folder(&folder);
        }
        if is_folder(&self.root)
            && let Ok(files) = tree.listing()
        {
            let _ = self.remove_strangers(&files, &folders(&files));
            // A file of the tree may have grown until the disk was full.
            for (path, file) in files.iter().filter(|(_, file)| file.is_file()) {
                let place = self.root.join(path);
                if matches!(may_hold(&place, tree, file.blob), Ok(false)) {
                    let _ = fs::remove_file(&place);
                }
            }
        }
    }

    /// Removes the folders that were moved aside, as far as that succeeds by now.
    pub(super) fn remove_abandoned(&self) {
        self.beside().iter().chain([&self.root]).for_each(|folder| remove_abandoned(folder));
    }

    fn try_fill(&self, tree: &Tree, files: &Listing) -> Result<(), SandboxError> {
        let folders = folders(files);
        // A candidate may have put a link to a folder of the user in its place: that one is not ours to empty.
        put_folder(&self.root, None)?;
        for left in self.beside() {
            remove_folder(&left).map_err(|e| SandboxError::io(format!("emptying {}", left.display()), e))?;
        }
        make_folder(&self.scratch())?;
        self.remove_strangers(files, &folders)?;
        self.put_files(tree, files, None)?;
        tree.put_repository(&self.root)?;
        let mark = self.filled();
        remove_folder(&mark)
            .and_then(|()| fs::write(&mark, ""))
            .map_err(|e| SandboxError::io(format!("writing {}", mark.display()), e))
    }

    /// Puts the files of `tree` back into a folder that it was filled with. Files that do not differ are not written, and what is not
    /// of the tree stays. Whatever lies in the place of a file or a folder is moved aside, and can be put back.
    pub(super) fn restore(&self, tree: &Tree) -> Result<Replaced, SandboxError> {
        let mut replaced = Replaced::new(self.replaced());
        put_folder(&self.root, Some(&mut replaced))?;
        self.put_files(tree, &*tree.listing()?, Some(&mut replaced))?;
        Ok(replaced)
    }

    /// Makes the folders of a tree, and writes the files that differ. What lies in their place is removed, or moved aside.
    fn put_files(&self, tree: &Tree, files: &Listing, mut replaced: Option<&mut Replaced>) -> Result<(), SandboxError> {
        for folder in folders(files).iter().filter(|folder| !folder.as_os_str().is_empty()) {
            put_folder(&self.root.join(folder), replaced.as_deref_mut())?;
        }
        let filled = fs::symlink_metadata(self.filled()).ok();
        for (path, file) in files.iter().filter(|(_, file)| file.mode != FileMode::Submodule) {
            let place = self.root.join(path);
            let failed = |e| SandboxError::io(format!("writing {}", place.display()), e);
            let is_ours = replaced.is_some() || is_untouched(&place, filled.as_ref());
            if is_ours && file.is_file() && may_hold(&place, tree, file.blob)? && holds(&place, file.blob) {
                // A mode that a build set is no other content, and cannot be put back.
                if replaced.is_none() {
                    set_mode(&place, file.mode == FileMode::Executable).map_err(failed)?;
                }
                continue;
            }
            let content = tree.read(file.blob)?;
            if file.mode == FileMode::Symlink && leads_to(&place, &content) {
                continue;
            }
            // A new file rather than new content: what lies there may be a link to something outside.
            clear(&place, replaced.as_deref_mut()).map_err(failed)?;
            write_file(&place, path, file.mode, &content).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes everything that is not of the tree.
    fn remove_strangers(&self, files: &Listing, folders: &BTreeSet<&Path>) -> Result<(), SandboxError> {
        let mut left = vec![PathBuf::new()];
        while let Some(folder) = left.pop() {
            let place = self.root.join(&folder);
            let failed = |e| SandboxError::io(format!("cleaning {}", place.display()), e);
            make_usable(&place);
            for entry in fs::read_dir(&place).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let (path, below) = (entry.path(), folder.join(entry.file_name()));
                // Of the link itself, not of what it points to.
                let kind = entry.file_type().map_err(failed)?;
                let mode = below.to_str().and_then(|path| files.get(path)).map(|file| file.mode);
                let belongs = match mode {
                    Some(FileMode::Symlink) => kind.is_symlink(),
                    Some(FileMode::Regular | FileMode::Executable) => kind.is_file(),
                    Some(FileMode::Submodule) | None => false,
                };
                match kind.is_dir() {
                    true if folders.contains(below.as_path()) => left.push(below),
                    true => remove_folder(&path).map_err(failed)?,
                    false if belongs => {}
                    false => fs::remove_file(&path).map_err(failed)?,
                }
            }
        }
        Ok(())
    }
}

/// The folders of a tree, relative to its root. A submodule is an empty one.
fn folders(files: &Listing) -> BTreeSet<&Path> {
    let above = files.keys().flat_map(|path| Path::new(path).ancestors().skip(1));
    let submodules = files.iter().filter(|(_, file)| file.mode == FileMode::Submodule).map(|(path, _)| Path::new(path));
    above.chain(submodules).collect()
}

/// Tells whether a folder is at this path, and no link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Makes a folder, and no link to one, at this path. What lies in its place is removed, or moved aside.
fn put_folder(place: &Path, replaced: Option<&mut Replaced>) -> Result<(), SandboxError> {
    if !is_folder(place) {
        clear(place, replaced).map_err(|e| SandboxError::io(format!("removing {}", place.display()), e))?;
    }
    make_usable(place);
    make_folder(place)
}

/// Removes what lies at a path, or moves it aside.
fn clear(place: &Path, replaced: Option<&mut Replaced>) -> std::io::Result<()> {
    match replaced {
        Some(replaced) => replaced.take(place),
        None => remove_folder(place),
    }
}

fn make_folder(folder: &Path) -> Result<(), SandboxError> {
    fs::create_dir_all(folder).map_err(|e| SandboxError::io(format!("making {}", folder.display()), e))
}

/// Tells by its size whether a file may have the content of a blob: one that a candidate made of holes may be larger than memory.
/// Small files are not asked for their size, which costs a look at the blob.
fn may_hold(place: &Path, tree: &Tree, blob: ObjectId) -> Result<bool, SandboxError> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_file() && found.len() > SMALL => Ok(found.len() == tree.size(blob)?),
        Ok(found) => Ok(found.is_file()),
        Err(_) => Ok(false),
    }
}

/// Tells whether a file is as it was when the slot was filled. Its time of change tells, which nobody can set: with another time of
/// modification a build tool would take it for older than what it made of another file.
#[cfg(unix)]
fn is_untouched(place: &Path, filled: Option<&fs::Metadata>) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some(filled) = filled else { return false };
    let changed = fs::symlink_metadata(place).map(|found| (found.ctime(), found.ctime_nsec()));
    changed.is_ok_and(|changed| changed <= (filled.mtime(), filled.mtime_nsec()))
}

#[cfg(not(unix))]
fn is_untouched(_place: &Path, _filled: Option<&fs::Metadata>) -> bool {
    true
}

/// Tells whether a file has the content of a blob.
///
/// It is always read: size, times and inode do not tell. A candidate may set the modification time, and on tmpfs a write
/// through a shared mapping changes not even the time of change. The blob's id does tell, so that the blob need not be read.
pub(super) fn holds(place: &Path, blob: ObjectId) -> bool {
    fs::read(place).is_ok_and(|found| ObjectId::of_file(&found).is_ok_and(|id| id == blob))
}

fn leads_to(place: &Path, target: &[u8]) -> bool {
    fs::read_link(place).is_ok_and(|found| found.as_os_str().as_encoded_bytes() == target)
}

#[cfg(test)]
mod tests;
