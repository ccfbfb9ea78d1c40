//! The steps of a run, as they stand in its journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Measurement};
use crate::proposer::Cost;
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome, Revision};
use crate::state::Status;

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
    },
    /// An experiment is going to be made.
    Intent {
        /// Its number; 0 is the baseline.
        experiment: u32,
        /// The incumbent that it changes; `None` for the baseline.
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
    },
    /// A run ended by itself or was killed at its limit.
    Measured {
        /// Of which experiment.
        experiment: u32,
        /// Which run.
        attempt: u32,
        /// Which revision ran.
        side: Side,
        /// How it ended, with only the last lines of its log.
        outcome: Outcome,
        /// The number, or why there is none.
        result: Result<Measurement, String>,
    },
    /// Our machinery failed, and the run with it: it says nothing about the candidate.
    Failed {
        /// Of which experiment.
        experiment: u32,
        /// Which run.
        attempt: u32,
        /// What failed.
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
    /// After several crashes in a row the incumbent was run again, to see whether the machine is at fault.
    Checked {
        /// Why the incumbent gave no number, if it gave none.
        failure: Option<String>,
    },
    /// The run stopped in an orderly way; it can be continued.
    Stopped {
        /// Why.
        reason: String,
    },
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
