//! The answer of `gc` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

/// The answer of `gc`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GcAnswer {
    /// Version of this form.
    pub version: u32,
    /// True if the files and refs are gone; false if this only says what would go.
    pub removed: bool,
    /// The runs that have something to remove.
    pub runs: Vec<GcRun>,
    /// The runs that stay as they are, each with the reason.
    pub kept: std::collections::BTreeMap<String, String>,
}

/// The parts of one run that go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GcRun {
    /// The run.
    pub tag: String,
    /// Number of refs of candidates that were not kept.
    pub refs: usize,
    /// Bytes of its logs.
    pub log_bytes: u64,
    /// Bytes of its working folders.
    pub slot_bytes: u64,
}
