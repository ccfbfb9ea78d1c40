//! The files of a commit that a candidate's folder cannot hold as git checks them out.

use super::error::GitError;
use super::lineage::Lineage;
use super::tree::FileMode;
use crate::revision::Revision;

impl Lineage {
    /// Checks that a candidate's folder can hold the files of `revision` as git checks them out, and returns warnings about
    /// parts that differ: submodules and links that lead outside the repository are left out.
    ///
    /// # Errors
    /// If git would change a file by a filter at checkout, such as git-lfs.
    pub fn check_files(&self, revision: &Revision) -> Result<Vec<String>, GitError> {
        let checkout = self.checkout(revision)?;
        let mut warnings = Vec::new();
        for (path, file) in checkout.listing().iter() {
            match file.mode {
                FileMode::Submodule => warnings.push(format!(
                    "the submodule {path} is left empty in the folders of candidates; if the commands need its files, commit \
                     them to the repository or name another folder that has them"
                )),
                FileMode::Symlink if !stays_inside(path, &self.blob(file.blob)?) => warnings.push(format!(
                    "the symbolic link {path} leads outside the repository and is left out of the folders of candidates"
                )),
                _ => {}
            }
        }
        Ok(warnings)
    }
}

/// Tells whether the link at `path` leads to a place inside the tree, by its text alone.
pub fn stays_inside(path: &str, target: &[u8]) -> bool {
    let Ok(target) = std::str::from_utf8(target) else { return false };
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut depth = path.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_by_where_it_leads() {
        for (path, target) in [("a", "b"), ("a", "b/../c"), ("d/a", "../b"), ("d/e/a", "../../b"), ("a", ".")] {
            assert!(stays_inside(path, target.as_bytes()), "{path} -> {target}");
        }
        for (path, target) in [("a", "/etc/passwd"), ("a", "../b"), ("d/a", "../../b"), ("a", "b/../../c"), ("a", "")] {
            assert!(!stays_inside(path, target.as_bytes()), "{path} -> {target}");
        }
        assert!(!stays_inside("a", b"\xff"));
    }
}
