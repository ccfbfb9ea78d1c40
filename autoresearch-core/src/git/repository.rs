//! Opening a repository: the features that are supported, and clear messages for the others.

use std::path::Path;
use std::sync::Mutex;

use git2::{ErrorCode, Repository};

use super::error::{GitError, OrGit};
use super::program::untrusted;
use super::tree::ObjectId;

/// The first part of the names of the pins, and of the branch of a run that is given no other.
pub(super) const PREFIX: &str = "autoresearch";

/// Names of the features that a repository may need and that are not supported, as `git config` spells them.
const EXTENSIONS: [(&str, &str, &str); 3] = [
    (
        "extensions.objectformat",
        "sha1",
        "make a clone with the default format: `git init --object-format=sha1`, then copy the files and commit them",
    ),
    ("extensions.refstorage", "files", "convert it with `git refs migrate --ref-format=files`"),
    ("extensions.compatobjectformat", "", "make a clone with one object format, sha1"),
];
/// The remedy for objects that a partial clone has not fetched.
const REFETCH: &str = "fetch all objects with `git fetch --refetch --no-filter`, or make a full clone";

/// The branch of a run that is given no other, as a user types it.
pub(super) fn default_branch(tag: &str) -> String {
    format!("{PREFIX}/{tag}")
}

/// Opens the repository around `path`.
pub(super) fn discover(path: &Path) -> Result<Repository, GitError> {
    let opened = match Repository::discover(path) {
        Err(error) if error.code() == ErrorCode::Owner && is_trusted(path) => discover_unchecked(path),
        opened => opened,
    };
    opened.map_err(|error| open_failure(path, &error))
}

/// Asks the git command whether the user trusts a repository of another user: libgit2 does not read the `safe.directory` of a
/// configuration that a variable names.
fn is_trusted(path: &Path) -> bool {
    let asked = untrusted().args(["rev-parse", "--git-dir"]).current_dir(path).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Opens a repository without libgit2's look at the owner, which is a setting of the whole process.
fn discover_unchecked(path: &Path) -> Result<Repository, git2::Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    // SAFETY: sets one process-wide integer of libgit2, which is read when a repository is opened. One that another thread
    // opens at the same moment may go unchecked, too.
    unsafe { git2::opts::set_verify_owner_validation(false)? };
    let opened = Repository::discover(path);
    // SAFETY: as above.
    unsafe { git2::opts::set_verify_owner_validation(true)? };
    opened
}

/// Explains why a repository could not be opened.
fn open_failure(path: &Path, error: &git2::Error) -> GitError {
    match error.code() {
        ErrorCode::NotFound => return GitError::no_repository(path),
        ErrorCode::Owner => return GitError::owner(path),
        _ => {}
    }
    let said = error.message().to_ascii_lowercase();
    let spaced = said.replace([' ', '-'], "").replace("referencestorage", "refstorage");
    match EXTENSIONS.iter().find(|(name, _, _)| spaced.contains(name.trim_start_matches("extensions."))) {
        Some((name, _, remedy)) => GitError::unsupported(path, &format!("the git feature `{name}`"), remedy),
        // Older formats know no extension and the newer ones no other number.
        None if said.contains("repository version") || said.contains("unsupported extension") => {
            let feature = format!("a git feature that this program does not know ({})", error.message());
            GitError::unsupported(path, &feature, "make a clone with git's default format")
        }
        None => GitError::Git(error.message().to_owned()),
    }
}

/// Checks that an opened repository uses no unsupported feature.
pub(super) fn check_supported(repository: &Repository) -> Result<(), GitError> {
    let config = repository.config().and_then(|mut config| config.snapshot()).or_git()?;
    for (name, usual, remedy) in EXTENSIONS {
        if let Ok(value) = config.get_str(name)
            && !value.eq_ignore_ascii_case(usual)
        {
            let feature = format!("the git feature `{name} = {value}`");
            return Err(GitError::unsupported(repository.path(), &feature, remedy));
        }
    }
    Ok(())
}

/// Explains a missing object.
pub(super) fn missing_object(repository: &Repository, id: ObjectId) -> GitError {
    let is_partial = repository.config().and_then(|config| {
        let mut promisors = config.entries(Some("remote.*.(promisor|partialclonefilter)"))?;
        Ok(promisors.next().is_some())
    });
    match is_partial {
        Ok(true) => {
            let feature = format!("a partial clone, which lacks the object {id}");
            GitError::unsupported(repository.path(), &feature, REFETCH)
        }
        _ => GitError::Git(format!("the object {id} is missing; `git fsck` says more")),
    }
}

/// Checks that a tag can be part of the name of a branch and of a folder.
pub(super) fn check_tag(tag: &str) -> Result<(), GitError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_bad = tag.is_empty()
        || tag.len() > 200
        || !tag.chars().all(fits)
        || tag.starts_with(['.', '-'])
        || tag.ends_with('.')
        || tag.ends_with(".lock")
        || tag.contains("..");
    if is_bad { Err(GitError::BadTag(tag.to_owned())) } else { Ok(()) }
}
