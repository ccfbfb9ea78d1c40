//! The answers of `verify` and of `doctor` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::bundle::BundleChecked;
use super::version::VERSION;
use crate::attacks::AttackFinding;
use crate::checks::Finding;
use crate::verification::{Check, Report};

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
    /// The bundle, if the run came in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<BundleChecked>,
}

/// The answer of `verify` on a run in its repository.
pub fn verify_answer(report: &Report, tag: &str) -> VerifyAnswer {
    let check = |check: &Check| CheckAnswer {
        subject: check.what.clone(),
        wrong: check.violations.iter().map(ToString::to_string).collect(),
        notes: check.notes.clone(),
    };
    VerifyAnswer {
        version: VERSION,
        tag: tag.to_owned(),
        violations: report.violations(),
        checks: report.checks.iter().map(check).collect(),
        skipped: report.skipped.clone(),
        bundle: None,
    }
}

impl VerifyAnswer {
    /// Adds what was found of the bundle.
    pub fn of_bundle(self, bundle: BundleChecked) -> VerifyAnswer {
        VerifyAnswer { bundle: Some(bundle), ..self }
    }
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
    /// The attacks of `--attack`; absent without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attacks: Option<&'a [AttackFinding]>,
}
