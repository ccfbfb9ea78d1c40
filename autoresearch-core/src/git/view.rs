//! A repository for a candidate's folder, which answers what programs ask git about themselves.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use crate::revision::Revision;

/// A plain repository without any setting of the user's.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tlogallrefupdates = false\n";

impl Lineage {
    /// Makes the new folder `to` the git folder of a working tree in which `revision` is checked out.
    ///
    /// Its objects are those of this repository, which are read where they lie; what is written goes into the folder. It has the
    /// tags, no branch, no remote, no hook, and no setting of the user's.
    ///
    /// # Errors
    /// If the revision is unknown, or the folder cannot be written.
    pub fn put_view(&self, revision: &Revision, to: &Path) -> Result<(), GitError> {
        let tree = self.commit(revision)?.tree().or_git()?;
        self.write_view(revision, to).map_err(|e| GitError::Git(format!("writing {}: {e}", to.display())))?;
        let mut index = git2::Index::open(&to.join("index")).or_git()?;
        index.read_tree(&tree).or_git()?;
        index.write().or_git()
    }

    fn write_view(&self, revision: &Revision, to: &Path) -> io::Result<()> {
        for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            fs::create_dir_all(to.join(folder))?;
        }
        fs::write(to.join("HEAD"), format!("{revision}\n"))?;
        fs::write(to.join("config"), CONFIG)?;
        let objects = self.git_folder().join("objects").canonicalize()?;
        fs::write(to.join("objects/info/alternates"), format!("{}\n", objects.display()))?;
        fs::write(to.join("packed-refs"), self.tags())?;
        match fs::copy(self.git_folder().join("shallow"), to.join("shallow")) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The tags, as git packs them.
    fn tags(&self) -> String {
        let references = self.repository().references_glob("refs/tags/*").into_iter().flatten().flatten();
        let lines = references.filter_map(|tag| Some(format!("{} {}\n", tag.target()?, tag.name().ok()?)));
        lines.collect()
    }

    /// The folders with the objects that a view reads: those of the repository, and those that it borrows from others.
    #[doc(hidden)]
    pub fn object_folders(&self) -> Vec<PathBuf> {
        let own = self.git_folder().join("objects");
        let borrowed = fs::read_to_string(own.join("info/alternates")).unwrap_or_default();
        let borrowed = borrowed.lines().filter(|line| !line.is_empty()).map(|line| own.join(line));
        std::iter::once(own.clone()).chain(borrowed).collect()
    }
}
