//! All git work, on the object store and the refs alone: the user's branch, index and working tree are never touched.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use git2::{
    ErrorCode, FileMode, ObjectType, Oid, Repository, Signature, Status, StatusOptions, Time, TreeWalkMode,
    TreeWalkResult,
};
use thiserror::Error;

use crate::change::EditablePaths;
use crate::crash;
use crate::sandbox::Revision;

mod check;
mod conflict;
mod merge;

pub use conflict::Conflict;
pub use merge::Merge;
pub(crate) use merge::collides;

/// The lock of a ref is held for the time of one write: an older one was left by a process that died.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// So many listings of trees are remembered: the incumbent's, which every proposal is staged on, and those of the latest
/// candidates.
const LISTINGS: usize = 4;

/// Git refused, or the repository is not as it must be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no repository.
    #[error("{0} is not in a git repository; run `git init` there and commit the files")]
    NoRepository(PathBuf),
    /// The repository has no commit.
    #[error("the repository has no commit yet; commit the files that the search starts from")]
    NoCommit,
    /// The incumbent is not what the journal says.
    #[error(
        "the branch {branch} is at {found}, but the journal says {expected}; it was moved by somebody else: move it back, or start a run with another tag"
    )]
    Moved {
        /// The branch.
        branch: String,
        /// Where it is.
        found: String,
        /// Where it should be.
        expected: String,
    },
    /// A tree holds something else than regular files.
    #[error("{0} is a symbolic link or a submodule, which a candidate may not hold; commit the file itself")]
    NotAFile(String),
    /// A name cannot be part of a branch.
    #[error("`{0}` cannot be the name of a branch; use letters, digits, `-`, `_` and `.`")]
    BadTag(String),
    /// Anything else.
    #[error("git: {0}")]
    Git(#[from] git2::Error),
}

/// A file of a tree: its blob, and whether it is executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// The blob.
    pub blob: Oid,
    /// Mode 100755 rather than 100644.
    pub executable: bool,
}

/// The repository that a run works in, and the branch `autoresearch/<tag>` that it moves.
pub struct Lineage {
    repository: Repository,
    tag: String,
    /// By the trees' ids: a tree never changes, so a listing never does.
    listings: RefCell<VecDeque<(Oid, Arc<Listing>)>>,
}

/// The files of a tree by path.
pub type Listing = BTreeMap<String, TreeFile>;

impl std::fmt::Debug for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lineage").field("path", &self.repository.path()).field("tag", &self.tag).finish()
    }
}

fn discover(path: &Path) -> Result<Repository, GitError> {
    Repository::discover(path).map_err(|error| match error.code() {
        ErrorCode::NotFound => GitError::NoRepository(path.to_owned()),
        _ => error.into(),
    })
}

/// The root of the working tree around `path`.
pub fn root_of(path: &Path) -> Result<PathBuf, GitError> {
    let repository = discover(path)?;
    repository.workdir().map(Path::to_owned).ok_or_else(|| GitError::NoRepository(path.to_owned()))
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
    pub fn open(path: &Path, tag: &str) -> Result<Lineage, GitError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let bad = tag.is_empty()
            || !tag.chars().all(fits)
            || tag.starts_with(['.', '-'])
            || tag.ends_with('.')
            || tag.ends_with(".lock")
            || tag.contains("..");
        if bad {
            return Err(GitError::BadTag(tag.to_owned()));
        }
        fsync_everything();
        Ok(Lineage { repository: discover(path)?, tag: tag.to_owned(), listings: RefCell::default() })
    }

    /// The run's name.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The branch's full name.
    pub fn branch(&self) -> String {
        format!("refs/heads/autoresearch/{}", self.tag)
    }

    /// The commit that the user has checked out.
    pub fn head(&self) -> Result<Revision, GitError> {
        let head = self.repository.head().map_err(|_| GitError::NoCommit)?;
        Ok(Revision(head.peel_to_commit()?.id().to_string()))
    }

    /// Tracked files that differ from the checked-out commit.
    pub fn uncommitted(&self) -> Result<Vec<String>, GitError> {
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).exclude_submodules(true);
        let statuses = self.repository.statuses(Some(&mut options))?;
        let changed = statuses.iter().filter(|entry| entry.status() != Status::CURRENT);
        Ok(changed.filter_map(|entry| entry.path().map(str::to_owned).ok()).collect())
    }

    /// Where the branch is, if it exists.
    pub fn tip(&self) -> Result<Option<Revision>, GitError> {
        match self.repository.find_reference(&self.branch()) {
            Ok(reference) => Ok(Some(Revision(reference.peel_to_commit()?.id().to_string()))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All files of a commit by path. Anything but regular files is an error.
    pub fn tree(&self, revision: &Revision) -> Result<Arc<Listing>, GitError> {
        let tree = self.commit(revision)?.tree()?;
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

    /// The bytes of a blob.
    pub fn blob(&self, id: Oid) -> Result<Vec<u8>, GitError> {
        Ok(self.repository.find_blob(id)?.content().to_owned())
    }

    /// A name for what the files of a commit say: white space at the ends of lines and of the files that may be edited does
    /// not count.
    pub fn fingerprint(&self, revision: &Revision, editable: &EditablePaths) -> Result<String, GitError> {
        let mut listing = String::new();
        for (path, file) in self.tree(revision)?.iter() {
            let text = match editable.allows(path) {
                true => String::from_utf8(self.blob(file.blob)?).ok(),
                false => None,
            };
            let id = match text {
                Some(text) => Oid::hash_object(ObjectType::Blob, normalised(&text).as_bytes())?,
                None => file.blob,
            };
            listing += &format!("{id} {} {path}\0", u8::from(file.executable));
        }
        Ok(Oid::hash_object(ObjectType::Blob, listing.as_bytes())?.to_string())
    }

    /// Writes a commit on `parent` whose tree differs by `changed`. No ref is moved.
    pub fn commit_changes(
        &self,
        parent: &Revision,
        changed: &BTreeMap<String, Option<String>>,
        message: &str,
    ) -> Result<Revision, GitError> {
        let parent = self.commit(parent)?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, text) in changed {
            let Some(text) = text else {
                update.remove(path.as_str());
                continue;
            };
            let executable = parent.tree()?.get_path(Path::new(path)).is_ok_and(|entry| entry.filemode() == 0o100755);
            let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
            update.upsert(path.as_str(), self.repository.blob(text.as_bytes())?, mode);
        }
        let tree = update.create_updated(&self.repository, &parent.tree()?)?;
        self.write_commit(tree, &parent, message)
    }

    /// Writes a commit on `parent` with the tree of `candidate` and another message. No ref is moved.
    pub fn reword(&self, candidate: &Revision, message: &str) -> Result<Revision, GitError> {
        let candidate = self.commit(candidate)?;
        let parent = candidate.parent(0)?;
        self.write_commit(candidate.tree_id(), &parent, message)
    }

    /// Writes a commit on `onto` with the tree of `candidate`, whatever lies between them. No ref is moved.
    pub fn squash(&self, candidate: &Revision, onto: &Revision, message: &str) -> Result<Revision, GitError> {
        self.write_commit(self.commit(candidate)?.tree_id(), &self.commit(onto)?, message)
    }

    fn write_commit(&self, tree: Oid, parent: &git2::Commit<'_>, message: &str) -> Result<Revision, GitError> {
        // The standard variable of reproducible builds: with it the same search makes the same commits, to the last bit.
        let fixed = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
        let now = Time::new(fixed.unwrap_or_else(|| jiff::Timestamp::now().as_second()), 0);
        // Not the user's name: the harness made this, and it must not depend on anybody's configuration.
        let author = Signature::new("autoresearch", "autoresearch@localhost", &now)?;
        let tree = self.repository.find_tree(tree)?;
        crash::point("git: before a commit");
        let commit = self.repository.commit(None, &author, &author, message, &tree, &[parent])?;
        crash::point("git: after a commit");
        Ok(Revision(commit.to_string()))
    }

    /// The full name of the ref that keeps an experiment's commit reachable.
    pub fn pin_of(&self, experiment: u32) -> String {
        format!("{}{experiment}", self.pins())
    }

    /// What the names of all such refs begin with.
    pub fn pins(&self) -> String {
        format!("refs/autoresearch/{}/exp/", self.tag)
    }

    /// The full name of the ref that keeps the commit of an experiment's rebase reachable: its first, its second, and so on.
    pub fn pin_of_rebase(&self, experiment: u32, times: u32) -> String {
        format!("{}.{times}", self.pin_of(experiment))
    }

    /// Keeps the commit of an experiment's first candidate reachable, whatever becomes of it.
    pub fn pin(&self, experiment: u32, revision: &Revision) -> Result<(), GitError> {
        self.pin_as(self.pin_of(experiment), revision)
    }

    /// The same for what its rebase number `times`, from 1, came to.
    pub fn pin_rebase(&self, experiment: u32, times: u32, revision: &Revision) -> Result<(), GitError> {
        self.pin_as(self.pin_of_rebase(experiment, times), revision)
    }

    fn pin_as(&self, name: String, revision: &Revision) -> Result<(), GitError> {
        let id = self.commit(revision)?.id();
        match self.repository.find_reference(&name) {
            // Left by an attempt that never reached the journal: it was never acknowledged.
            Ok(reference) if reference.target() != Some(id) => {
                self.write_ref(&name, || self.repository.reference(&name, id, true, "autoresearch: staged again"))?;
            }
            Ok(_) => {}
            Err(_) => {
                self.write_ref(&name, || self.repository.reference(&name, id, false, "autoresearch: staged"))?;
            }
        }
        crash::point("git: candidate pinned");
        Ok(())
    }

    /// Moves the branch by compare-and-swap. `from` is `None` when the branch must not exist yet.
    pub fn advance(&self, from: Option<&Revision>, to: &Revision) -> Result<(), GitError> {
        let found = self.tip()?;
        if found.as_ref() == Some(to) {
            return Ok(());
        }
        let moved = |found: Option<Revision>| GitError::Moved {
            branch: format!("autoresearch/{}", self.tag),
            found: found.map_or("nowhere".into(), |r| r.to_string()),
            expected: from.map_or("nowhere".into(), |r| r.to_string()),
        };
        if found.as_ref() != from {
            return Err(moved(found));
        }
        let id = self.commit(to)?.id();
        let from = from.map(|from| self.commit(from)).transpose()?.map(|commit| commit.id());
        let (name, log) = (self.branch(), "autoresearch: keep");
        crash::point("git: before the branch moves");
        let swapped = self.write_ref(&name, || match from {
            None => self.repository.reference(&name, id, false, log),
            Some(from) => self.repository.reference_matching(&name, id, true, from, log),
        });
        crash::point("git: after the branch moved");
        match swapped {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Exists) => Err(moved(self.tip()?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the ref `name`, past a lock that somebody else holds for a moment or has left for good.
    ///
    /// A process that is killed in the middle of a write leaves the lock of the ref, and every later write would fail on
    /// it. The journal lets one harness at a time write these refs, so an old lock is nobody's and is removed.
    fn write_ref<T>(&self, name: &str, write: impl Fn() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
        let began = Instant::now();
        let mut removed = false;
        loop {
            let error = match write() {
                Err(error) if error.code() == ErrorCode::Locked && !removed => error,
                result => return result,
            };
            let lock = self.repository.commondir().join(format!("{name}.lock"));
            // By the file's age, so that harnesses which keep dying do not begin to wait again and again.
            let made = std::fs::metadata(&lock).and_then(|lock| lock.modified()).ok();
            let age = made.and_then(|made| made.elapsed().ok()).unwrap_or_default();
            if age.max(began.elapsed()) < LOCK_PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            removed = true;
            match std::fs::remove_file(&lock) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }

    /// Lines added minus lines removed from `from` to `to`.
    pub fn added_lines(&self, from: &Revision, to: &Revision) -> Result<i64, GitError> {
        let diff = self.repository.diff_tree_to_tree(
            Some(&self.commit(from)?.tree()?),
            Some(&self.commit(to)?.tree()?),
            None,
        )?;
        let stats = diff.stats()?;
        Ok(stats.insertions() as i64 - stats.deletions() as i64)
    }

    fn commit(&self, revision: &Revision) -> Result<git2::Commit<'_>, GitError> {
        Ok(self.repository.find_commit(Oid::from_str(&revision.0)?)?)
    }
}

fn list(tree: &git2::Tree<'_>) -> Result<Listing, GitError> {
    let mut files = Listing::new();
    let mut odd = None;
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        // A name that is not UTF-8 would be written under another name: refused like the other oddities.
        let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
        match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => return TreeWalkResult::Ok,
            (Some(ObjectType::Blob), mode @ (0o100644 | 0o100755 | 0o100664)) if entry.name().is_ok() => {
                files.insert(path, TreeFile { blob: entry.id(), executable: mode == 0o100755 });
                return TreeWalkResult::Ok;
            }
            _ => odd = Some(path),
        }
        TreeWalkResult::Abort
    })
    .or_else(|error| if odd.is_some() { Ok(()) } else { Err(error) })?;
    match odd {
        Some(path) => Err(GitError::NotAFile(path)),
        None => Ok(files),
    }
}

fn normalised(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}
