//! What a run is told beside its parts.

use std::path::PathBuf;

use super::{Excursion, Screening};
use crate::sandbox::{Budget, Revision};
use crate::stop::Stop;

/// The settings of a run beside its parts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The run's name.
    pub tag: String,
    /// What the search starts from, if that has a name before it is staged.
    pub base: Option<Revision>,
    /// A description, or a hash, of everything that decides the number: a run is never continued under another policy.
    pub policy: String,
    /// Seeds the runs. Every candidate is first measured with the same seed.
    pub seed: u64,
    /// The limits of each run.
    pub budget: Budget,
    /// When to end.
    pub stop: Stop,
    /// Where `results.tsv` is kept, if anywhere.
    pub results: Option<PathBuf>,
    /// After so many runs that vanished with the harness or the machine, an experiment counts as crashed.
    pub lost_runs: u32,
    /// After so many experiments since it was measured last the incumbent is measured again, to see whether the machine still
    /// gives the same code the same scores. Never, if this is missing.
    pub remeasure_every: Option<u32>,
    /// After so many crashes in a row the incumbent is run again: if it does not run either, the machine is at fault, and
    /// the search pauses instead of spending experiments.
    pub suspicious_crashes: usize,
    /// Short runs before the full budget, if there are any. It belongs to the policy: a run that goes on keeps it.
    pub screening: Option<Screening>,
    /// When the search leaves its incumbent for a while, if it does.
    pub excursion: Option<Excursion>,
}

impl Settings {
    /// The settings of the run `tag`, with a budget for each run, and everything else as most searches want it: no end but
    /// the proposer's, seed 0, no table of results.
    pub fn new(tag: impl Into<String>, budget: impl Into<Budget>) -> Settings {
        Settings {
            tag: tag.into(),
            base: None,
            policy: String::new(),
            seed: 0,
            budget: budget.into(),
            stop: Stop::default(),
            results: None,
            lost_runs: 3,
            remeasure_every: None,
            suspicious_crashes: 5,
            screening: None,
            excursion: None,
        }
    }
}
