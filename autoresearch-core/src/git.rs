//! The git side of a run, on the object store and the refs alone: the user's branch, index and working tree are never touched.
//!
//! [`Lineage`] is one run's part of a repository: a branch, `autoresearch/<tag>` by default, that follows the kept changes, and the
//! refs below `refs/autoresearch/<tag>/` that keep every candidate reachable. No type of the git library appears in a signature.

mod bundle;
mod check;
mod checkout;
mod commits;
mod conflict;
mod conversions;
mod convert;
mod error;
mod lineage;
mod merge;
mod names;
mod program;
mod refs;
mod repository;
mod scratch;
mod settings;
mod tree;
mod uncommitted;
mod view;

pub use bundle::make_repository;
pub use checkout::stays_inside;
pub use conflict::Conflict;
pub use conversions::Checkout;
pub use error::GitError;
pub use lineage::{Lineage, root_of};
pub use merge::Merge;
pub use names::is_branch_name;
pub use tree::{FileMode, Listing, ObjectId, TreeFile, collision};
