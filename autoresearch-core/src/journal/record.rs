//! The records of a journal: the steps of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::step::{ExcursionStep, Promotion, Status};
use crate::experiment_id::ExperimentId;
use crate::metric::{Direction, Measurement, Score};
use crate::policy::{Difference, Policy};
use crate::proposal::{Cost, Design};
use crate::ratchet::{DecisionRule, Side};
use crate::sandbox::{Budget, Candidate, Outcome, Revision};

/// The version of the format that is written and read. From version 2 on a format is a promise: later programs read it.
pub const VERSION: u32 = 2;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The run starts. Always the first record. As long as no baseline is measured another one may follow, with which the
    /// run starts anew: nothing is bound before.
    Started(RunHeader),
    /// A proposal became an experiment: its candidate is staged.
    Staged(StagedExperiment),
    /// An experiment's change is applied to another base, since the incumbent moved after it was staged. Earlier
    /// measurements say nothing about the new candidate.
    Rebased {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Its new base: the incumbent, or the candidate of another experiment in the merge queue.
        parent: Revision,
        /// The new candidate.
        candidate: Candidate,
        /// True if it joins the merge queue, since it was better than its old base.
        in_merge_queue: bool,
    },
    /// An experiment's change conflicts with the incumbent: the candidate is judged as it is, by its measurements.
    Conflicted {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Both sides, for the proposer.
        conflict: Box<str>,
    },
    /// A trial of an experiment starts.
    TrialStarted(TrialStart),
    /// The run continues after the process of the lab died: the trials that were in flight then are lost, except those that
    /// are named.
    Resumed {
        /// Experiment and number of the trials that outlived the lab, as in the queue of a cluster, and are waited for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attached: Vec<(ExperimentId, u32)>,
    },
    /// A trial ended by itself or was killed at its limit.
    TrialMeasured(TrialResult),
    /// A candidate is promoted from the rungs of screening to the full budget.
    Promoted {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// The way to the full budget.
        promotion: Promotion,
        /// The reason, in one line.
        reason: String,
    },
    /// The sandbox failed, and the trial with it. This says nothing about the candidate, unless the sandbox fails on no other.
    TrialFailed {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Number of the trial.
        trial: u32,
        /// The failure.
        error: String,
    },
    /// A trial was cancelled, since its result could change no decision any more, or since the run ended. It counts neither as
    /// lost nor as a failure.
    TrialCancelled {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Number of the trial.
        trial: u32,
        /// The reason.
        reason: String,
    },
    /// The decision on an experiment: from here on it is final.
    Decided(Decision),
    /// A kept revision has become the incumbent outside of the journal, too.
    Adopted {
        /// Number of the experiment.
        experiment: ExperimentId,
    },
    /// A proposal was rejected before it cost an experiment.
    Rejected {
        /// Its description.
        description: String,
        /// The reason.
        reason: String,
        /// The change itself.
        #[serde(default)]
        change: serde_json::Value,
        /// Cost of the proposal.
        cost: Cost,
        /// Name of the proposer, where several take turns.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        proposer: String,
    },
    /// A person gave the proposer a hint while the run went on. Every later request shows it.
    Hinted {
        /// The hint.
        text: String,
    },
    /// A health check ended: a trial of the incumbent outside of any experiment. It is made after several crashes in a row,
    /// or when the sandbox keeps failing on one candidate, to see whether the machine is at fault; and on a schedule, to see
    /// whether the machine has shifted.
    HealthChecked {
        /// Why the incumbent gave no number, if it gave none.
        failure: Option<String>,
        /// Its measurement, if that counts as one of the incumbent: on a schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        measurement: Option<Measurement>,
        /// Number of the incumbent's latest measurements that count from now on, if not all of them: the machine has shifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<u32>,
    },
    /// A kept experiment was measured again, to see whether its gain is real. This changes no decision.
    Audited {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// The seed, the same for all kept experiments in a round.
        seed: u64,
        /// Its score.
        score: Score,
    },
    /// The holdout was opened: from now on its scores have been seen.
    HoldoutOpened {
        /// The best state, which is measured on it beside the baseline.
        best: Revision,
    },
    /// The holdout that was opened last was measured.
    HoldoutMeasured {
        /// The baseline's score on it, or why there is none.
        baseline: Result<Score, String>,
        /// The best state's score on it, or why there is none.
        best: Result<Score, String>,
    },
    /// The run stopped in an orderly way; it can be continued.
    Stopped {
        /// The reason.
        reason: String,
    },
}

/// The identity of a run: everything that must be the same when it is resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunHeader {
    /// Its name.
    pub tag: String,
    /// The revision that the search starts from, if that has a name before it is staged.
    pub base: Option<Revision>,
    /// The metric's name.
    pub metric: String,
    /// The better direction of the metric.
    pub direction: Direction,
    /// The settings that decide the number.
    pub policy: Policy,
    /// The run's seed.
    pub seed: u64,
    /// The rule of acceptance.
    #[serde(default)]
    pub rule: DecisionRule,
    /// The limits of each trial.
    pub budget: Budget,
    /// The branch that the lineage is on, if that is not `autoresearch/<tag>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The protections around the commands of candidates as the run began, and those that were missing, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<String>,
    /// Time of the record that holds it (UTC); the record itself does not repeat it.
    #[serde(skip)]
    pub started: Moment,
}

impl RunHeader {
    /// The header of a run without a base, a policy and a rule's name, with seed 0 and a budget of five minutes.
    pub fn new(tag: impl Into<String>, metric: impl Into<String>, direction: Direction) -> RunHeader {
        RunHeader {
            tag: tag.into(),
            base: None,
            metric: metric.into(),
            direction,
            policy: Policy::new(),
            seed: 0,
            rule: DecisionRule::default(),
            budget: Budget::default(),
            branch: None,
            enforcement: None,
            started: Moment::default(),
        }
    }

    /// The branch that the lineage is on, as a user types it.
    pub fn branch(&self) -> String {
        self.branch.clone().unwrap_or_else(|| format!("autoresearch/{}", self.tag))
    }

    /// Lists the differences between this header, of the journal, and the present one.
    pub fn differences(&self, now: &RunHeader) -> Vec<Difference> {
        let direction =
            |header: &RunHeader| if header.direction == Direction::Minimise { "minimise" } else { "maximise" };
        let base = |header: &RunHeader| header.base.as_ref().map_or("nothing".to_owned(), Revision::to_string);
        let seconds = |limit: Duration| format!("{} s", limit.as_secs_f64());
        let named = [
            ("tag", self.tag.clone(), now.tag.clone()),
            ("base", base(self), base(now)),
            ("metric", self.metric.clone(), now.metric.clone()),
            ("direction", direction(self).into(), direction(now).into()),
            ("rule", self.rule.name.clone(), now.rule.name.clone()),
            ("budget of a run", seconds(self.budget.run), seconds(now.budget.run)),
            ("budget of a build", seconds(self.budget.build), seconds(now.budget.build)),
            ("seed", self.seed.to_string(), now.seed.to_string()),
            ("branch", self.branch(), now.branch()),
        ];
        let changed = named.into_iter().filter(|(_, then, now)| then != now);
        let mut differences: Vec<_> = changed.map(|(name, then, now)| Difference::new(name, then, now)).collect();
        differences.extend(self.policy.differences(&now.policy));
        differences
    }
}

/// An experiment as it is staged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StagedExperiment {
    /// Its number; 0 is the baseline.
    pub experiment: ExperimentId,
    /// Its parent: the incumbent, or the end of a side line; `None` for the baseline.
    pub parent: Option<Revision>,
    /// The candidate that its trials execute.
    pub candidate: Candidate,
    /// The proposal in one line.
    pub description: String,
    /// Why it should help.
    pub hypothesis: String,
    /// The change itself, as JSON.
    pub change: serde_json::Value,
    /// Cost of the proposal.
    pub cost: Cost,
    /// Name of the proposer, where several take turns.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proposer: String,
    /// Its place in a designed wave, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<Box<Design>>,
    /// About how many more experiments fit into the run, if its end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<f64>,
}

impl StagedExperiment {
    /// An experiment of this candidate, with no texts, change and cost.
    pub fn new(experiment: ExperimentId, parent: Option<Revision>, candidate: Candidate) -> StagedExperiment {
        StagedExperiment {
            experiment,
            parent,
            candidate,
            description: String::new(),
            hypothesis: String::new(),
            change: serde_json::Value::Null,
            cost: Cost::default(),
            proposer: String::new(),
            design: None,
            remaining: None,
        }
    }
}

/// A trial as it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrialStart {
    /// Number of its experiment.
    pub experiment: ExperimentId,
    /// Number of the trial within the experiment, from 1.
    pub trial: u32,
    /// The revision that is executed.
    pub side: Side,
    /// The seed given to it.
    pub seed: u64,
    /// The share of the full budget that it has.
    #[serde(default = "full", skip_serializing_if = "is_full")]
    pub fidelity: f64,
    /// The class of hardware that it runs on, where there are several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// The slot that it is built and executed in.
    #[serde(default, skip_serializing_if = "is_first")]
    pub slot: u32,
}

impl TrialStart {
    /// A trial on the full budget with seed 0, on the only class of hardware and in the first slot.
    pub fn new(experiment: ExperimentId, trial: u32, side: Side) -> TrialStart {
        TrialStart { experiment, trial, side, seed: 0, fidelity: 1.0, class: String::new(), slot: 0 }
    }
}

/// A trial that ended by itself or was killed at its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrialResult {
    /// Number of its experiment.
    pub experiment: ExperimentId,
    /// Number of the trial within the experiment, from 1.
    pub trial: u32,
    /// The revision that was executed.
    pub side: Side,
    /// The share of the full budget that it had.
    #[serde(default = "full", skip_serializing_if = "is_full")]
    pub fidelity: f64,
    /// The end of the trial, with only the last lines of its log.
    pub outcome: Outcome,
    /// The measurement, or why there is none.
    pub result: Result<Measurement, String>,
}

impl TrialResult {
    /// The result of a trial on the full budget.
    pub fn new(
        experiment: ExperimentId,
        trial: u32,
        side: Side,
        outcome: Outcome,
        result: Result<Measurement, String>,
    ) -> TrialResult {
        TrialResult { experiment, trial, side, fidelity: 1.0, outcome, result }
    }
}

/// The decision on an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// Number of the experiment.
    pub experiment: ExperimentId,
    /// Keep, discard or crash.
    pub status: Status,
    /// The reason, in one line.
    pub reason: String,
    /// The incumbent from now on, if it was kept.
    pub kept_as: Option<Revision>,
    /// Number of the incumbent's latest measurements that count from now on, if not all of them: of the new incumbent, those
    /// that did not choose it; of one that stays, those since the machine shifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<u32>,
    /// The probability with which the rule's test would have kept a change without effect, if there was a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The consequence for an excursion, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excursion: Option<ExcursionStep>,
}

impl Decision {
    /// A decision without a reason and without further consequences. A keep needs [`Decision::kept_as`], too.
    pub fn new(experiment: ExperimentId, status: Status) -> Decision {
        Decision {
            experiment,
            status,
            reason: String::new(),
            kept_as: None,
            reference: None,
            alpha: None,
            excursion: None,
        }
    }
}

/// The share of the budget where the journal names none.
fn full() -> f64 {
    1.0
}

fn is_first(slot: &u32) -> bool {
    *slot == 0
}

fn is_full(fidelity: &f64) -> bool {
    *fidelity == 1.0
}
