//! The answer of `status` as JSON.

use autoresearch_core::{State, Status};
use schemars::JsonSchema;
use serde::Serialize;

use super::experiment::ExperimentAnswer;

/// The answer of `status`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StatusAnswer {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub tag: String,
    /// The activity of the run.
    pub activity: Activity,
    /// The reason of the last stop; null while it goes on, and after a process that was killed.
    pub stopped: Option<String>,
    /// The metric's name.
    pub metric: String,
    /// `minimise` or `maximise`.
    pub direction: String,
    /// Standard deviation of single trials of the same code, if it is known.
    pub noise: Option<f64>,
    /// The number of the process that drives the run.
    pub pid: Option<u32>,
    /// Time that process began (UTC).
    pub since: Option<String>,
    /// The experiments that are open, oldest first.
    pub now: Vec<Now>,
    /// The baseline's score, once it is measured.
    pub baseline: Option<f64>,
    /// The incumbent's score.
    pub best: Option<f64>,
    /// The experiment that made the incumbent.
    pub best_experiment: Option<u32>,
    /// The incumbent's commit.
    pub best_commit: Option<String>,
    /// Counts and costs so far.
    pub totals: Totals,
    /// The conditions that end the process that drives the run.
    pub limits: Limits,
    /// Experiments that are left, if their number has a limit.
    pub experiments_left: Option<usize>,
    /// Seconds that are left, as far as limits and pace tell.
    pub seconds_left: Option<f64>,
    /// The last decided experiments, oldest first.
    pub last: Vec<ExperimentAnswer>,
    /// Hints to the proposer, oldest first.
    pub hints: Vec<String>,
}

/// The activity of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// A process drives it.
    Running,
    /// The process was asked to stop, and does so after the experiments in flight.
    Stopping,
    /// Another command works on it: an audit, a rerun.
    Locked,
    /// It ended in an orderly way.
    Stopped,
    /// Its process was killed; the same command goes on with it.
    Interrupted,
    /// It was imported.
    Imported,
}

/// An open experiment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Now {
    /// Its number.
    pub experiment: u32,
    /// The change in one line.
    pub description: String,
    /// Number of trials in flight.
    pub trials: usize,
    /// Time since which it is tried (UTC).
    pub since: String,
}

/// Counts and costs of a run so far.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Totals {
    /// Decided experiments beside the baseline.
    pub experiments: usize,
    /// Those that were kept.
    pub kept: usize,
    /// Those that were discarded.
    pub discarded: usize,
    /// Those that crashed.
    pub crashed: usize,
    /// Proposals that were rejected before they cost an experiment.
    pub rejected: usize,
    /// US dollars spent on proposals.
    pub dollars: f64,
    /// Tokens spent on proposals.
    pub tokens: u64,
    /// Calls of models for proposals.
    pub calls: u64,
    /// Seconds of all trials.
    pub trial_seconds: f64,
    /// Seconds of all builds.
    pub build_seconds: f64,
    /// Seconds of all evaluations.
    pub evaluation_seconds: f64,
}

impl Totals {
    /// The totals of a run.
    pub fn of(state: &State) -> Totals {
        let count = |status| state.experiments.iter().skip(1).filter(|made| made.status == status).count();
        Totals {
            experiments: state.finished(),
            kept: count(Status::Keep),
            discarded: count(Status::Discard),
            crashed: count(Status::Crash),
            rejected: state.rejections.len(),
            dollars: state.cost.dollars,
            tokens: state.cost.tokens,
            calls: state.cost.calls,
            trial_seconds: state.time_of_trials.as_secs_f64(),
            build_seconds: state.time_of_builds.as_secs_f64(),
            evaluation_seconds: state.time_of_evaluations.as_secs_f64(),
        }
    }
}

/// The conditions that end the process that drives the run; null without a limit.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Limits {
    /// Experiments beside the baseline.
    pub experiments: Option<usize>,
    /// Seconds since the process began.
    pub seconds: Option<f64>,
    /// US dollars for proposals.
    pub dollars: Option<f64>,
    /// Tokens for proposals.
    pub tokens: Option<u64>,
    /// Calls of models.
    pub calls: Option<u64>,
}
