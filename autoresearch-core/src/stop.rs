//! The conditions under which a run ends.

use std::time::Duration;

use crate::metric::{Direction, Score};
use crate::state::State;

/// The conditions; the first that holds ends the run. Without any the run continues until the proposer has nothing left or it is
/// cancelled.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stop {
    /// Number of decided experiments beside the baseline.
    pub experiments: Option<usize>,
    /// Time since this call of [`crate::Lab::run`] began, by a monotonic clock, pauses between calls not counted. Checked
    /// between experiments.
    pub wall: Option<Duration>,
    /// A score that is good enough.
    pub target: Option<Score>,
    /// Number of experiments and rejected proposals in a row without a keep.
    pub plateau: Option<usize>,
    /// US dollars spent on proposals: a finite number that is not negative.
    pub dollars: Option<f64>,
    /// Tokens spent on proposals.
    pub tokens: Option<u64>,
    /// Calls of models for proposals.
    pub calls: Option<u64>,
}

/// Reason why a run ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    /// The number of experiments is reached.
    Experiments(usize),
    /// The time is over.
    Wall(Duration),
    /// The target is reached.
    Target(Score),
    /// Nothing was kept for this many experiments.
    Plateau(usize),
    /// The money is spent.
    Dollars(f64),
    /// The tokens are spent.
    Tokens(u64),
    /// The calls are made.
    Calls(u64),
    /// The proposer has nothing left.
    Exhausted(String),
    /// Too many proposals in a row were rejected before they became experiments.
    Rejected {
        /// Number of proposals rejected in a row.
        count: u32,
        /// The last of them with their reasons, one per line, oldest first.
        last: String,
    },
    /// A person asked for an end after the experiments in flight; the same command resumes the run.
    Requested,
    /// A person asked for it at once; the same command resumes the run.
    Cancelled,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopReason::Experiments(1) => f.write_str("the one experiment is done"),
            StopReason::Experiments(count) => write!(f, "all {count} experiments are done"),
            StopReason::Wall(limit) => write!(f, "the time of {:.0} s is over", limit.as_secs_f64()),
            StopReason::Target(score) => write!(f, "the target {score} is reached"),
            StopReason::Plateau(count) => write!(f, "{count} proposals in a row led to no keep"),
            StopReason::Dollars(limit) => write!(f, "the budget of ${limit:.2} is spent"),
            StopReason::Tokens(limit) => write!(f, "the budget of {limit} tokens is spent"),
            StopReason::Calls(1) => f.write_str("the one call is made"),
            StopReason::Calls(limit) => write!(f, "all {limit} calls are made"),
            StopReason::Exhausted(why) => write!(f, "there are no more proposals: {why}"),
            StopReason::Rejected { count, last } => {
                write!(f, "{count} proposals in a row were rejected; the last ones were:\n{last}")
            }
            StopReason::Requested => f.write_str("asked to stop after the experiments in flight; it can be continued"),
            StopReason::Cancelled => f.write_str("interrupted; it can be continued"),
        }
    }
}

impl Stop {
    /// Ends after this many experiments beside the baseline.
    ///
    /// ```
    /// use autoresearch_core::Stop;
    /// assert_eq!(Stop::after(100).experiments, Some(100));
    /// ```
    pub fn after(experiments: usize) -> Stop {
        Stop { experiments: Some(experiments), ..Stop::default() }
    }

    /// Says what is wrong with the conditions, in a sentence that says what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.dollars {
            Some(dollars) if !(dollars.is_finite() && dollars >= 0.0) => {
                Err(format!("the limit of dollars is {dollars}; give a finite number that is not negative"))
            }
            _ => Ok(()),
        }
    }

    /// Estimates how many more experiments fit, after the run has gone on for `elapsed` with `workers` workers: the rest of
    /// their number, or of the time at the pace so far. `None` if neither has a limit.
    pub(crate) fn remaining(&self, state: &State, elapsed: Duration, workers: usize) -> Option<f64> {
        let begun = state.finished() + state.pending().filter(|experiment| !experiment.id.is_baseline()).count();
        let count = self.experiments.map(|count| count.saturating_sub(begun) as f64);
        let pace = state.seconds_experimenting / state.finished() as f64 / workers as f64;
        let wall = self.wall.filter(|_| pace > 0.0).map(|limit| limit.saturating_sub(elapsed).as_secs_f64() / pace);
        match (count, wall) {
            (Some(count), Some(wall)) => Some(count.min(wall)),
            (count, wall) => count.or(wall),
        }
    }

    /// The condition that holds after the run has gone on for `elapsed`, if any.
    pub(crate) fn reason(&self, state: &State, direction: Direction, elapsed: Duration) -> Option<StopReason> {
        let score = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let reached = |target: &Score| score.is_some_and(|score| direction.gain(*target, score) >= 0.0);
        self.experiments
            .filter(|count| state.finished() >= *count)
            .map(StopReason::Experiments)
            .or_else(|| self.target.filter(reached).map(StopReason::Target))
            .or_else(|| self.wall.filter(|limit| elapsed >= *limit).map(StopReason::Wall))
            .or_else(|| self.plateau.filter(|count| state.since_keep >= *count).map(StopReason::Plateau))
            .or_else(|| self.dollars.filter(|limit| state.cost.dollars >= *limit).map(StopReason::Dollars))
            .or_else(|| self.tokens.filter(|limit| state.cost.tokens >= *limit).map(StopReason::Tokens))
            .or_else(|| self.calls.filter(|limit| state.cost.calls >= *limit).map(StopReason::Calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_dollars_that_is_no_limit_is_named() {
        for dollars in [f64::NAN, f64::INFINITY, -0.5] {
            let stop = Stop { dollars: Some(dollars), ..Stop::default() };
            assert!(stop.check().unwrap_err().contains("not negative"), "{dollars}");
        }
        assert_eq!(Stop { dollars: Some(0.0), ..Stop::default() }.check(), Ok(()));
    }
}
