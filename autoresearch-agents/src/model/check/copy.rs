//! The folder that a check runs in: the files of a candidate, beside what earlier checks built there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use autoresearch_core::internal::check_path;

use crate::files::{make_usable, read_file, remove, set_executable};

/// One file of the copy.
pub(super) struct CopiedFile {
    pub bytes: Vec<u8>,
    pub executable: bool,
}

/// Makes `folder` hold exactly these files beside what a check built: those of the last call that are gone now are removed.
///
/// A check runs what a model wrote. Whatever that left in the place of a file or folder is removed, and links are not followed; if
/// that is not enough, the copy is made anew as a whole.
pub(super) fn lay_out(folder: &Path, tree: &BTreeMap<String, CopiedFile>) -> io::Result<()> {
    for path in tree.keys() {
        check_path(path).map_err(|why| io::Error::new(ErrorKind::InvalidInput, why))?;
    }
    match update(folder, tree) {
        Err(error) if error.kind() != ErrorKind::StorageFull => {
            make_usable(folder);
            remove(folder)?;
            update(folder, tree)
        }
        updated => updated,
    }
}

fn update(folder: &Path, tree: &BTreeMap<String, CopiedFile>) -> io::Result<()> {
    // JSON, since a path may hold a line break.
    let list = folder.with_file_name("files");
    let before = read_file(&list).and_then(|list| serde_json::from_slice::<Vec<String>>(&list).ok());
    if before.is_none() {
        // Nobody knows what is in the copy.
        remove(folder)?;
    }
    make_folder(folder)?;
    let before = before.unwrap_or_default();
    for path in before.iter().filter(|path| !tree.contains_key(*path) && check_path(path).is_ok()) {
        if folders_above(path).all(|above| is_folder(&folder.join(above))) {
            remove(&folder.join(path))?;
        }
    }
    write(&list, &serde_json::to_vec(&tree.keys().collect::<Vec<_>>())?)?;
    for (path, copied) in tree {
        folders_above(path).try_for_each(|above| make_folder(&folder.join(above)))?;
        let file = folder.join(path);
        // An unchanged file keeps its time, so that it is not built again.
        if read_file(&file).is_none_or(|there| there != copied.bytes) {
            write(&file, &copied.bytes)?;
        }
        set_executable(&file, copied.executable)?;
    }
    Ok(())
}

/// The folders above a file, relative to the root, from the outermost on.
fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(end, _)| path.get(..end))
}

/// Tells whether a folder is at this path, and no link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Makes a folder in the place of whatever else is there.
fn make_folder(path: &Path) -> io::Result<()> {
    if is_folder(path) {
        return Ok(());
    }
    remove(path)?;
    fs::create_dir_all(path)
}

/// Writes a new file in the place of whatever is there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    remove(path)?;
    fs::File::create_new(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::is_executable;

    fn tree(names: &[&str]) -> BTreeMap<String, CopiedFile> {
        let file = |name: &str| CopiedFile { bytes: name.as_bytes().to_vec(), executable: name == "d" };
        names.iter().map(|name| ((*name).to_owned(), file(name))).collect()
    }

    #[test]
    fn the_copy_holds_what_the_tree_holds() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        lay_out(&root, &tree(&["a", "b/c"])).unwrap();
        fs::write(root.join("built"), "").unwrap();
        lay_out(&root, &tree(&["a", "d"])).unwrap();
        assert!(root.join("a").exists() && root.join("d").exists() && root.join("built").exists());
        assert!(!root.join("b/c").exists());
        assert!(is_executable(&root.join("d")) && !is_executable(&root.join("a")));
        // A line break in a path names no second file.
        let outside = folder.path().join("outside");
        fs::write(&outside, "").unwrap();
        lay_out(&root, &tree(&[&format!("x\n{}", outside.display())])).unwrap_err();
        lay_out(&root, &tree(&["a"])).unwrap();
        assert!(outside.exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_check_left_in_the_way_is_removed_and_leads_nowhere() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let (root, users) = (folder.path().join("copy/tree"), folder.path().join("users"));
        fs::create_dir_all(&users).unwrap();
        for name in ["c", "a"] {
            fs::write(users.join(name), "precious").unwrap();
        }
        type Damage<'a> = &'a dyn Fn(&Path);
        let pipe = |path: &Path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        };
        let damages: [(&str, Damage<'_>); 7] = [
            ("a", &|path| symlink(users.join("a"), path).unwrap()),
            ("a", &|path| fs::create_dir_all(path.join("deep")).unwrap()),
            // Whoever opens it waits for a writer.
            ("a", &pipe),
            ("b", &|path| symlink(&users, path).unwrap()),
            ("b", &|path| fs::write(path, "a file").unwrap()),
            ("../files", &|path| symlink(users.join("c"), path).unwrap()),
            ("../tree", &|path| symlink(&users, path).unwrap()),
        ];
        for (at, damage) in damages {
            lay_out(&root, &tree(&["a", "b/c", "e"])).unwrap();
            let place = root.join(at).components().collect::<std::path::PathBuf>();
            let place = if at.starts_with("..") { root.with_file_name(&at[3..]) } else { place };
            remove(&place).unwrap();
            damage(&place);
            // One of the files is gone from the tree as well.
            lay_out(&root, &tree(&["a", "e"])).unwrap();
            lay_out(&root, &tree(&["a", "b/c", "e"])).unwrap();
            for path in ["a", "b/c", "e"] {
                assert_eq!(fs::read_to_string(root.join(path)).unwrap(), path, "{at}");
            }
            for name in ["a", "c"] {
                assert_eq!(fs::read_to_string(users.join(name)).unwrap(), "precious", "{at}");
            }
        }
        // Permissions that are gone, which bind everybody but root.
        lay_out(&root, &tree(&["a", "b/c"])).unwrap();
        fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o555)).unwrap();
        lay_out(&root, &tree(&["a"])).unwrap();
        assert!(!root.join("b/c").exists());
    }
}
