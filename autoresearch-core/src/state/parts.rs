//! What a state is made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Short;
use crate::metric::{Direction, Measurement, Score};
use crate::proposer::{Cost, Design};
use crate::ratchet::{Arm, DecisionRule, Side, mean};
use crate::sandbox::{Candidate, Outcome, Revision};

/// What became of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is better and became the incumbent.
    Keep,
    /// It is not better and was reverted.
    Discard,
    /// It gave no number and was reverted.
    Crash,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Status::Keep => "keep",
            Status::Discard => "discard",
            Status::Crash => "crash",
        })
    }
}

/// A finished experiment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Experiment {
    /// Its number; 0 is the baseline.
    pub id: u32,
    /// What it changed, the incumbent or the tip of a side line; `None` for the baseline.
    pub parent: Option<Revision>,
    /// What ran.
    pub candidate: Candidate,
    /// The revision that it is known by in the lineage, if it was kept.
    pub kept_as: Option<Revision>,
    /// One line.
    pub description: String,
    /// Why it should have helped.
    pub hypothesis: String,
    /// The change itself, as JSON.
    pub change: serde_json::Value,
    /// What the proposal cost.
    pub cost: Cost,
    /// Which proposer's idea it was, where several take turns.
    pub proposer: String,
    /// Its place in a designed wave, if it belongs to one.
    pub design: Option<Box<Design>>,
    /// What it was before it was moved to another parent, oldest first: the incumbent had moved meanwhile.
    pub rebased: Vec<Earlier>,
    /// Why it could not be moved to the incumbent of its day, if it could not: both sides, for the proposer.
    pub conflict: Option<Box<str>>,
    /// What became of it.
    pub status: Status,
    /// Why, in one line.
    pub reason: String,
    /// Its measurements on the full budget.
    pub arm: Arm,
    /// So many of the latest ones count as its score: those that did not choose it.
    pub reference: u32,
    /// The probability with which its test would have kept a change without effect, if there was a test.
    pub alpha: Option<f64>,
    /// What short runs showed, if it had any.
    pub short: Option<Box<Short>>,
    /// The incumbent's score when it was judged; `None` for the baseline.
    pub before: Option<Score>,
    /// Its scores in audits after the decision, oldest first.
    pub audit: Vec<AuditScore>,
    /// How its last run ended. Only the latest experiments have the end of the log here; the journal has them all.
    pub outcome: Option<Outcome>,
    /// When its first run began; until then, when it was staged.
    pub started: Timestamp,
    /// When it was decided.
    pub finished: Timestamp,
}

impl Experiment {
    /// Its mean score, if it gave one: of the measurements that did not choose it, where there are such.
    pub fn score(&self) -> Option<Score> {
        mean(&self.arm.measurements[self.chose()..])
    }

    /// The mean of the measurements that chose it, if the score is the mean of others.
    pub fn selected_at(&self) -> Option<Score> {
        mean(&self.arm.measurements[..self.chose()])
    }

    fn chose(&self) -> usize {
        self.arm.measurements.len().saturating_sub(self.reference as usize)
    }

    /// The revision to show: the one in the lineage if it was kept, else the one that ran.
    pub fn revision(&self) -> &Revision {
        self.kept_as.as_ref().unwrap_or(&self.candidate.revision)
    }
}

/// A candidate of an experiment that was moved to another parent since.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Earlier {
    /// What it changed.
    pub parent: Option<Revision>,
    /// What ran, if anything did.
    pub candidate: Candidate,
    /// Its measurements, which were compared with those of its own parent and say nothing about the later candidate.
    pub arm: Arm,
}

/// A proposal that was refused without an experiment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rejection {
    /// What it was.
    pub description: String,
    /// Why it was refused.
    pub reason: String,
    /// The change itself, as JSON.
    pub change: serde_json::Value,
    /// What it cost.
    pub cost: Cost,
    /// Which proposer's idea it was, where several take turns.
    pub proposer: String,
    /// The number of the experiment that it would have been: it came after all before that one.
    pub experiment: u32,
}

/// The best measured state.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Incumbent {
    /// Its name.
    pub revision: Revision,
    /// The experiment that made it.
    pub experiment: u32,
    /// What will run when it is measured again.
    pub candidate: Candidate,
    /// Its measurements.
    pub arm: Arm,
}

/// An experiment that was begun and not decided.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Open {
    /// What is known of it; status and reason mean nothing yet.
    pub experiment: Experiment,
    /// Whether it was found better than a parent that is not the incumbent any more, and was moved for that: it goes first, and
    /// others that were found better follow on it.
    pub better: bool,
    /// How many runs were begun.
    pub attempts: u32,
    /// How many of them vanished without a trace: the machine or the harness died.
    pub lost: u32,
    /// The runs that were begun and have not ended.
    pub running: Vec<Running>,
    /// Whether the incumbent gave no number in a short run, so that there is nothing to compare short runs with.
    pub incomparable: bool,
    /// Fresh measurements of the incumbent, made for this experiment.
    pub incumbent: Vec<Measurement>,
    /// Why the candidate's last run gave no number, if it gave none: what is left is to decide that it crashed.
    pub failed: Option<String>,
    /// About how many more experiments fitted into the night when it began, if its end was known.
    pub remaining: Option<f64>,
}

/// A run that was begun and has not ended.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Running {
    /// Which run of its experiment.
    pub attempt: u32,
    /// Which revision runs.
    pub side: Side,
    /// The share of the full budget that it has.
    pub fidelity: f64,
    /// The experiment that made the incumbent when it began.
    pub incumbent: Option<u32>,
}

/// The machine was found to give the same code other scores than before.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Shift {
    /// After this experiment.
    pub experiment: u32,
    /// By how much the incumbent's score moved.
    pub by: f64,
}

/// The sealed holdout was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// When.
    pub at: Timestamp,
    /// After this experiment.
    pub experiment: u32,
    /// The experiment that made the best state, which was measured.
    pub best: u32,
    /// The scores of the baseline and of the best state, or why there are none; `None` if the measurement did not end.
    pub result: Option<(Result<Score, String>, Result<Score, String>)>,
}

/// How a run began.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// Its name.
    pub tag: String,
    /// What it starts from.
    pub base: Option<Revision>,
    /// The metric's name.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// The hash of what decides the number.
    pub policy: String,
    /// The seed.
    pub seed: u64,
    /// The rule of acceptance.
    pub rule: DecisionRule,
    /// When it began.
    pub started: Timestamp,
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
