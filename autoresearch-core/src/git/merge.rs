//! A three-way merge of the files of three commits, in memory.
//!
//! libgit2's merge of whole trees asks the repository how to merge: attributes of the user's working tree (`merge=union`,
//! `merge=binary`) and settings (`merge.default`) would decide what a candidate is. So the trees are merged here, path by path,
//! and only two texts that differ in one file are libgit2's business, which is given nothing but the texts. A proposal renames
//! nothing, so renames need not be found.

use std::collections::{BTreeMap, BTreeSet};

use git2::{FileMode, MergeFileInput, MergeFileOptions, Oid};

use super::conflict::{Conflict, hunks};
use super::{GitError, Lineage, Listing, TreeFile};
use crate::sandbox::Revision;

/// What came of a merge: what differs from our side then, or what both sides changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merge {
    /// The files that differ from ours, by path; `None` for one that is deleted.
    pub changed: BTreeMap<String, Option<TreeFile>>,
    /// Where the sides contradict each other. Unless this is empty there is no merged state.
    pub conflicts: Vec<Conflict>,
}

impl Lineage {
    /// Makes the changes from `base` to `theirs` to `ours`. Nothing but blobs of merged texts is written.
    ///
    /// Which commits are each other's ancestors does not matter: only the files of the three count.
    pub fn merge(&self, base: &Revision, ours: &Revision, theirs: &Revision) -> Result<Merge, GitError> {
        let (base, ours, theirs) = (self.tree(base)?, self.tree(ours)?, self.tree(theirs)?);
        let mut merge = Merge::default();
        // What they did not touch is ours, whatever that is.
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
                Some(file) => after.insert(path.clone(), file.clone()),
                None => after.remove(path),
            };
        }
        let added = merge.changed.iter().filter(|(path, file)| file.is_some() && !ours.contains_key(*path));
        let collisions = added.filter_map(|(path, _)| Some(Conflict::collision(path, collides(&after, path)?)));
        merge.conflicts.extend(collisions);
        Ok(merge)
    }

    /// One file that both sides changed, or that both made.
    fn merge_file(
        &self,
        path: &str,
        base: Option<&TreeFile>,
        ours: &TreeFile,
        theirs: &TreeFile,
    ) -> Result<Result<TreeFile, Conflict>, GitError> {
        // Of two values at most one differs from what it was before, so a mode is never in conflict.
        let executable = match base {
            Some(base) if base.executable != theirs.executable => theirs.executable,
            _ => ours.executable,
        };
        let of = |blob: Oid| TreeFile { blob, executable };
        let before = base.map(|base| base.blob);
        if before == Some(theirs.blob) || ours.blob == theirs.blob {
            return Ok(Ok(of(ours.blob)));
        }
        if before == Some(ours.blob) {
            return Ok(Ok(of(theirs.blob)));
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
        let merged = merge_texts([&base, &ours, &theirs], &mut options)?;
        if merged.is_automergeable() {
            return Ok(Ok(of(self.repository.blob(merged.content())?)));
        }
        // A candidate's text may hold lines that look like a marker.
        let longest = [&base, &ours, &theirs].into_iter().map(|text| longest_marker(text)).max().unwrap_or_default();
        let size = u16::try_from(longest.max(6) + 1).unwrap_or(u16::MAX);
        let mut options = MergeFileOptions::new();
        options.style_diff3(true).marker_size(size).our_label("o").ancestor_label("b").their_label("t");
        let shown = merge_texts([&base, &ours, &theirs], &mut options)?;
        let shown = String::from_utf8_lossy(shown.content()).into_owned();
        Ok(Err(Conflict::of_text(path, hunks(&shown, size.into()))))
    }

    /// Writes a commit on `onto` with what a merge changed there and the message of `candidate`. No ref is moved.
    pub fn commit_merge(
        &self,
        onto: &Revision,
        changed: &BTreeMap<String, Option<TreeFile>>,
        candidate: &Revision,
    ) -> Result<Revision, GitError> {
        let (onto, candidate) = (self.commit(onto)?, self.commit(candidate)?);
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, file) in changed {
            match file {
                Some(file) if file.executable => update.upsert(path.as_str(), file.blob, FileMode::BlobExecutable),
                Some(file) => update.upsert(path.as_str(), file.blob, FileMode::Blob),
                None => update.remove(path.as_str()),
            };
        }
        let tree = update.create_updated(&self.repository, &onto.tree()?)?;
        self.write_commit(tree, &onto, &String::from_utf8_lossy(candidate.message_bytes()))
    }
}

/// What stands in a listing where `path` needs a folder, or is a folder where `path` is a file.
pub(crate) fn collides<'a>(listing: &'a Listing, path: &str) -> Option<&'a str> {
    let above = path.match_indices('/').find_map(|(end, _)| listing.get_key_value(&path[..end]));
    let folder = format!("{path}/");
    let below = || listing.range(folder.clone()..).next().filter(|(other, _)| other.starts_with(&folder));
    above.or_else(below).map(|(other, _)| other.as_str())
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

/// The length of the longest beginning of a line that could be taken for a marker.
fn longest_marker(text: &str) -> usize {
    let lead = |line: &str| {
        let first = line.chars().next().filter(|first| "<|=>".contains(*first));
        first.map_or(0, |first| line.chars().take_while(|c| *c == first).count())
    };
    text.split(['\n', '\r']).map(lead).max().unwrap_or_default()
}
