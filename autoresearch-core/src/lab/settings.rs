//! The settings of a run beside its parts.

use std::path::PathBuf;

use super::excursion::ExcursionRule;
use super::screening::Screening;
use crate::policy::Policy;
use crate::ratchet::Ratchet;
use crate::sandbox::{Budget, Revision};
use crate::stop::Stop;

/// Under a rule that knows the noise, the incumbent is measured again after this many experiments without a measurement.
const REMEASURE_EVERY: u32 = 10;

/// The settings of a run beside its parts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The run's name. The default of [`crate::LabBuilder`] is `run`.
    #[doc(hidden)]
    pub tag: String,
    /// The revision that the search starts from, if it is known before the baseline is staged. Default: none.
    #[doc(hidden)]
    pub base: Option<Revision>,
    /// The branch that the lineage is on, if the sandbox has one of another name than `autoresearch/<tag>`. Default: none.
    #[doc(hidden)]
    pub branch: Option<String>,
    /// The protections around the commands of candidates as the run begins, and those that are missing, in words. Default: none.
    #[doc(hidden)]
    pub enforcement: Option<String>,
    /// All other settings that decide the number: a run is never continued under another policy. Default: empty.
    #[doc(hidden)]
    pub policy: Policy,
    /// The run's seed, which the first trial of every candidate has; those of further trials follow from it. Default: 0.
    #[doc(hidden)]
    pub seed: u64,
    /// The limits of each trial. The default of [`crate::LabBuilder`] is five minutes.
    #[doc(hidden)]
    pub budget: Budget,
    /// The conditions under which the run ends. Default: only when the proposer is exhausted.
    #[doc(hidden)]
    pub stop: Stop,
    /// Path of `results.tsv`. Default: no table is written.
    pub results: Option<PathBuf>,
    /// Path of a file to which a person may add hints while the run goes on, one JSON line `{"text":"…"}` for each. They are
    /// journaled before the proposer is asked the next time. Default: no file is read.
    pub hints: Option<PathBuf>,
    /// Number of deaths of the process, while trials of an experiment were in flight, after which it counts as crashed.
    /// Default: 3.
    pub loss_limit: u32,
    /// Number of experiments without a measurement of the incumbent after which it is measured again, to see whether the
    /// machine still gives the same code the same scores; `Some(0)`: never. Default, if this is missing: 10 under a rule that
    /// knows the noise ([`Ratchet::fresh_seeds`]), never under others.
    pub remeasure_every: Option<u32>,
    /// Number of crashes in a row after which the incumbent is run again: if it does not run either, the machine is at fault,
    /// and the search pauses instead of spending experiments. Default: 5.
    pub suspicious_crashes: usize,
    /// Number of rejected proposals in a row after which the run ends. From the third on each is followed by a wait.
    /// Default: 20.
    pub rejection_limit: u32,
    /// Number of measurements of one experiment, of both sides, after which it is discarded if the rule still asks for more.
    /// Default: 64.
    pub measurement_limit: usize,
    /// Trials on shares of the budget before the full one. It belongs to the policy, so a resumed run keeps it.
    /// Default: none.
    #[doc(hidden)]
    pub screening: Option<Screening>,
    /// The workers. Default: one, without proposals or builds ahead.
    #[doc(hidden)]
    pub workers: Workers,
    /// The rule of excursions from the incumbent. Default: none.
    #[doc(hidden)]
    pub excursion: Option<ExcursionRule>,
}

/// The workers of a lab. By default there is one: a proposal, its build and its trial follow one another.
///
/// ```
/// use autoresearch_core::Workers;
/// let workers = Workers::new(4);
/// assert_eq!((workers.classes.len(), workers.ahead), (4, true));
/// assert!(!Workers::default().ahead, "one thing after the other");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workers {
    /// The class of hardware of each worker, one entry for each. Scores are never compared across classes: trials on the full
    /// budget use only workers of the first one's class, those on rungs the class of [`Screening::class`].
    pub classes: Vec<String>,
    /// True if proposals are made while experiments run, so that no worker waits for the proposer. Each then knows fewer
    /// results.
    pub ahead: bool,
    /// Number of builds beside the trials, in slots of their own. With 0 each worker builds for itself, as is right
    /// where a build would disturb a trial.
    pub builders: usize,
}

impl Default for Workers {
    fn default() -> Workers {
        Workers { classes: vec![String::new()], ahead: false, builders: 0 }
    }
}

impl Workers {
    /// Workers of one class, at least one, with proposals and builds ahead of them.
    pub fn new(count: usize) -> Workers {
        Workers { classes: vec![String::new(); count.max(1)], ahead: true, builders: count.max(1) }
    }

    /// Returns the number of slots to build and run in: a trial's slot is below this.
    #[doc(hidden)]
    pub fn slots(&self) -> usize {
        self.classes.len() + self.builders
    }
}

impl Settings {
    /// The settings of the run `tag` with these limits of each trial, and the defaults of everything else.
    ///
    /// ```
    /// use std::time::Duration;
    /// let settings = autoresearch_core::internal::Settings::new("may1", Duration::from_secs(300));
    /// assert_eq!((settings.seed, settings.rejection_limit, settings.measurement_limit), (0, 20, 64));
    /// ```
    pub fn new(tag: impl Into<String>, budget: impl Into<Budget>) -> Settings {
        Settings {
            tag: tag.into(),
            base: None,
            branch: None,
            enforcement: None,
            policy: Policy::new(),
            seed: 0,
            budget: budget.into(),
            stop: Stop::default(),
            results: None,
            hints: None,
            loss_limit: 3,
            remeasure_every: None,
            suspicious_crashes: 5,
            rejection_limit: 20,
            measurement_limit: 64,
            screening: None,
            workers: Workers::default(),
            excursion: None,
        }
    }

    /// Returns the number of experiments after which the incumbent is measured again under this rule.
    pub(super) fn remeasure_every(&self, rule: &dyn Ratchet) -> Option<u32> {
        match self.remeasure_every {
            None => rule.fresh_seeds().then_some(REMEASURE_EVERY),
            every => every.filter(|every| *every > 0),
        }
    }

    /// Checks the values. The error says which is wrong, and what to give instead.
    pub(super) fn check(&self) -> Result<(), String> {
        let classes = &self.workers.classes;
        let Some(first) = classes.first() else {
            return Err("there are no workers; give at least one".into());
        };
        self.stop.check()?;
        if let Some(screening) = &self.screening {
            screening.check().map_err(|why| format!("the screening: {why}"))?;
            if let Some(class) = screening.class.as_ref().filter(|class| !classes.contains(class)) {
                let classes = classes.join(", ");
                return Err(format!("the screening: no worker is of the class `{class}`; the classes are {classes}"));
            }
        }
        let is_used =
            |class: &String| class == first || self.screening.as_ref().is_some_and(|s| s.class.as_ref() == Some(class));
        if let Some(class) = classes.iter().find(|class| !is_used(class)) {
            return Err(format!(
                "nothing runs on the class `{class}`: the full budget is for `{first}`, the class of the first worker; let \
                 the rungs of the screening be tried on it, or leave its workers out"
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
