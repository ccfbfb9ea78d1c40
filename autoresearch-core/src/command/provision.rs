//! Files and folders beside the commit that candidates need, put into their folders before each build.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::sandbox::SandboxError;

/// Names that are never put into a candidate's folder: git's own, and the runs'.
const NEVER: [&str; 2] = [".git", ".autoresearch"];

/// A file or folder beside the commit, and where candidates find it.
///
/// A folder whose place is a folder of the commit is merged into it, entry by entry: what is committed stays the candidate's own.
///
/// ```
/// use autoresearch_core::Provision;
/// let data = Provision::link("/home/u/repository/data", "data");
/// let weights = Provision::copy("/home/u/repository/weights.bin", "weights.bin");
/// assert_ne!(data.copied, weights.copied);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provision {
    /// The absolute path of what is provided.
    pub source: PathBuf,
    /// Its path in a candidate's folder, relative to that.
    pub target: PathBuf,
    /// True for a copy of the candidate's own; false for a symbolic link, through which it can write into the source.
    pub copied: bool,
}

impl Provision {
    /// Provides `source` by a symbolic link at `target`. A link is no protection: a candidate may write through it.
    pub fn link(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Provision {
        Provision { source: source.into(), target: target.into(), copied: false }
    }

    /// Provides a fresh copy of `source` at `target` for each trial.
    pub fn copy(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Provision {
        Provision { source: source.into(), target: target.into(), copied: true }
    }

    /// Puts it into the candidate's folder `root`, which holds the files of the commit and nothing else.
    pub(super) fn put_into(&self, root: &Path) -> Result<(), SandboxError> {
        let source = self.source.display();
        if !self.source.exists() {
            return Err(SandboxError::Other(format!(
                "{source}, which candidates need beside the commit, is not there; make it, or do not provide it"
            )));
        }
        let target = root.join(&self.target);
        let put = || -> io::Result<()> {
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            put(&self.source, &target, self.copied)
        };
        put().map_err(|error| SandboxError::io(format!("providing {source} as {}", target.display()), error))
    }
}

/// Links or copies `source` to `target`, and merges a folder with one that is there.
fn put(source: &Path, target: &Path, copied: bool) -> io::Result<()> {
    if source.file_name().is_some_and(|name| NEVER.iter().any(|never| name == *never)) {
        return Ok(());
    }
    let there = match fs::symlink_metadata(target) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match there {
        Some(there) if there.is_dir() && source.is_dir() => put_entries(source, target, copied),
        // The commit's own.
        Some(_) => Ok(()),
        None if !copied => link(source, target),
        None if fs::symlink_metadata(source)?.is_symlink() => link(&fs::read_link(source)?, target),
        None if source.is_dir() => {
            fs::create_dir(target)?;
            put_entries(source, target, copied)
        }
        // On file systems that can, the copy shares its blocks with the source.
        None => fs::copy(source, target).map(drop),
    }
}

fn put_entries(source: &Path, target: &Path, copied: bool) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        put(&entry.path(), &target.join(entry.file_name()), copied)?;
    }
    Ok(())
}

#[cfg(unix)]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

/// Links need a privilege elsewhere, so that a copy takes their place.
#[cfg(not(unix))]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    put(source, target, true)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_folder_is_merged_with_what_is_committed_there() {
        let folder = tempfile::tempdir().unwrap();
        let (user, slot) = (folder.path().join("user"), folder.path().join("slot"));
        write(user.join("data/README"), "the user's edit\n");
        write(user.join("data/deep/train.bin"), "rows\n");
        write(user.join("data/.git/config"), "git\n");
        write(slot.join("data/README"), "as committed\n");
        Provision::link(user.join("data"), "data").put_into(&slot).unwrap();
        assert_eq!(fs::read_to_string(slot.join("data/README")).unwrap(), "as committed\n");
        assert_eq!(fs::read_to_string(slot.join("data/deep/train.bin")).unwrap(), "rows\n");
        assert!(fs::symlink_metadata(slot.join("data/deep")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(slot.join("data/.git")).is_err());
    }

    #[test]
    fn a_copy_is_the_candidates_own_and_links_in_it_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let (user, slot) = (folder.path().join("user"), folder.path().join("slot"));
        write(user.join("venv/bin/tool"), "one\n");
        std::os::unix::fs::symlink("tool", user.join("venv/bin/alias")).unwrap();
        fs::create_dir(&slot).unwrap();
        Provision::copy(user.join("venv"), "deep/venv").put_into(&slot).unwrap();
        fs::write(slot.join("deep/venv/bin/tool"), "two\n").unwrap();
        assert_eq!(fs::read_to_string(user.join("venv/bin/tool")).unwrap(), "one\n");
        assert_eq!(fs::read_link(slot.join("deep/venv/bin/alias")).unwrap(), Path::new("tool"));
    }

    #[test]
    fn a_source_that_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Provision::link(folder.path().join("gone"), "data").put_into(folder.path()).unwrap_err();
        assert!(error.to_string().contains("/gone, which candidates need"), "{error}");
    }
}
