//! The answers of `verify` and of `doctor` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::checks::Finding;

/// The answer of `verify`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerifyAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// Number of all violations.
    pub violations: usize,
    /// The checks that were made.
    pub checks: Vec<CheckAnswer>,
    /// Checks that were left out, with the reason.
    pub skipped: Vec<String>,
}

/// One kind of check.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckAnswer {
    /// Its subject.
    pub subject: String,
    /// The violations, in words.
    pub wrong: Vec<String>,
    /// Oddities that are no violations.
    pub notes: Vec<String>,
}

/// The answer of `doctor`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorAnswer<'a> {
    /// Version of this form.
    pub version: u32,
    /// The findings.
    pub findings: &'a [Finding],
}
