//! A run's part of a repository as one stream, in git's own format for bundles: the branch, the pins, and all that they need.
//!
//! `git clone` and `git bundle verify` read it as well. The bytes follow from the refs and their objects alone, not from how the
//! repository has packed them.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, Read, Write};
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{ObjectType, Oid, Repository, RepositoryInitOptions};

use super::error::{GitError, OrGit};
use super::lineage::Lineage;
use crate::revision::Revision;

/// The first line of version 2 of the format.
const SIGNATURE: &str = "# v2 git bundle";
/// Longest line before the objects, in bytes, and most of these lines.
const LONGEST_LINE: u64 = 1024;
const MOST_LINES: usize = 1_000_000;

/// Makes an empty repository in `folder`, with a working tree unless it is bare. No template and no hook is copied into it.
pub fn make_repository(folder: &Path, is_bare: bool) -> Result<(), GitError> {
    let mut options = RepositoryInitOptions::new();
    options.bare(is_bare).no_reinit(true).external_template(false).initial_head("main");
    Repository::init_opts(folder, &options).map(drop).or_git()
}

impl Lineage {
    /// Writes these refs with everything that can be reached from them. Returns the number of objects.
    ///
    /// # Errors
    /// If a ref names no commit, if the history is cut off, as in a clone with `--depth`, or if an object cannot be read.
    pub fn write_bundle(&self, refs: &BTreeMap<String, Revision>, to: &mut dyn Write) -> Result<usize, GitError> {
        if self.repository.is_shallow() {
            let why = "the history of this repository is cut off, and the bundle needs all of it; fetch the rest: git fetch --unshallow";
            return Err(GitError::Git(why.into()));
        }
        let mut head = format!("{SIGNATURE}\n");
        for (name, revision) in refs {
            head += &format!("{} {name}\n", self.commit(revision)?.id());
        }
        let written = |error: std::io::Error| GitError::Git(format!("the bundle cannot be written: {error}"));
        to.write_all(format!("{head}\n").as_bytes()).map_err(written)?;

        let mut builder = self.repository.packbuilder().or_git()?;
        // With one thread the same objects give the same bytes.
        builder.set_threads(1);
        for (id, name) in self.reachable(refs.values())? {
            builder.insert_object(id, name.as_deref()).or_git()?;
        }
        let mut failure = None;
        let packed = builder.foreach(|bytes| {
            failure = to.write_all(bytes).err();
            failure.is_none()
        });
        match failure {
            Some(error) => Err(written(error)),
            None => packed.or_git().map(|()| builder.object_count()),
        }
    }

    /// Lists everything that can be reached from some commits, each object once: the commits, then the trees, then the files,
    /// each with its name in its folder, by which similar ones are found.
    fn reachable<'a>(&self, from: impl Iterator<Item = &'a Revision>) -> Result<Vec<(Oid, Option<String>)>, GitError> {
        let (mut seen, mut commits, mut trees, mut files) = (HashSet::new(), Vec::new(), Vec::new(), Vec::new());
        let mut left = Vec::new();
        for revision in from {
            left.push(self.commit(revision)?.id());
        }
        left.reverse();
        while let Some(id) = left.pop() {
            if seen.insert(id) {
                let commit = self.repository.find_commit(id).or_git()?;
                commits.push((id, None));
                trees.push((commit.tree_id(), None));
                left.extend(commit.parent_ids());
            }
        }
        let mut at = 0;
        trees.retain(|(id, _)| seen.insert(*id));
        while let Some((id, _)) = trees.get(at) {
            at += 1;
            for entry in self.repository.find_tree(*id).or_git()?.iter() {
                let name = Some(String::from_utf8_lossy(entry.name_bytes()).into_owned());
                match entry.kind() {
                    Some(ObjectType::Tree) if seen.insert(entry.id()) => trees.push((entry.id(), name)),
                    Some(ObjectType::Blob) if seen.insert(entry.id()) => files.push((entry.id(), name)),
                    // The other entries are submodules, whose commits are not kept here.
                    _ => {}
                }
            }
        }
        Ok([commits, trees, files].concat())
    }

    /// Takes over the refs and objects that [`Lineage::write_bundle`] wrote. The repository has none of the refs yet.
    ///
    /// # Errors
    /// If it is no bundle of git, needs objects that it does not hold, names refs of another run, or is damaged.
    pub fn read_bundle(&self, from: &mut dyn BufRead) -> Result<(), GitError> {
        let refs = self.read_head(from)?;
        let odb = self.repository.odb().or_git()?;
        let mut pack = odb.packwriter().or_git()?;
        let unreadable = |error: std::io::Error| broken(&format!("its objects cannot be read: {error}"));
        loop {
            let part = from.fill_buf().map_err(unreadable)?;
            if part.is_empty() {
                break;
            }
            pack.write_all(part).map_err(unreadable)?;
            let read = part.len();
            from.consume(read);
        }
        pack.commit().map_err(|error| broken(&format!("its objects cannot be read: {}", error.message())))?;
        for (name, id) in refs {
            self.repository
                .reference(&name, id, false, "autoresearch: from a bundle")
                .map_err(|error| broken(&format!("{name} cannot be made: {}", error.message())))?;
        }
        Ok(())
    }

    /// Reads the names before the objects.
    fn read_head(&self, from: &mut dyn BufRead) -> Result<BTreeMap<String, Oid>, GitError> {
        let mut refs = BTreeMap::new();
        for number in 0..MOST_LINES {
            let mut line = String::new();
            let read = from.take(LONGEST_LINE).read_line(&mut line);
            read.map_err(|error| broken(&format!("line {} cannot be read: {error}", number + 1)))?;
            let line = line.strip_suffix('\n').ok_or_else(|| broken(&format!("line {} has no end", number + 1)))?;
            match (number, line) {
                (0, SIGNATURE) => continue,
                (0, _) => return Err(broken("its first line is not that of version 2")),
                (_, "") => return Ok(refs),
                (_, line) if line.starts_with('-') => return Err(broken("it needs objects that it does not hold")),
                _ => {}
            }
            let (id, name) = line.split_once(' ').unwrap_or_default();
            let is_own = name == self.branch() || name.starts_with(&self.pins());
            match Oid::from_str(id) {
                Ok(oid) if is_own && id.len() == 40 => refs.insert(name.to_owned(), oid),
                _ => return Err(broken(&format!("line {} is no ref of the run {}", number + 1, self.tag()))),
            };
        }
        Err(broken("it names too many refs"))
    }

    /// Writes the files of a commit into the working tree and checks the commit out, without a branch.
    pub fn check_out(&self, revision: &Revision) -> Result<(), GitError> {
        let commit = self.commit(revision)?;
        self.repository.checkout_tree(commit.as_object(), Some(CheckoutBuilder::new().force())).or_git()?;
        self.repository.set_head_detached(commit.id()).or_git()
    }
}

fn broken(why: &str) -> GitError {
    GitError::Git(format!("the bundle of the repository is broken: {why}"))
}
