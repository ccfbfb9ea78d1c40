//! The files of a commit that a candidate's folder cannot hold as git checks them out.

use std::path::Path;

use git2::{AttrCheckFlags, AttrValue};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::tree::{FileMode, Listing};
use crate::revision::Revision;

impl Lineage {
    /// Checks that a candidate's folder can hold the files of `revision` as git checks them out, and returns warnings about
    /// parts that differ: submodules and links that lead outside the repository are left out, line ends are as they are stored.
    ///
    /// # Errors
    /// If git would change a file by a filter at checkout, such as git-lfs, or by an encoding.
    pub fn check_files(&self, revision: &Revision) -> Result<Vec<String>, GitError> {
        let listing = self.tree(revision)?;
        self.check_filters(&listing)?;
        let mut warnings = Vec::new();
        for (path, file) in listing.iter() {
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
        if let Some((path, why)) = self.converted_line_ends(&listing)? {
            warnings.push(format!(
                "git checks {path} out with CRLF line ends ({why}); the folders of candidates have its lines as they are stored, \
                 with LF"
            ));
        }
        Ok(warnings)
    }

    /// The first text file whose line ends git would change at checkout, and the setting that says so.
    fn converted_line_ends(&self, listing: &Listing) -> Result<Option<(String, &'static str)>, GitError> {
        let config = self.repository.config().and_then(|mut config| config.snapshot()).or_git()?;
        let is_set =
            |key: &str, wanted: &str| config.get_str(key).is_ok_and(|value| value.eq_ignore_ascii_case(wanted));
        let everywhere = is_set("core.autocrlf", "true");
        let has_attributes = listing.keys().any(|path| path == ".gitattributes" || path.ends_with("/.gitattributes"));
        if !everywhere && !has_attributes {
            return Ok(None);
        }
        for (path, file) in listing.iter().filter(|(_, file)| file.is_file()) {
            let value = |name: &str| {
                let value = self.repository.get_attr(Path::new(path), name, AttrCheckFlags::FILE_THEN_INDEX);
                value.ok().flatten().map(str::to_owned)
            };
            let (text, eol) = (value("text"), value("eol"));
            let why = match (AttrValue::from_string(text.as_deref()), eol.as_deref()) {
                (AttrValue::False, _) | (_, Some("lf")) => continue,
                (_, Some("crlf")) => "eol=crlf",
                _ if everywhere => "core.autocrlf=true",
                _ => continue,
            };
            // As git, which takes a file with a NUL for no text.
            let content = self.blob(file.blob)?;
            if content.contains(&b'\n') && !content.contains(&0) && !content.windows(2).any(|pair| pair == b"\r\n") {
                return Ok(Some((path.clone(), why)));
            }
        }
        Ok(None)
    }

    /// Refuses files that git would change at checkout. A filter that is not installed changes nothing for git either.
    fn check_filters(&self, listing: &Listing) -> Result<(), GitError> {
        let mut has_attributes = false;
        for (path, file) in listing {
            if file.is_file() && (path == ".gitattributes" || path.ends_with("/.gitattributes")) {
                let text = self.blob(file.blob)?;
                let text = String::from_utf8_lossy(&text);
                has_attributes |= text.contains("filter=") || text.contains("working-tree-encoding=");
            }
        }
        if !has_attributes {
            return Ok(());
        }
        let config = self.repository.config().and_then(|mut config| config.snapshot()).or_git()?;
        let is_installed = |filter: &str| {
            let set =
                |key: &str| config.get_str(&format!("filter.{filter}.{key}")).is_ok_and(|value| !value.is_empty());
            set("smudge") || set("process")
        };
        for (path, _) in listing.iter().filter(|(_, file)| file.is_file()) {
            let value = |name: &str| {
                let value = self.repository.get_attr(Path::new(path), name, AttrCheckFlags::FILE_THEN_INDEX);
                value.ok().flatten().map(str::to_owned)
            };
            let refused = |attribute: String| Err(GitError::filtered(path, &attribute));
            if let Some(filter) = value("filter").filter(|filter| is_installed(filter)) {
                return refused(format!("filter={filter}"));
            }
            if let Some(encoding) = value("working-tree-encoding").filter(|name| !name.eq_ignore_ascii_case("utf-8")) {
                return refused(format!("working-tree-encoding={encoding}"));
            }
        }
        Ok(())
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
