//! A folder that each candidate finds as it was left, and changes for itself alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder, and the place for the changes of one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The folder as commands name it.
    pub folder: PathBuf,
    /// A folder of the candidate's own, which keeps its changes from one of its commands to the next.
    pub own: PathBuf,
}

impl Layer {
    /// The changes, where the kernel lays them over the folder.
    pub(super) fn upper(&self) -> PathBuf {
        self.own.join("upper")
    }

    /// The kernel's own folder beside them.
    #[cfg(target_os = "linux")]
    pub(super) fn work(&self) -> PathBuf {
        self.own.join("work")
    }

    /// A copy of the folder, where the kernel cannot.
    pub(super) fn copy(&self) -> PathBuf {
        self.own.join("copy")
    }
}

/// Copies a folder with the times of its files, by which build tools go. File systems that can do so share the blocks.
pub(super) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, from, to) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&from, &to)?;
        } else if kind.is_symlink() {
            link(&fs::read_link(&from)?, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to)?;
            let modified = entry.metadata()?.modified()?;
            fs::File::open(&to)?.set_modified(modified)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_times_and_the_links() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/a"), "a").unwrap();
        std::os::unix::fs::symlink("deep/a", from.join("link")).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        fs::File::open(from.join("deep/a")).unwrap().set_modified(long_ago).unwrap();
        copy_folder(&from, &to).unwrap();
        assert_eq!(fs::metadata(to.join("deep/a")).unwrap().modified().unwrap(), long_ago);
        assert_eq!(fs::read_to_string(to.join("link")).unwrap(), "a");
        fs::write(to.join("deep/a"), "b").unwrap();
        assert_eq!(fs::read_to_string(from.join("deep/a")).unwrap(), "a");
    }
}
