//! One file that holds a run for others to check: its journal, its commits, its configuration and its results.
//!
//! The file is an archive that any `tar` unpacks. Its members have fixed names, order and headers, the first lists the others with
//! their BLAKE3, and the last has the BLAKE3 of everything before it: no byte is without a checksum, and the same run gives the
//! same bytes.

mod error;
mod format;
mod pack;
mod read;
mod signature;
mod write;

pub use error::BundleError;
pub use format::{
    ARGUMENTS, CASSETTES, CONFIGURATION, HINTS, HISTORY, MACHINE, Manifest, PRESET, REMOVED, REPOSITORY, is_bundle,
};
pub use pack::check_sizes;
pub use read::{Contents, unpack};
pub use signature::{sign, signature_of, verify_signature};
pub use write::write;
