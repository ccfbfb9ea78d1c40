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
    /// What runs at the same time.
    pub workers: Workers,
    /// When the search leaves its incumbent for a while, if it does.
    pub excursion: Option<Excursion>,
}

/// What runs at the same time. By default one thing after the other: a proposal, its build, its run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workers {
    /// The class of hardware of each worker, one entry for each. Scores are never compared across classes: runs on the full
    /// budget use only workers of the first one's class, short runs those of [`Screening::class`].
    pub classes: Vec<String>,
    /// Whether proposals are made while experiments run, so that no worker waits for the proposer. Each then knows of fewer
    /// results.
    pub ahead: bool,
    /// So many builds may go on beside the runs, in slots of their own. With 0 a worker builds what it runs: right where a
    /// build would disturb a run.
    pub builders: usize,
}

impl Default for Workers {
    fn default() -> Workers {
        Workers { classes: vec![String::new()], ahead: false, builders: 0 }
    }
}

impl Workers {
    /// So many workers of the same class, for which proposals and builds are made ahead.
    pub fn new(count: usize) -> Workers {
        Workers { classes: vec![String::new(); count.max(1)], ahead: true, builders: count.max(1) }
    }

    /// How many places there must be to build and run in: a trial's slot is below this.
    pub fn slots(&self) -> usize {
        self.classes.len() + self.builders
    }
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
            workers: Workers::default(),
            excursion: None,
        }
    }
}

impl Settings {
    /// What is wrong with them, in a sentence that says what to do.
    pub(super) fn check(&self) -> Result<(), String> {
        let classes = &self.workers.classes;
        if classes.is_empty() {
            return Err("there are no workers; give at least one".into());
        }
        if let Some(screening) = &self.screening {
            screening.check().map_err(|why| format!("the screening: {why}"))?;
            if let Some(class) = screening.class.as_ref().filter(|class| !classes.contains(class)) {
                let classes = classes.join(", ");
                return Err(format!("the screening: no worker is of the class `{class}`; the classes are {classes}"));
            }
        }
        let used = |class: &String| {
            *class == classes[0] || self.screening.as_ref().is_some_and(|s| s.class.as_ref() == Some(class))
        };
        if let Some(class) = classes.iter().find(|class| !used(class)) {
            return Err(format!(
                "nothing runs on the class `{class}`: the full budget is for `{}`, the class of the first worker; let \
                 short runs take place on it, or leave its workers out",
                classes[0]
            ));
        }
        if let Some(excursion) = &self.excursion {
            excursion.check().map_err(|why| format!("the excursions: {why}"))?;
            if classes.len() > 1 || self.workers.ahead {
                return Err(
                    "the excursions: a side line is gone one step at a time, so they need one worker and nothing \
                            prepared ahead; leave them out, or the other workers"
                        .into(),
                );
            }
        }
        Ok(())
    }
}
