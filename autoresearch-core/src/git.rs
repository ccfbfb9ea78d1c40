//! The git side of a run, on the object store and the refs alone: the user's branch, index and working tree are never touched.
//!
//! [`Lineage`] is one run's part of a repository: the branch `autoresearch/<tag>` that follows the kept changes, and the refs
//! below `refs/autoresearch/<tag>/` that keep every candidate reachable. No type of the git library appears in a signature.

mod check;
mod checkout;
mod commits;
mod conflict;
mod error;
mod lineage;
mod merge;
mod names;
mod refs;
mod repository;
mod tree;

pub use checkout::stays_inside;
pub use conflict::Conflict;
pub use error::GitError;
pub use lineage::{Lineage, root_of};
pub use merge::Merge;
pub use tree::{FileMode, Listing, ObjectId, TreeFile, collision};
