//! One run's part of a repository: opening it and reading from it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::conversions::Conversions;
use super::error::{GitError, OrGit};
use super::repository::{check_supported, check_tag, default_branch, discover, missing_object};
use super::tree::{FileMode, Listing, ObjectId, list};
use crate::change::EditablePaths;
use crate::revision::Revision;

/// Listings of trees that are remembered: the incumbent's, which every proposal is staged on, and those of the latest
/// candidates.
const LISTINGS: usize = 4;

/// The repository that a run works in, and the branch that it moves: `autoresearch/<tag>`, unless it is given another one.
pub struct Lineage {
    pub(super) repository: Repository,
    tag: String,
    /// The branch as a user types it.
    pub(super) branch: String,
    /// By the trees' ids: a tree never changes, so a listing never does.
    listings: RefCell<VecDeque<(Oid, Arc<Listing>)>>,
    pub(super) conversions: RefCell<Conversions>,
}

impl std::fmt::Debug for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lineage").field("path", &self.repository.path()).field("tag", &self.tag).finish()
    }
}

/// Finds the root of the working tree around `path`.
pub fn root_of(path: &Path) -> Result<PathBuf, GitError> {
    let repository = discover(path)?;
    repository.workdir().map(Path::to_owned).ok_or_else(|| GitError::bare(repository.path()))
}

/// Objects and refs must be on the disk before the journal says so.
fn fsync_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: sets one process-wide integer of libgit2; the varargs call takes exactly one int for this option.
        unsafe { libgit2_sys::git_libgit2_opts(libgit2_sys::GIT_OPT_ENABLE_FSYNC_GITDIR as _, 1 as std::ffi::c_int) };
    });
}

impl Lineage {
    /// Opens the repository that holds `path`, for the run `tag`.
    ///
    /// libgit2 is told to sync every object and ref that this process writes, since the journal relies on them.
    ///
    /// ```
    /// use autoresearch_core::internal::git::{GitError, Lineage};
    ///
    /// let folder = std::env::temp_dir();
    /// // A tag is a part of the name of a branch.
    /// assert!(matches!(Lineage::open(&folder, "two words"), Err(GitError::BadTag(_))));
    /// ```
    ///
    /// # Errors
    /// If there is no repository, it belongs to another user, it uses an unsupported feature, or the tag cannot name a branch.
    pub fn open(path: &Path, tag: &str) -> Result<Lineage, GitError> {
        check_tag(tag)?;
        fsync_everything();
        let repository = discover(path)?;
        check_supported(&repository)?;
        let branch = default_branch(tag);
        Ok(Lineage {
            repository,
            tag: tag.to_owned(),
            branch,
            listings: RefCell::default(),
            conversions: RefCell::default(),
        })
    }

    /// The name of the run.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the commit that the user has checked out.
    pub fn head(&self) -> Result<Revision, GitError> {
        let head = self
            .repository
            .head()
            .map_err(|_| GitError::no_commit(self.repository.workdir().unwrap_or(self.repository.path())))?;
        Ok(Revision(head.peel_to_commit().or_git()?.id().to_string()))
    }

    /// Returns whether git's ignore rules cover a path relative to the root of the working tree.
    #[doc(hidden)]
    pub fn is_ignored(&self, path: &str) -> Result<bool, GitError> {
        self.repository.is_path_ignored(path).or_git()
    }

    /// The folder in which git keeps objects and refs, which all working trees share.
    #[doc(hidden)]
    pub fn git_folder(&self) -> &Path {
        self.repository.commondir()
    }

    pub(super) fn repository(&self) -> &git2::Repository {
        &self.repository
    }

    /// The roots of the other working trees of the repository.
    #[doc(hidden)]
    pub fn other_working_trees(&self) -> Vec<PathBuf> {
        let names = self.repository.worktrees();
        let names = names.iter().flat_map(|names| names.iter().flatten().flatten());
        let linked = names.filter_map(|name| Some(self.repository.find_worktree(name).ok()?.path().to_owned()));
        // The main one, unless the repository is bare: git's folder lies in it.
        let main = self.repository.commondir().parent().filter(|root| root.join(".git").is_dir()).map(Path::to_owned);
        let own = self.repository.workdir().and_then(|root| root.canonicalize().ok());
        linked.chain(main).filter(|root| root.canonicalize().is_ok_and(|root| Some(root) != own)).collect()
    }

    /// Returns whether a commit is checked out without a branch.
    #[doc(hidden)]
    pub fn is_detached(&self) -> bool {
        self.repository.head_detached().unwrap_or(false)
    }

    /// Returns the commit that the run's branch is at, or `None` if there is no such branch.
    pub fn tip(&self) -> Result<Option<Revision>, GitError> {
        match self.repository.find_reference(&self.branch()) {
            Ok(reference) => Ok(Some(Revision(reference.peel_to_commit().or_git()?.id().to_string()))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error).or_git(),
        }
    }

    /// Lists all files, links and submodules of a commit by path.
    ///
    /// # Errors
    /// If a name is not UTF-8, or an object is missing.
    pub fn tree(&self, revision: &Revision) -> Result<Arc<Listing>, GitError> {
        let tree = self.commit(revision)?.tree().or_git()?;
        let mut listings = self.listings.borrow_mut();
        let known = listings.iter().position(|(id, _)| *id == tree.id()).and_then(|at| listings.remove(at));
        let listing = match known {
            Some((_, listing)) => listing,
            None => Arc::new(list(&tree)?),
        };
        // The latest in front, so that the incumbent's outlives any number of candidates.
        listings.truncate(LISTINGS - 1);
        listings.push_front((tree.id(), listing.clone()));
        Ok(listing)
    }

    /// Reads the content of a file, or the path that a link points to.
    pub fn blob(&self, id: ObjectId) -> Result<Vec<u8>, GitError> {
        match self.repository.find_blob(id.oid()?) {
            Ok(blob) => Ok(blob.content().to_owned()),
            Err(error) if error.code() == ErrorCode::NotFound => Err(missing_object(&self.repository, id)),
            Err(error) => Err(error).or_git(),
        }
    }

    /// Returns the number of bytes of a file's content, without reading it.
    pub fn size(&self, id: ObjectId) -> Result<u64, GitError> {
        let object = id.oid()?;
        match self.repository.odb().and_then(|objects| objects.read_header(object)) {
            Ok((size, _)) => Ok(size as u64),
            Err(error) if error.code() == ErrorCode::NotFound => Err(missing_object(&self.repository, id)),
            Err(error) => Err(error).or_git(),
        }
    }

    /// Reads the texts of a commit's editable files by path. Binary files, links and submodules are left out.
    pub fn editable_files(
        &self,
        revision: &Revision,
        editable: &EditablePaths,
    ) -> Result<BTreeMap<String, String>, GitError> {
        let mut texts = BTreeMap::new();
        for (path, file) in self.tree(revision)?.iter() {
            if file.is_file()
                && editable.allows(path)
                && let Ok(text) = String::from_utf8(self.blob(file.blob)?)
            {
                texts.insert(path.clone(), text);
            }
        }
        Ok(texts)
    }

    /// Computes a name for the content of a commit's files. White space at the ends of lines and of editable files does not
    /// count, so that two candidates that differ in it alone have the same name.
    pub fn fingerprint(&self, revision: &Revision, editable: &EditablePaths) -> Result<String, GitError> {
        let mut listing = String::new();
        for (path, file) in self.tree(revision)?.iter() {
            let text = match file.is_file() && editable.allows(path) {
                true => String::from_utf8(self.blob(file.blob)?).ok(),
                false => None,
            };
            let id = match text {
                Some(text) => ObjectId::of_file(normalised(&text).as_bytes())?,
                None => file.blob,
            };
            let kind = match file.mode {
                FileMode::Regular => "0",
                FileMode::Executable => "1",
                FileMode::Symlink => "link",
                FileMode::Submodule => "submodule",
            };
            listing += &format!("{id} {kind} {path}\0");
        }
        Ok(Oid::hash_object(ObjectType::Blob, listing.as_bytes()).or_git()?.to_string())
    }

    /// Counts the lines added minus the lines removed from `from` to `to`.
    pub fn added_lines(&self, from: &Revision, to: &Revision) -> Result<i64, GitError> {
        let (from, to) = (self.commit(from)?.tree().or_git()?, self.commit(to)?.tree().or_git()?);
        let stats = self.repository.diff_tree_to_tree(Some(&from), Some(&to), None).and_then(|diff| diff.stats());
        let stats = stats.or_git()?;
        Ok(stats.insertions() as i64 - stats.deletions() as i64)
    }

    pub(super) fn commit(&self, revision: &Revision) -> Result<git2::Commit<'_>, GitError> {
        Oid::from_str(&revision.0).and_then(|id| self.repository.find_commit(id)).or_git()
    }
}

fn normalised(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}
