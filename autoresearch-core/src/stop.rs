//! When a run ends: only by these conditions.

use std::time::Duration;

use jiff::Timestamp;

use crate::metric::{Direction, Score};
use crate::state::State;

/// The conditions; the first that holds ends the run. Without any it goes on until it is cancelled.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stop {
    /// So many experiments beside the baseline.
    pub experiments: Option<usize>,
    /// So long since this call began, pauses between calls not counted. Checked between experiments.
    pub wall: Option<Duration>,
    /// The score is at least as good as this.
    pub target: Option<Score>,
    /// So many experiments and refused proposals in a row without a keep.
    pub plateau: Option<usize>,
    /// So many US dollars spent on proposals.
    pub dollars: Option<f64>,
    /// So many tokens spent on proposals.
    pub tokens: Option<u64>,
    /// So many calls of models for proposals.
    pub calls: Option<u64>,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    /// The number of experiments is reached.
    Experiments(usize),
    /// The time is over.
    Wall(Duration),
    /// The target is reached.
    Target(Score),
    /// Nothing was kept for long.
    Plateau(usize),
    /// The money is spent.
    Dollars(f64),
    /// The tokens are spent.
    Tokens(u64),
    /// The calls are made.
    Calls(u64),
    /// The proposer has nothing left.
    Exhausted(String),
    /// Somebody asked for it; the same command goes on.
    Cancelled,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopReason::Experiments(count) => write!(f, "all {count} experiments are done"),
            StopReason::Wall(limit) => write!(f, "the time of {:.0} s is over", limit.as_secs_f64()),
            StopReason::Target(score) => write!(f, "the target {score} is reached"),
            StopReason::Plateau(count) => write!(f, "{count} proposals in a row led to no keep"),
            StopReason::Dollars(limit) => write!(f, "the budget of ${limit:.2} is spent"),
            StopReason::Tokens(limit) => write!(f, "the budget of {limit} tokens is spent"),
            StopReason::Calls(limit) => write!(f, "all {limit} calls are made"),
            StopReason::Exhausted(why) => write!(f, "there are no more proposals: {why}"),
            StopReason::Cancelled => f.write_str("interrupted; it can be continued"),
        }
    }
}

impl Stop {
    /// Ends after so many experiments beside the baseline.
    pub fn after(experiments: usize) -> Stop {
        Stop { experiments: Some(experiments), ..Stop::default() }
    }

    /// About how many more experiments fit, if that is known: what is left of their number, or of the time at the pace so far of
    /// so many workers.
    pub fn remaining(&self, state: &State, began: Timestamp, workers: usize) -> Option<f64> {
        let begun = state.finished() + state.pending().filter(|experiment| experiment.id > 0).count();
        let count = self.experiments.map(|count| count.saturating_sub(begun) as f64);
        let pace = state.seconds_experimenting / state.finished() as f64 / workers as f64;
        let wall = self.wall.filter(|_| pace > 0.0).map(|limit| {
            let left = limit.as_secs_f64() - Timestamp::now().duration_since(began).as_secs_f64();
            left.max(0.0) / pace
        });
        match (count, wall) {
            (Some(count), Some(wall)) => Some(count.min(wall)),
            (count, wall) => count.or(wall),
        }
    }

    /// The condition that holds, if any.
    pub fn reason(&self, state: &State, direction: Direction, began: Timestamp) -> Option<StopReason> {
        let wall = Duration::try_from(Timestamp::now().duration_since(began)).unwrap_or_default();
        let score = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let reached = |target: &Score| score.is_some_and(|score| direction.gain(*target, score) >= 0.0);
        self.experiments
            .filter(|count| state.finished() >= *count)
            .map(StopReason::Experiments)
            .or_else(|| self.target.filter(reached).map(StopReason::Target))
            .or_else(|| self.wall.filter(|limit| wall >= *limit).map(StopReason::Wall))
            .or_else(|| self.plateau.filter(|count| state.since_keep >= *count).map(StopReason::Plateau))
            .or_else(|| self.dollars.filter(|limit| state.cost.dollars >= *limit).map(StopReason::Dollars))
            .or_else(|| self.tokens.filter(|limit| state.cost.tokens >= *limit).map(StopReason::Tokens))
            .or_else(|| self.calls.filter(|limit| state.cost.calls >= *limit).map(StopReason::Calls))
    }
}
