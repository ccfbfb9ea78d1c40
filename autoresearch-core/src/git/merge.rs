//! A three-way merge of the files of three commits, in memory.
//!
//! libgit2's merge of whole trees asks the repository how to merge: attributes of the user's working tree (`merge=union`,
//! `merge=binary`) and settings (`merge.default`) would decide what a candidate is. So the trees are merged here, path by path,
//! and only two texts that differ in one file are libgit2's business, which is given nothing but the texts. A proposal renames
//! nothing, so renames need not be found.

use std::collections::{BTreeMap, BTreeSet};

use git2::{MergeFileInput, MergeFileOptions};

use super::conflict::{Conflict, hunks};
use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use super::tree::{IntoOurs, Listing, ObjectId, TreeFile, collision};
use crate::revision::Revision;

/// The result of a merge: the files that differ from our side, and the conflicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merge {
    /// The files that differ from ours, by path; `None` for one that is deleted.
    pub changed: BTreeMap<String, Option<TreeFile>>,
    /// The conflicts. There is a merged state only if this is empty.
    pub conflicts: Vec<Conflict>,
}

impl Lineage {
    /// Applies the changes from `base` to `theirs` to `ours`. Nothing but blobs of merged texts is written.
    ///
    /// Which commits are each other's ancestors does not matter: only the files of the three count.
    pub fn merge(&self, base: &Revision, ours: &Revision, theirs: &Revision) -> Result<Merge, GitError> {
        let (base, ours, theirs) = (self.tree(base)?, self.tree(ours)?, self.tree(theirs)?);
        let mut merge = Merge::default();
        // Our side stands wherever theirs changed nothing.
        let touched = |path: &&String| base.get(*path) != theirs.get(*path) && ours.get(*path) != theirs.get(*path);
        let paths: BTreeSet<&String> = base.keys().chain(theirs.keys()).filter(touched).collect();
        for path in paths {
            let (before, ours, theirs) = (base.get(path), ours.get(path), theirs.get(path));
            match (ours, theirs) {
                (ours, theirs) if ours == before => drop(merge.changed.insert(path.clone(), theirs.cloned())),
                (Some(ours), Some(theirs)) => match self.merge_file(path, before, ours, theirs)? {
                    Ok(file) if file == *ours => {}
                    Ok(file) => drop(merge.changed.insert(path.clone(), Some(file))),
                    Err(conflict) => merge.conflicts.push(conflict),
                },
                (None, _) => merge.conflicts.push(Conflict::deleted_meanwhile(path)),
                (Some(_), None) => merge.conflicts.push(Conflict::changed_meanwhile(path)),
            }
        }
        let mut after = Listing::clone(&ours);
        for (path, file) in &merge.changed {
            match file {
                Some(file) => after.insert(path.clone(), *file),
                None => after.remove(path),
            };
        }
        let added = merge.changed.iter().filter(|(path, file)| file.is_some() && !ours.contains_key(*path));
        let collisions = added.filter_map(|(path, _)| Some(Conflict::collision(path, collision(&after, path)?)));
        merge.conflicts.extend(collisions);
        Ok(merge)
    }

    /// Merges a file that both sides changed or made.
    fn merge_file(
        &self,
        path: &str,
        base: Option<&TreeFile>,
        ours: &TreeFile,
        theirs: &TreeFile,
    ) -> Result<Result<TreeFile, Conflict>, GitError> {
        // Of two values at most one differs from what it was before, so a mode is never in conflict.
        let mode = match base {
            Some(base) if base.mode != theirs.mode => theirs.mode,
            _ => ours.mode,
        };
        let of = |blob: ObjectId| TreeFile { blob, mode };
        let before = base.map(|base| base.blob);
        if before == Some(theirs.blob) || ours.blob == theirs.blob {
            return Ok(Ok(of(ours.blob)));
        }
        if before == Some(ours.blob) {
            return Ok(Ok(of(theirs.blob)));
        }
        // Links and submodules have no lines that could be merged.
        if [base, Some(ours), Some(theirs)].into_iter().flatten().any(|file| !file.is_file()) {
            return Ok(Err(Conflict::no_text(path)));
        }
        let base = before.map_or(Ok(Vec::new()), |base| self.blob(base))?;
        let [base, ours, theirs] = [Ok(base), self.blob(ours.blob), self.blob(theirs.blob)].map(|bytes| {
            let text: Result<_, GitError> = bytes.map(|bytes| String::from_utf8(bytes).ok());
            text
        });
        let (Some(base), Some(ours), Some(theirs)) = (base?, ours?, theirs?) else {
            return Ok(Err(Conflict::no_text(path)));
        };
        let mut options = MergeFileOptions::new();
        options.style_standard(true);
        let merged = merge_texts([&base, &ours, &theirs], &mut options).or_git()?;
        if merged.is_automergeable() {
            return Ok(Ok(of(self.repository.blob(merged.content()).or_git()?.into_ours())));
        }
        // A candidate's text may hold lines that look like a marker.
        let longest = [&base, &ours, &theirs].into_iter().map(|text| longest_marker(text)).max().unwrap_or_default();
        let size = u16::try_from(longest.max(6) + 1).unwrap_or(u16::MAX);
        let mut options = MergeFileOptions::new();
        options.style_diff3(true).marker_size(size).our_label("o").ancestor_label("b").their_label("t");
        let shown = merge_texts([&base, &ours, &theirs], &mut options).or_git()?;
        let shown = String::from_utf8_lossy(shown.content()).into_owned();
        Ok(Err(Conflict::of_text(path, hunks(&shown, size.into()))))
    }
}

fn merge_texts(
    [base, ours, theirs]: [&String; 3],
    options: &mut MergeFileOptions,
) -> Result<git2::MergeFileResult, git2::Error> {
    let [base, ours, theirs] = [base, ours, theirs].map(|text| {
        let mut input = MergeFileInput::new();
        input.content(text.as_bytes());
        input
    });
    git2::merge_file(&base, &ours, &theirs, Some(options))
}

/// Computes the length of the longest beginning of a line that could be taken for a marker.
fn longest_marker(text: &str) -> usize {
    let lead = |line: &str| {
        let first = line.chars().next().filter(|first| "<|=>".contains(*first));
        first.map_or(0, |first| line.chars().take_while(|c| *c == first).count())
    };
    text.split(['\n', '\r']).map(lead).max().unwrap_or_default()
}
