//! The steps of a run, as they stand in its journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Measurement, Score};
use crate::proposer::{Cost, Design};
use crate::ratchet::{DecisionRule, Side};
use crate::sandbox::{Candidate, Outcome, Revision};
use crate::state::{ExcursionStep, Promotion, Status};

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The run begins. Always the first record.
    Started {
        /// Its name.
        tag: String,
        /// What the search starts from, if that has a name before it is staged.
        base: Option<Revision>,
        /// The metric's name.
        metric: String,
        /// Which way is better.
        direction: Direction,
        /// A hash of everything that decides the number; it may not change within a run.
        policy: String,
        /// The run's seed.
        seed: u64,
        /// The rule of acceptance.
        #[serde(default)]
        rule: DecisionRule,
    },
    /// An experiment is going to be made.
    Intent {
        /// Its number; 0 is the baseline.
        experiment: u32,
        /// What it changes, the incumbent or the tip of a side line; `None` for the baseline.
        parent: Option<Revision>,
        /// What will run.
        candidate: Candidate,
        /// One line.
        description: String,
        /// Why it should help.
        hypothesis: String,
        /// The change itself.
        change: serde_json::Value,
        /// What the proposal cost.
        cost: Cost,
        /// Which proposer's idea it is, where several take turns.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        proposer: String,
        /// Its place in a designed wave, if it belongs to one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        design: Option<Box<Design>>,
        /// About how many more experiments fit into the night, if its end is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remaining: Option<f64>,
    },
    /// An experiment's change is made to another parent: the incumbent moved since it was staged. What was measured before
    /// says nothing about the new candidate.
    Rebased {
        /// Which experiment.
        experiment: u32,
        /// What it changes from now on: the incumbent, or the candidate of another experiment that was found better and is
        /// being measured on the incumbent.
        parent: Revision,
        /// What will run.
        candidate: Candidate,
        /// Whether it was found better than its parent before.
        better: bool,
    },
    /// An experiment's change could not be made to the incumbent: it is judged as it is, by what was measured.
    Conflicted {
        /// Which experiment.
        experiment: u32,
        /// Both sides, for the proposer.
        conflict: Box<str>,
    },
    /// A run of an experiment begins.
    Attempt {
        /// Of which experiment.
        experiment: u32,
        /// Counts its runs, from 1.
        attempt: u32,
        /// Which revision runs.
        side: Side,
        /// The seed given to it.
        seed: u64,
        /// The share of the full budget that it has.
        #[serde(default = "full", skip_serializing_if = "is_full")]
        fidelity: f64,
        /// The class of hardware that it runs on, where there are several.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        class: String,
    },
    /// A harness goes on where an earlier one died: the runs that had begun then are lost.
    Resumed,
    /// A run ended by itself or was killed at its limit.
    Measured {
        /// Of which experiment.
        experiment: u32,
        /// Which run.
        attempt: u32,
        /// Which revision ran.
        side: Side,
        /// The share of the full budget that it had.
        #[serde(default = "full", skip_serializing_if = "is_full")]
        fidelity: f64,
        /// How it ended, with only the last lines of its log.
        outcome: Outcome,
        /// The number, or why there is none.
        result: Result<Measurement, String>,
    },
    /// Short runs are behind the candidate: it goes on to the full budget.
    Promoted {
        /// Which experiment.
        experiment: u32,
        /// How it came to that.
        promotion: Promotion,
        /// Why, in one line.
        reason: String,
    },
    /// Our machinery failed, and the run with it, or it was taken back, since it could decide nothing any more: it says nothing
    /// about the candidate.
    Failed {
        /// Of which experiment.
        experiment: u32,
        /// Which run.
        attempt: u32,
        /// What failed, or why it was taken back.
        error: String,
    },
    /// The decision on an experiment: from here on it is final.
    Decision {
        /// Which experiment.
        experiment: u32,
        /// Keep, discard or crash.
        status: Status,
        /// Why, in one line.
        reason: String,
        /// The incumbent from now on, if it was kept.
        to: Option<Revision>,
        /// So many of the incumbent's latest measurements count from now on, if not all of them: of the new incumbent, those
        /// that did not choose it; of one that stays, those since the machine shifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<u32>,
        /// The probability with which the rule's test would have kept a change without effect, if there was a test.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alpha: Option<f64>,
        /// What it means for an excursion, if it means anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        excursion: Option<ExcursionStep>,
    },
    /// A kept revision has become the incumbent outside of the journal, too.
    Applied {
        /// Which experiment.
        experiment: u32,
    },
    /// A proposal was refused without an experiment.
    Refused {
        /// What it was.
        description: String,
        /// Why.
        reason: String,
        /// The change itself.
        #[serde(default)]
        change: serde_json::Value,
        /// What it cost.
        cost: Cost,
        /// Which proposer's idea it was, where several take turns.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        proposer: String,
    },
    /// The incumbent was run again, outside of any experiment: after several crashes in a row, to see whether the machine is at
    /// fault; on a schedule, to see whether the machine has shifted.
    Checked {
        /// Why the incumbent gave no number, if it gave none.
        failure: Option<String>,
        /// What it gave, if that counts as a measurement of the incumbent: on a schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        measurement: Option<Measurement>,
        /// So many of its latest measurements count from now on, if not all of them: the machine has shifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<u32>,
    },
    /// A kept experiment was measured again, to see whether its gain is real. This changes no decision.
    Audited {
        /// Which.
        experiment: u32,
        /// The seed, the same for all kept experiments in a round.
        seed: u64,
        /// What it gave.
        score: Score,
    },
    /// The sealed holdout was opened: what it says has been seen from now on.
    HoldoutOpened {
        /// The best state, which is measured on it beside the baseline.
        best: Revision,
    },
    /// What the holdout gave that was opened last.
    HoldoutMeasured {
        /// The baseline's score on it, or why there is none.
        baseline: Result<Score, String>,
        /// The best state's.
        best: Result<Score, String>,
    },
    /// The run stopped in an orderly way; it can be continued.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// The share of the budget that a run has where the journal does not say.
fn full() -> f64 {
    1.0
}

fn is_full(fidelity: &f64) -> bool {
    *fidelity == 1.0
}

/// A record as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The format's version.
    pub v: u32,
    /// Its number, from 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub record: Record,
}
