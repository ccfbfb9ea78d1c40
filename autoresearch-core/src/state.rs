//! The state of a run: the experiments so far, the incumbent, and what was left unfinished, folded from its journal. The same
//! records give the same state.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::experiment_id::ExperimentId;
use crate::journal::{Entry, JournalError, Moment};
use crate::metric::Direction;
use crate::proposal::Cost;
use crate::ratchet::{Comparison, Evidence, Noise};
use crate::sandbox::Revision;

mod apply;
mod base;
mod decided;
mod excursion;
mod parts;
mod screening;

pub use crate::journal::{ExcursionStep, Promotion, RunHeader, Status};
pub use base::BaseStatus;
use parts::TestPlace;
pub use parts::{
    AuditScore, EarlierCandidate, Experiment, FinishedExcursion, HoldoutUse, Incumbent, OpenExperiment,
    RejectedProposal, Running, Shift, SideLine,
};
pub use screening::{Rung, RungResult, Rungs, ScreeningRecord};

/// Number of the latest experiments that have the end of their log in memory.
const LOGS_IN_MEMORY: usize = 32;
/// Sandbox failures of one experiment in a row, over all restarts, after which the incumbent is run as a health check: if
/// that runs, the candidate is at fault.
pub const SANDBOX_FAILURES: u32 = 4;

/// The state of a run, folded from its journal.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// The identity of the run.
    #[doc(hidden)]
    pub header: Option<RunHeader>,
    /// The decided experiments, the baseline first, in the order of the decisions: with several workers not that of their
    /// numbers.
    pub experiments: Vec<Experiment>,
    /// Proposals that were rejected before they cost an experiment.
    pub rejections: Vec<RejectedProposal>,
    /// Hints of a person to the proposer, oldest first.
    #[doc(hidden)]
    pub hints: Vec<String>,
    /// The best measured state, once the baseline is measured.
    pub incumbent: Option<Incumbent>,
    /// Experiments that are staged and not decided, oldest first: prepared, in flight, or waiting for another decision.
    #[doc(hidden)]
    pub open: Vec<OpenExperiment>,
    /// Former incumbents that open experiments have as their parents.
    #[doc(hidden)]
    pub former: Vec<Incumbent>,
    /// The old and the new incumbent of a keep that was decided and perhaps not yet adopted.
    #[doc(hidden)]
    pub unadopted: Option<(Option<Revision>, Revision)>,
    /// Cost of all proposals.
    pub cost: Cost,
    /// Reason of the last stop, until the run is resumed.
    pub stopped: Option<String>,
    /// Moment of the run's latest record: its end, once it has stopped. Audits and holdouts come after it.
    #[doc(hidden)]
    pub latest: Moment,
    /// Number of health checks.
    #[doc(hidden)]
    pub checks: u32,
    /// Number of health checks that failed since the last one that passed.
    #[doc(hidden)]
    pub failed_checks: u32,
    /// Number of experiments that crashed since the last one that did not and since the last health check that passed.
    #[doc(hidden)]
    pub crashes_in_a_row: usize,
    /// Number of experiments and rejected proposals since the last keep.
    #[doc(hidden)]
    pub since_keep: usize,
    /// Reason why the incumbent itself gave no number in the last health check, if it gave none: then the machine is at fault,
    /// not the candidates.
    #[doc(hidden)]
    pub failing: Option<String>,
    /// Seconds that all experiments together took, from their staging to their decision, without the baseline.
    #[doc(hidden)]
    pub seconds_experimenting: f64,
    /// Wall clock of all trials of experiments, of candidates and of incumbents beside them.
    #[doc(hidden)]
    pub time_of_trials: Duration,
    /// Wall clock of the builds before them.
    #[doc(hidden)]
    pub time_of_builds: Duration,
    /// Wall clock of the evaluations of what they left.
    #[doc(hidden)]
    pub time_of_evaluations: Duration,
    /// Time for which the machine was suspended during the run, as far as the lab saw that.
    #[doc(hidden)]
    pub suspended: Duration,
    /// Noise: how much trials of the same code differ.
    pub noise: Noise,
    /// Number of candidates measured more than once.
    #[doc(hidden)]
    pub tested: u32,
    /// Number of tests that have begun: of candidates whose second trial was started, decided or not.
    pub(crate) tests_begun: u32,
    /// Number of those that were kept.
    #[doc(hidden)]
    pub tested_kept: u32,
    /// Number of the latest health checks in a row that together look like a shift of the machine.
    pub(crate) suspected_checks: u32,
    /// Number of experiments since the incumbent was measured last.
    #[doc(hidden)]
    pub since_measured: u32,
    /// Shifts of the machine that were found.
    #[doc(hidden)]
    pub shifts: Vec<Shift>,
    /// Uses of the holdout.
    #[doc(hidden)]
    pub holdout: Vec<HoldoutUse>,
    /// The incumbent's trials on the rungs, and the counts of screening.
    #[doc(hidden)]
    pub rungs: Rungs,
    /// The side line of the excursion in flight, if there is one.
    #[doc(hidden)]
    pub side_line: Option<SideLine>,
    /// The finished excursions.
    #[doc(hidden)]
    pub excursions: Vec<FinishedExcursion>,
    /// Numbers of experiments by the hashes of their fingerprints, which are shorter: every experiment has an entry.
    by_fingerprint: HashMap<u64, ExperimentId>,
    /// Index of each experiment among the decided ones, by its number.
    places: Vec<u32>,
}

impl State {
    /// Folds `entries` into a state.
    ///
    /// # Errors
    /// A contradiction at the first entry that contradicts those before it.
    #[doc(hidden)]
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, JournalError> {
        let mut state = State::default();
        for entry in entries {
            state.apply(entry)?;
        }
        Ok(state)
    }

    /// Returns the number of the next experiment.
    #[doc(hidden)]
    pub fn next_experiment(&self) -> ExperimentId {
        ExperimentId((self.experiments.len() + self.open.len()) as u32)
    }

    /// Finds the decided experiment of this number.
    pub fn experiment(&self, id: ExperimentId) -> Option<&Experiment> {
        self.places.get(id.0 as usize).and_then(|place| self.experiments.get(*place as usize))
    }

    /// Finds the experiment with the same files, decided or open.
    #[doc(hidden)]
    pub fn with_fingerprint(&self, fingerprint: &str) -> Option<&Experiment> {
        let decided = self.by_fingerprint.get(&hash(fingerprint)).and_then(|id| self.experiment(*id));
        let decided = decided.filter(|decided| decided.candidate.fingerprint == fingerprint);
        decided.or_else(|| self.pending().find(|pending| pending.candidate.fingerprint == fingerprint))
    }

    /// Counts the decided experiments, without the baseline.
    pub fn finished(&self) -> usize {
        self.experiments.len().saturating_sub(1)
    }

    /// Collects the evidence for judging `open`.
    #[doc(hidden)]
    pub fn evidence(&self, open: &OpenExperiment) -> Evidence {
        let mut incumbent = self.reference(open).cloned().unwrap_or_default();
        incumbent.measurements.extend(open.incumbent.iter().cloned());
        let direction = self.header.as_ref().map_or(Direction::Minimise, |header| header.direction);
        // The incumbent does not have the sacrifices of a side line either.
        let side_line = self.side_line.as_ref().map_or(0, |line| line.added_lines);
        let added_lines = open.experiment.candidate.added_lines + side_line;
        let test = open.test.unwrap_or(TestPlace { begun: self.tests_begun, kept: self.tested_kept });
        let front = match &self.header {
            Some(header) if header.rule.comparison == Comparison::Front => {
                let kept = self.experiments.iter().filter(|experiment| experiment.status == Status::Keep);
                kept.map(|experiment| experiment.arm.clone()).collect()
            }
            _ => Vec::new(),
        };
        Evidence {
            front,
            interleaved: open.incumbent.len(),
            noise: self.noise,
            tested: test.begun as usize,
            kept: test.kept as usize,
            remaining: open.remaining,
            ..Evidence::new(incumbent, open.experiment.arm.clone(), direction, added_lines)
        }
    }
}

fn hash(fingerprint: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    fingerprint.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
