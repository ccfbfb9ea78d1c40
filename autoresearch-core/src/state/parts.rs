//! The parts of a state.

use super::ScreeningRecord;
use crate::experiment_id::ExperimentId;
use crate::journal::{Moment, StagedExperiment, Status};
use crate::metric::{Measurement, Score};
use crate::proposal::{Cost, Design, was_cancelled};
use crate::ratchet::{Arm, Side, mean};
use crate::sandbox::{Candidate, Outcome, Revision};

/// An experiment: the life of one accepted proposal. Before its decision its status and reason mean nothing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Experiment {
    /// Its number; 0 is the baseline.
    pub id: ExperimentId,
    /// Its parent: the incumbent, or the end of a side line; `None` for the baseline.
    pub parent: Option<Revision>,
    /// The candidate that its trials executed.
    pub candidate: Candidate,
    /// The revision that it is known by in the lineage, if it was kept.
    #[doc(hidden)]
    pub kept_as: Option<Revision>,
    /// The proposal in one line.
    pub description: String,
    /// Why it should have helped.
    pub hypothesis: String,
    /// The change itself, as JSON.
    pub change: serde_json::Value,
    /// Cost of the proposal.
    pub cost: Cost,
    /// Name of the proposer that made it, where several take turns.
    pub proposer: String,
    /// Its place in a designed wave, if it belongs to one.
    #[doc(hidden)]
    pub design: Option<Box<Design>>,
    /// Its candidates before each rebase, oldest first.
    #[doc(hidden)]
    pub rebased: Vec<EarlierCandidate>,
    /// Both sides of the conflict that kept it from being rebased onto the incumbent of its time, for the proposer.
    #[doc(hidden)]
    pub conflict: Option<Box<str>>,
    /// Its result.
    pub status: Status,
    /// The reason of the decision, in one line.
    pub reason: String,
    /// Its measurements on the full budget.
    pub arm: Arm,
    /// Number of the latest measurements that count as its score: those that did not choose it.
    #[doc(hidden)]
    pub reference: u32,
    /// The probability with which its test would have kept a change without effect, if there was a test.
    #[doc(hidden)]
    pub alpha: Option<f64>,
    /// Its trials on the rungs of screening, if it had any.
    #[doc(hidden)]
    pub screening: Option<Box<ScreeningRecord>>,
    /// The incumbent's score when it was judged; `None` for the baseline.
    #[doc(hidden)]
    pub before: Option<Score>,
    /// Its scores in audits after the decision, oldest first.
    #[doc(hidden)]
    pub audit: Vec<AuditScore>,
    /// The end of its last trial. Only the latest experiments have the end of the log here; the journal has them all.
    pub outcome: Option<Outcome>,
    /// Time its first trial started (UTC); until then, the time it was staged.
    #[doc(hidden)]
    pub started: Moment,
    /// Time it was decided (UTC).
    #[doc(hidden)]
    pub finished: Moment,
}

impl Experiment {
    /// Returns whether its last trial ended with a guard that failed: the candidate runs, and is discarded for that.
    pub fn failed_guard(&self) -> bool {
        self.outcome.as_ref().is_some_and(Outcome::failed_guard)
    }

    /// Returns its mean score, if it has one, over the measurements that did not choose it where there are such.
    pub fn score(&self) -> Option<Score> {
        mean(&self.arm.measurements[self.selecting()..])
    }

    /// Returns the mean of the measurements that chose it, if the score is the mean of others.
    #[doc(hidden)]
    pub fn selected_at(&self) -> Option<Score> {
        mean(&self.arm.measurements[..self.selecting()])
    }

    fn selecting(&self) -> usize {
        self.arm.measurements.len().saturating_sub(self.reference as usize)
    }

    /// Returns the revision to show: the one in the lineage if it was kept, else its candidate.
    pub fn revision(&self) -> &Revision {
        self.kept_as.as_ref().unwrap_or(&self.candidate.revision)
    }
}

/// A candidate that an experiment had before a rebase.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EarlierCandidate {
    /// Its parent.
    pub parent: Option<Revision>,
    /// The candidate, whether it was executed or not.
    pub candidate: Candidate,
    /// Its measurements, which were compared with those of its own parent and say nothing about the later candidate.
    pub arm: Arm,
}

/// A proposal that was rejected before it cost an experiment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RejectedProposal {
    /// Its description.
    pub description: String,
    /// The reason.
    pub reason: String,
    /// The change itself, as JSON.
    pub change: serde_json::Value,
    /// Its cost.
    #[doc(hidden)]
    pub cost: Cost,
    /// Name of the proposer that made it, where several take turns.
    #[doc(hidden)]
    pub proposer: String,
    /// The number of the next experiment at that time: the proposal came after all experiments with lower numbers.
    #[doc(hidden)]
    pub experiment: ExperimentId,
}

impl RejectedProposal {
    /// True if it only holds the cost of what the end of a run cut off, and says nothing of any change.
    #[doc(hidden)]
    pub fn was_cancelled(&self) -> bool {
        was_cancelled(&self.description, &self.change)
    }
}

/// The best measured revision, which a candidate must beat.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Incumbent {
    /// The revision that it is known by in the lineage.
    pub revision: Revision,
    /// The experiment that made it.
    pub experiment: ExperimentId,
    /// The candidate that a trial of it executes.
    #[doc(hidden)]
    pub candidate: Candidate,
    /// Its measurements.
    pub arm: Arm,
}

/// An experiment that is staged and not decided.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OpenExperiment {
    /// The experiment so far; status and reason mean nothing yet.
    pub experiment: Experiment,
    /// True if it is in the merge queue: it was better than a base that is not the incumbent any more, and was rebased. Its
    /// trials go first, and other better candidates are rebased onto it.
    pub in_merge_queue: bool,
    /// Number of trials started.
    pub trials_started: u32,
    /// Number of times that the process of the lab died while trials of it were in flight.
    pub lost: u32,
    /// Number of sandbox failures since its last trial with a result, over all restarts.
    pub sandbox_failures: u32,
    /// The last of these failures.
    pub sandbox_failure: String,
    /// The trials in flight.
    pub running: Vec<Running>,
    /// True if the incumbent gave no number on a rung, so that trials on it cannot be compared.
    pub incomparable: bool,
    /// Fresh measurements of the incumbent, made for this experiment.
    pub incumbent: Vec<Measurement>,
    /// Reason why the candidate's last trial gave no number, if it gave none. The experiment then counts as crashed, or as
    /// discarded if a guard failed.
    pub failed: Option<String>,
    /// Approximate number of further experiments that fitted into the run when it was staged, if the end of the run was known.
    pub remaining: Option<f64>,
    /// The place of its test among all, once that has begun: fixed then, whatever is decided beside it.
    pub(crate) test: Option<TestPlace>,
    /// Seeds of the trials on the full budget that gave a number.
    pub(crate) measured_seeds: Vec<(Side, u64)>,
}

/// The place of a candidate's test among the tests of a run: the level of a test is set by what came before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TestPlace {
    /// Number of tests that began before it.
    pub(crate) begun: u32,
    /// Number of tested candidates that had been kept by then.
    pub(crate) kept: u32,
}

/// A trial in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Running {
    /// Number of the trial within its experiment.
    pub trial: u32,
    /// The revision that is executed.
    pub side: Side,
    /// The seed given to it.
    pub seed: u64,
    /// The share of the full budget that it has.
    pub fidelity: f64,
    /// The slot that it has.
    pub slot: u32,
    /// The experiment that made the incumbent when the trial started.
    pub incumbent: Option<ExperimentId>,
}

/// A shift of the machine: it gives the same code other scores than before.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Shift {
    /// The last experiment before it.
    pub experiment: ExperimentId,
    /// The change of the incumbent's score, in the metric's unit.
    pub by: f64,
}

/// One use of the holdout.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldoutUse {
    /// Time the holdout was opened (UTC).
    pub at: Moment,
    /// Number of the experiments decided until then, beside the baseline.
    pub experiment: u32,
    /// The experiment that made the best state, which was measured.
    pub best: ExperimentId,
    /// The scores of the baseline and of the best state, or why there are none; `None` if the measurement did not end.
    pub result: Option<(Result<Score, String>, Result<Score, String>)>,
}

impl OpenExperiment {
    /// Makes an open experiment of a staged one.
    pub(super) fn staged(staged: StagedExperiment, at: Moment) -> OpenExperiment {
        let StagedExperiment {
            experiment: id,
            parent,
            candidate,
            description,
            hypothesis,
            change,
            cost,
            proposer,
            design,
            remaining,
        } = staged;
        OpenExperiment {
            experiment: Experiment {
                id,
                parent,
                candidate,
                kept_as: None,
                description,
                hypothesis,
                change,
                cost,
                proposer,
                design,
                rebased: Vec::new(),
                conflict: None,
                status: Status::Discard,
                reason: String::new(),
                arm: Arm::default(),
                reference: 0,
                alpha: None,
                screening: None,
                before: None,
                audit: Vec::new(),
                outcome: None,
                started: at,
                finished: at,
            },
            in_merge_queue: false,
            trials_started: 0,
            lost: 0,
            sandbox_failures: 0,
            sandbox_failure: String::new(),
            running: Vec::new(),
            incomparable: false,
            incumbent: Vec::new(),
            failed: None,
            remaining,
            test: None,
            measured_seeds: Vec::new(),
        }
    }

    /// Counts the measurements on the full budget, of both sides.
    pub fn measurements(&self) -> usize {
        self.experiment.arm.measurements.len() + self.incumbent.len()
    }
}

/// A score of a kept experiment in one round of an audit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct AuditScore {
    /// The seed of the round, in which all kept experiments are measured: scores of the same seed belong together.
    pub seed: u64,
    /// The score.
    pub score: Score,
}

/// The side line of an excursion that the search is on. The incumbent stays what every candidate is judged by.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SideLine {
    /// The experiments that it consists of, the first on the incumbent, each further one on the one before.
    pub sacrifices: Vec<ExperimentId>,
    /// The candidate of the last one, which proposals change.
    pub tip: Revision,
    /// Its score.
    pub score: Score,
    /// Lines that all of them add, minus those that they remove.
    pub added_lines: i64,
    /// Number of decided experiments on it.
    pub tried: u32,
}

/// An excursion that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedExcursion {
    /// The experiments that were sacrificed for it.
    pub sacrifices: Vec<ExperimentId>,
    /// Number of experiments made on it.
    pub tried: u32,
    /// The last of these: after it the search was back on its lineage.
    pub last: ExperimentId,
    /// True if that one was kept, and the sacrifices with it.
    pub kept: bool,
}
