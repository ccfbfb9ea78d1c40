//! The form of a policy: every setting under a name that is written out and never changes.

use std::collections::BTreeMap;

use autoresearch_core::internal::metric::Repeats;
use serde::Serialize;

use crate::config::{NetworkSetting, PartSection, RatchetSection};

/// The settings as they are written into a policy.
#[derive(Serialize)]
pub struct Document<'a> {
    #[serde(rename = "editable")]
    pub editable: &'a [String],
    #[serde(rename = "build")]
    pub build: Build<'a>,
    #[serde(rename = "run")]
    pub run: Run<'a>,
    #[serde(rename = "workspace")]
    pub workspace: Workspace<'a>,
    #[serde(rename = "guard")]
    pub guard: Option<Guard<'a>>,
    /// Left out where the run prints its number, as in those that began before anything else was possible.
    #[serde(rename = "evaluate", skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<Evaluate<'a>>,
    /// Left out of a run without walls, as those are that began before there were any.
    #[serde(rename = "isolation", skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation<'a>>,
    #[serde(rename = "limits")]
    pub limits: Limits,
    #[serde(rename = "environment")]
    pub environment: BTreeMap<&'a str, String>,
    #[serde(rename = "metric")]
    pub metric: Metric<'a>,
    #[serde(rename = "ratchet")]
    pub ratchet: &'a RatchetSection,
    #[serde(rename = "constants")]
    pub constants: &'a BTreeMap<String, String>,
    #[serde(rename = "screening")]
    pub screening: Option<Screening>,
    #[serde(rename = "excursion")]
    pub excursion: Option<Excursion>,
    #[serde(rename = "workers")]
    pub workers: Workers,
    #[serde(rename = "locked")]
    pub locked: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
pub struct Build<'a> {
    #[serde(rename = "command")]
    pub command: &'a [String],
    #[serde(rename = "limit_seconds")]
    pub limit_seconds: f64,
    #[serde(rename = "keeps")]
    pub keeps: &'a [String],
}

#[derive(Serialize)]
pub struct Run<'a> {
    #[serde(rename = "command")]
    pub command: &'a [String],
    #[serde(rename = "limit_seconds")]
    pub limit_seconds: f64,
    #[serde(rename = "cpus")]
    pub cpus: Vec<usize>,
    #[serde(rename = "repeats")]
    pub repeats: u32,
    /// The values of the variables that the command inherits by `pass`.
    #[serde(rename = "pass")]
    pub pass: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
pub struct Isolation<'a> {
    #[serde(rename = "read")]
    pub read: &'a [String],
    #[serde(rename = "write")]
    pub write: &'a [String],
    /// Left out where there is none, as in runs that began before it was possible.
    #[serde(rename = "pristine", skip_serializing_if = "<[String]>::is_empty")]
    pub pristine: &'a [String],
    #[serde(rename = "image", skip_serializing_if = "Option::is_none")]
    pub image: Option<&'a str>,
    #[serde(rename = "network")]
    pub network: NetworkSetting,
}

#[derive(Serialize)]
pub struct Workspace<'a> {
    #[serde(rename = "share")]
    pub share: &'a [String],
    #[serde(rename = "copy")]
    pub copy: &'a [String],
    /// Left out where there is none, as in runs that began before there could be one.
    #[serde(rename = "git", skip_serializing_if = "std::ops::Not::not")]
    pub git: bool,
}

#[derive(Serialize)]
pub struct Guard<'a> {
    #[serde(rename = "commands")]
    pub commands: Vec<&'a [String]>,
    #[serde(rename = "when")]
    pub when: &'static str,
    #[serde(rename = "limit_seconds")]
    pub limit_seconds: f64,
}

#[derive(Serialize)]
pub struct Evaluate<'a> {
    #[serde(rename = "command")]
    pub command: &'a [String],
    #[serde(rename = "inputs")]
    pub inputs: &'a [String],
    #[serde(rename = "share")]
    pub share: &'a [String],
    #[serde(rename = "limit_seconds")]
    pub limit_seconds: f64,
}

#[derive(Serialize)]
pub struct Limits {
    #[serde(rename = "memory_bytes")]
    pub memory: Option<u64>,
    #[serde(rename = "file_bytes")]
    pub file_size: Option<u64>,
    #[serde(rename = "processes")]
    pub processes: Option<u64>,
}

#[derive(Serialize)]
pub struct Metric<'a> {
    #[serde(rename = "direction")]
    pub direction: &'static str,
    #[serde(rename = "kind")]
    pub kind: &'static str,
    #[serde(rename = "repeats_of")]
    pub repeats_of: Option<Repeats>,
    /// The source of the number, with its name and unit.
    #[serde(flatten)]
    pub source: PartSection,
    #[serde(rename = "composite")]
    pub composite: Option<&'a str>,
    #[serde(rename = "parts")]
    pub parts: &'a BTreeMap<String, PartSection>,
    #[serde(rename = "statistic")]
    pub statistic: Option<&'static str>,
    #[serde(rename = "clock")]
    pub clock: Option<&'static str>,
    #[serde(rename = "samples")]
    pub samples: Option<u32>,
}

#[derive(Serialize)]
pub struct Screening {
    #[serde(rename = "rungs")]
    pub rungs: Vec<f64>,
    #[serde(rename = "margin")]
    pub margin: f64,
    #[serde(rename = "second_margin")]
    pub second_margin: f64,
    #[serde(rename = "allowance")]
    pub allowance: f64,
    #[serde(rename = "repeats")]
    pub repeats: usize,
    #[serde(rename = "control")]
    pub control: u32,
    #[serde(rename = "class")]
    pub class: Option<String>,
}

#[derive(Serialize)]
pub struct Excursion {
    #[serde(rename = "after")]
    pub after: usize,
    #[serde(rename = "steps")]
    pub steps: usize,
    #[serde(rename = "tolerance")]
    pub tolerance: f64,
}

#[derive(Serialize)]
pub struct Workers {
    /// Workers that share the machine without anything of their own.
    #[serde(rename = "sharing")]
    pub sharing: Option<usize>,
    #[serde(rename = "hardware")]
    pub hardware: Option<Vec<Hardware>>,
}

#[derive(Serialize)]
pub struct Hardware {
    #[serde(rename = "class")]
    pub class: String,
    #[serde(rename = "cpus")]
    pub cpus: usize,
    #[serde(rename = "gpus")]
    pub gpus: usize,
}
