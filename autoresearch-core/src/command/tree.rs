//! Trees of candidates: from a repository, from memory, from a folder and into one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::git::{Checkout, FileMode, GitError, Lineage, Listing, ObjectId, TreeFile, stays_inside};
use crate::revision::Revision;
use crate::sandbox::SandboxError;

/// The files of a candidate, read where and when an executor needs them.
///
/// ```
/// use autoresearch_core::Tree;
/// let tree = Tree::new([("src/a", "one\n"), ("b", "two\n")])?;
/// let folder = std::env::temp_dir().join(format!("tree-example-{}", std::process::id()));
/// tree.export(&folder)?;
/// assert_eq!(std::fs::read_to_string(folder.join("src/a"))?, "one\n");
/// // On another machine, where the folder was sent:
/// assert_eq!(Tree::from_folder(&folder)?.revision(), tree.revision());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    revision: Revision,
    files: Arc<dyn Files>,
    /// True if its folder gets a repository that knows its commit.
    has_repository: bool,
}

impl Tree {
    /// Makes a tree of regular files in memory, by path and content.
    pub fn new<P: Into<String>, T: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, T)>,
    ) -> Result<Tree, SandboxError> {
        Tree::in_memory(files.into_iter().map(|(path, content)| (path.into(), FileMode::Regular, content.into())))
    }

    /// Reads a folder, as [`Tree::export`] writes it: regular files, executable ones, and links.
    pub fn from_folder(folder: &Path) -> Result<Tree, SandboxError> {
        Tree::in_memory(collect(folder)?)
    }

    /// The files of a commit.
    pub(crate) fn of_commit(lineage: Arc<Mutex<Lineage>>, revision: Revision) -> Tree {
        Tree {
            revision: revision.clone(),
            files: Arc::new(CommitFiles { lineage, revision, checkout: OnceLock::new() }),
            has_repository: false,
        }
    }

    /// The same files in a repository that knows their commit, if they are those of one.
    pub(crate) fn with_repository(self, has_repository: bool) -> Tree {
        Tree { has_repository, ..self }
    }

    /// Makes a folder that holds the files a repository, if it is to be one.
    pub(crate) fn put_repository(&self, root: &Path) -> Result<(), SandboxError> {
        if self.has_repository { self.files.put_repository(&root.join(".git")) } else { Ok(()) }
    }

    /// A tree of files of any kind, by path, kind and content.
    pub(crate) fn in_memory(
        files: impl IntoIterator<Item = (String, FileMode, Vec<u8>)>,
    ) -> Result<Tree, SandboxError> {
        let (mut listing, mut contents) = (Listing::new(), HashMap::new());
        for (path, mode, content) in files {
            let blob = ObjectId::of_file(&content)?;
            contents.insert(blob, content);
            listing.insert(path, TreeFile { blob, mode });
        }
        let described: Vec<String> =
            listing.iter().map(|(path, file)| format!("{} {:?} {path}", file.blob, file.mode)).collect();
        let revision = Revision(ObjectId::of_file(described.join("\0").as_bytes())?.to_string());
        let files = Arc::new(MemoryFiles { listing: Arc::new(listing), contents });
        Ok(Tree { revision, files, has_repository: false })
    }

    /// Names the state. Two trees with the same revision hold the same files.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Writes all files into the empty folder `to`, for executors that send a candidate elsewhere.
    ///
    /// Submodules become empty folders; links that lead outside the tree are left out.
    pub fn export(&self, to: &Path) -> Result<(), SandboxError> {
        let failed = |place: &Path, e| SandboxError::io(format!("writing {}", place.display()), e);
        fs::create_dir_all(to).map_err(|e| failed(to, e))?;
        for (path, file) in self.listing()?.iter() {
            let place = to.join(path);
            if file.mode == FileMode::Submodule {
                fs::create_dir_all(&place).map_err(|e| failed(&place, e))?;
                continue;
            }
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
            }
            write_file(&place, path, file.mode, &self.read(file.blob)?).map_err(|e| failed(&place, e))?;
        }
        Ok(())
    }

    /// Lists the files, links and submodules by path.
    pub(crate) fn listing(&self) -> Result<Arc<Listing>, SandboxError> {
        self.files.listing()
    }

    /// Returns the number of bytes of a content of the listing.
    pub(crate) fn size(&self, content: ObjectId) -> Result<u64, SandboxError> {
        self.files.size(content)
    }

    /// Reads the content of a file of the listing, or the path that a link points to.
    pub(crate) fn read(&self, content: ObjectId) -> Result<Vec<u8>, SandboxError> {
        self.files.read(content)
    }
}

/// The place where a tree's files lie.
trait Files: std::fmt::Debug + Send + Sync {
    fn listing(&self) -> Result<Arc<Listing>, SandboxError>;
    fn size(&self, content: ObjectId) -> Result<u64, SandboxError>;
    fn read(&self, content: ObjectId) -> Result<Vec<u8>, SandboxError>;

    /// Makes the new folder `to` a git folder that knows the commit, if there is one.
    fn put_repository(&self, to: &Path) -> Result<(), SandboxError>;
}

#[derive(Debug)]
struct CommitFiles {
    lineage: Arc<Mutex<Lineage>>,
    revision: Revision,
    checkout: OnceLock<Checkout>,
}

impl CommitFiles {
    fn read_with<T>(&self, work: impl FnOnce(&Lineage) -> Result<T, GitError>) -> Result<T, SandboxError> {
        // A panic in a git call does not damage the repository.
        Ok(work(&self.lineage.lock().unwrap_or_else(PoisonError::into_inner))?)
    }

    fn checkout(&self) -> Result<&Checkout, SandboxError> {
        match self.checkout.get() {
            Some(checkout) => Ok(checkout),
            None => {
                let made = self.read_with(|git| git.checkout(&self.revision))?;
                Ok(self.checkout.get_or_init(|| made))
            }
        }
    }
}

impl Files for CommitFiles {
    fn listing(&self) -> Result<Arc<Listing>, SandboxError> {
        Ok(self.checkout()?.listing().clone())
    }

    fn size(&self, content: ObjectId) -> Result<u64, SandboxError> {
        match self.checkout()?.converted(content) {
            Some(converted) => Ok(converted.len() as u64),
            None => self.read_with(|git| git.size(content)),
        }
    }

    fn read(&self, content: ObjectId) -> Result<Vec<u8>, SandboxError> {
        match self.checkout()?.converted(content) {
            Some(converted) => Ok(converted.to_owned()),
            None => self.read_with(|git| git.blob(content)),
        }
    }

    fn put_repository(&self, to: &Path) -> Result<(), SandboxError> {
        self.read_with(|git| git.put_view(&self.revision, to))
    }
}

#[derive(Debug)]
struct MemoryFiles {
    listing: Arc<Listing>,
    contents: HashMap<ObjectId, Vec<u8>>,
}

impl MemoryFiles {
    fn content(&self, content: ObjectId) -> Result<&Vec<u8>, SandboxError> {
        let found = self.contents.get(&content);
        found.ok_or_else(|| SandboxError::Other(format!("the tree has no object {content}")))
    }
}

impl Files for MemoryFiles {
    fn listing(&self) -> Result<Arc<Listing>, SandboxError> {
        Ok(self.listing.clone())
    }

    fn size(&self, content: ObjectId) -> Result<u64, SandboxError> {
        self.content(content).map(|content| content.len() as u64)
    }

    fn read(&self, content: ObjectId) -> Result<Vec<u8>, SandboxError> {
        self.content(content).cloned()
    }

    fn put_repository(&self, _to: &Path) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Reads the files of an exported tree.
fn collect(root: &Path) -> Result<Vec<(String, FileMode, Vec<u8>)>, SandboxError> {
    let (mut files, mut left) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = left.pop() {
        let failed = |e| SandboxError::io(format!("reading {}", folder.display()), e);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let found = fs::symlink_metadata(&path).map_err(failed)?;
            if found.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(root).ok().and_then(Path::to_str);
            let name = name.ok_or_else(|| SandboxError::Other(format!("{} is not UTF-8", path.display())))?.to_owned();
            if found.is_symlink() {
                let target = fs::read_link(&path).map_err(failed)?;
                files.push((name, FileMode::Symlink, target.into_os_string().into_encoded_bytes()));
            } else {
                let mode = if is_executable(&found) { FileMode::Executable } else { FileMode::Regular };
                files.push((name, mode, fs::read(&path).map_err(failed)?));
            }
        }
    }
    Ok(files)
}

#[cfg(unix)]
fn is_executable(found: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_found: &fs::Metadata) -> bool {
    false
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
