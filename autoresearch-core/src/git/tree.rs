//! The files of a commit.

use std::collections::BTreeMap;
use std::fmt;

use git2::{ObjectType, Oid, TreeWalkMode, TreeWalkResult};

use super::error::{GitError, OrGit};

/// Identifies an object of a repository by the hash of its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 20]);

impl ObjectId {
    /// Computes the identifier that a file with this content has.
    pub fn of_file(content: &[u8]) -> Result<ObjectId, GitError> {
        Ok(Oid::hash_object(ObjectType::Blob, content).or_git()?.into_ours())
    }

    pub(super) fn oid(self) -> Result<Oid, GitError> {
        Oid::from_bytes(&self.0).or_git()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// Converts the library's identifier into ours.
pub(super) trait IntoOurs {
    /// The same identifier.
    fn into_ours(self) -> ObjectId;
}

impl IntoOurs for Oid {
    fn into_ours(self) -> ObjectId {
        let mut bytes = [0; 20];
        // Repositories with longer hashes are refused when they are opened.
        for (to, from) in bytes.iter_mut().zip(self.as_bytes()) {
            *to = *from;
        }
        ObjectId(bytes)
    }
}

/// The kind of an entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// A file.
    Regular,
    /// A file that may be executed.
    Executable,
    /// A symbolic link; its blob is the path that it points to.
    Symlink,
    /// A commit of another repository. Its files are not part of a candidate.
    Submodule,
}

/// An entry of a tree: its content and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile {
    /// The content; for a submodule its commit.
    pub blob: ObjectId,
    /// The kind.
    pub mode: FileMode,
}

impl TreeFile {
    /// Tells whether this is a file with content of its own, rather than a link or a submodule.
    pub fn is_file(&self) -> bool {
        matches!(self.mode, FileMode::Regular | FileMode::Executable)
    }
}

/// The entries of a tree by path.
pub type Listing = BTreeMap<String, TreeFile>;

/// Lists all entries of a tree, those of its folders included.
pub(super) fn list(tree: &git2::Tree<'_>) -> Result<Listing, GitError> {
    let mut files = Listing::new();
    let mut odd = None;
    let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
        // A name that is not UTF-8 would be written under another name.
        if entry.name().is_err() {
            odd = Some(GitError::name_not_utf8(path));
            return TreeWalkResult::Abort;
        }
        let mode = match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => return TreeWalkResult::Ok,
            (Some(ObjectType::Commit), _) => FileMode::Submodule,
            (_, 0o120000) => FileMode::Symlink,
            (_, 0o100755) => FileMode::Executable,
            _ => FileMode::Regular,
        };
        files.insert(path, TreeFile { blob: entry.id().into_ours(), mode });
        TreeWalkResult::Ok
    });
    match odd {
        Some(odd) => Err(odd),
        None => walked.or_git().map(|()| files),
    }
}

/// Finds the entry of a listing that stands where `path` needs a folder, or below `path` where that is to be a file.
pub fn collision<'a>(listing: &'a Listing, path: &str) -> Option<&'a str> {
    let above = path.match_indices('/').find_map(|(end, _)| listing.get_key_value(path.get(..end)?));
    let folder = format!("{path}/");
    let below = || listing.range(folder.clone()..).next().filter(|(other, _)| other.starts_with(&folder));
    above.or_else(below).map(|(other, _)| other.as_str())
}
