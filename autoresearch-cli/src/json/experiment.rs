//! Experiments as JSON.

use std::collections::BTreeMap;

use autoresearch_core::internal::results::memory_gb;
use autoresearch_core::{Direction, Experiment, Score, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::version::VERSION;
use crate::report;

/// One experiment. Experiment 0 is the baseline.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Experiment")]
pub struct ExperimentAnswer {
    /// Its number.
    pub experiment: u32,
    /// `keep`, `discard` or `crash`; `open` before the decision.
    pub status: String,
    /// The change in one line.
    pub description: String,
    /// Its score: the mean of its trials; null without one.
    pub score: Option<f64>,
    /// The incumbent's score when it was judged; null for the baseline.
    pub before: Option<f64>,
    /// By how much it is better than that; negative if it is worse.
    pub gain: Option<f64>,
    /// The reason of the decision.
    pub reason: String,
    /// The commit: of a keep that of the lineage, else that of the candidate.
    pub commit: String,
    /// The commit that the change was made to; null for the baseline.
    pub parent: Option<String>,
    /// The means of the secondary metrics, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Peak memory in GiB, 0 if it is not known.
    pub memory_gb: f64,
    /// Number of trials on the full budget.
    pub trials: usize,
    /// Time its first trial started (UTC).
    pub started: String,
    /// Time it was decided (UTC); null before that.
    pub finished: Option<String>,
    /// Seconds between the two.
    pub seconds: f64,
    /// The proposer, where several take turns.
    pub proposer: String,
    /// Cost of the proposal in US dollars.
    pub dollars: f64,
    /// Tokens that the proposal took.
    pub tokens: u64,
    /// Calls of models that the proposal made.
    pub calls: u64,
}

impl ExperimentAnswer {
    /// The answer for a decided experiment of this run.
    pub fn decided(state: &State, experiment: &Experiment) -> ExperimentAnswer {
        let answer = ExperimentAnswer::open(experiment);
        ExperimentAnswer {
            status: experiment.status.to_string(),
            before: experiment.before.map(Score::get),
            gain: report::gain(state, experiment),
            reason: experiment.reason.clone(),
            finished: Some(experiment.finished.to_string()),
            seconds: report::took(experiment).as_secs_f64(),
            ..answer
        }
    }

    /// The answer for an experiment that is not decided.
    pub fn open(experiment: &Experiment) -> ExperimentAnswer {
        ExperimentAnswer {
            experiment: experiment.id.0,
            status: "open".into(),
            description: experiment.description.clone(),
            score: experiment.score().map(Score::get),
            before: None,
            gain: None,
            reason: String::new(),
            commit: experiment.revision().to_string(),
            parent: experiment.parent.as_ref().map(ToString::to_string),
            metrics: metrics(experiment),
            memory_gb: memory_gb(experiment),
            trials: experiment.arm.measurements.len(),
            started: experiment.started.to_string(),
            finished: None,
            seconds: 0.0,
            proposer: experiment.proposer.clone(),
            dollars: experiment.cost.dollars,
            tokens: experiment.cost.tokens,
            calls: experiment.cost.calls,
        }
    }
}

/// The means of the secondary metrics over the trials that have them.
fn metrics(experiment: &Experiment) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in experiment.arm.measurements.iter().flat_map(|made| &made.secondary) {
        all.entry(name).or_default().push(*value);
    }
    all.into_iter().map(|(name, values)| (name.to_owned(), values.iter().sum::<f64>() / values.len() as f64)).collect()
}

/// The answer of `log` and of `export --format json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// The metric's name.
    pub metric: String,
    /// `minimise` or `maximise`.
    pub direction: String,
    /// Number of all decided experiments, the baseline included.
    pub total: usize,
    /// The decided experiments that the filters let through, in the order of the decisions.
    pub experiments: Vec<ExperimentAnswer>,
}

impl LogAnswer {
    /// The answer with these experiments of a run.
    pub fn new<'a>(tag: &str, state: &State, experiments: impl IntoIterator<Item = &'a Experiment>) -> LogAnswer {
        let (metric, direction) = header(state);
        let experiments = experiments.into_iter().map(|experiment| ExperimentAnswer::decided(state, experiment));
        let total = state.experiments.len();
        LogAnswer { version: VERSION, tag: tag.into(), metric, direction, total, experiments: experiments.collect() }
    }
}

/// The metric's name and its direction.
pub fn header(state: &State) -> (String, String) {
    let header = state.header.as_ref();
    let direction = header.map_or(Direction::Minimise, |header| header.direction);
    (header.map_or(String::new(), |header| header.metric.clone()), word(direction).into())
}

/// The word for a direction.
pub fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Minimise => "minimise",
        Direction::Maximise => "maximise",
    }
}

/// The answer of `show`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShowAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// The metric's name.
    pub metric: String,
    /// `minimise` or `maximise`.
    pub direction: String,
    /// The experiment.
    pub experiment: ExperimentAnswer,
    /// More about it.
    pub detail: Detail,
}

/// The part of an experiment that `show` alone tells.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Detail {
    /// Why the change should have helped.
    pub hypothesis: String,
    /// The scores of its trials, in their order.
    pub scores: Vec<f64>,
    /// The scores of audits after the decision.
    pub audits: Vec<f64>,
    /// The findings of transfers to other settings, in words, one for each transfer.
    pub transfers: Vec<String>,
    /// The change as the proposer made it.
    pub change: serde_json::Value,
    /// Path of the last trial's log, if there is one.
    pub log: Option<String>,
    /// The last lines of that log.
    pub tail: String,
}

/// The answer of `diff`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// The commit before.
    pub from: String,
    /// The commit after.
    pub to: String,
    /// A unified diff; empty if both have the same files.
    pub diff: String,
}

/// The answer of `best`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BestAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// The metric's name.
    pub metric: String,
    /// `minimise` or `maximise`.
    pub direction: String,
    /// The baseline's score.
    pub baseline: Option<f64>,
    /// The incumbent's score.
    pub score: Option<f64>,
    /// Its gain over the baseline; negative if it is worse.
    pub gain: Option<f64>,
    /// Number of kept changes that lead to it.
    pub keeps: usize,
    /// The branch that holds them.
    pub branch: String,
    /// The experiment that made it.
    pub experiment: ExperimentAnswer,
}
