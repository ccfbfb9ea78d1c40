//! Suggestions for the direction of the next proposals.

use autoresearch_core::{Context, Experiment, Status};

/// Experiments without a keep that make a plateau; each further such number brings another strategy.
const PATIENCE: usize = 8;
/// Number of the latest experiments that show how often changes crash.
const LATEST: usize = 8;

/// Direction of the next proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Continue in the direction of the latest keeps.
    Exploit,
    /// Try something that no experiment has touched.
    Explore,
    /// Combine changes that failed narrowly.
    CombineNearMisses,
    /// Make smaller changes and remove code.
    Simplify,
    /// Question early decisions.
    RevertEarly,
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Strategy::Exploit => "exploit: continue in the direction of the latest keeps",
            Strategy::Explore => "explore: try something that no experiment has touched yet",
            Strategy::CombineNearMisses => "combine near misses: put discarded changes together that failed narrowly",
            Strategy::Simplify => "simplify: make small changes, remove code, and see what is not needed",
            Strategy::RevertEarly => {
                "revert an early decision: undo or redo one of the first keeps, since what surrounds it has changed"
            }
        })
    }
}

/// Returns the direction of the next proposal: exploit while there are keeps, and on a plateau the others in turn.
pub fn strategy<C>(context: &Context<'_, C>) -> Strategy {
    let tried = context.experiments.get(1..).unwrap_or_default();
    let kept = tried.iter().filter(|experiment| experiment.status == Status::Keep).count();
    let since = tried.iter().rev().take_while(|experiment| experiment.status != Status::Keep).count();
    let latest = tried.get(tried.len().saturating_sub(LATEST)..).unwrap_or_default();
    let crashes = latest.iter().filter(|experiment| experiment.status == Status::Crash).count();
    if tried.len() >= LATEST && crashes * 2 >= LATEST {
        return Strategy::Simplify;
    }
    if since < PATIENCE {
        return if kept == 0 { Strategy::Explore } else { Strategy::Exploit };
    }
    let misses = near_misses(context).len();
    match (since / PATIENCE - 1) % 4 {
        0 if misses >= 2 => Strategy::CombineNearMisses,
        2 => Strategy::Simplify,
        3 if kept >= 4 => Strategy::RevertEarly,
        _ => Strategy::Explore,
    }
}

/// Returns directions for `count` proposals at the same time: first that of [`strategy`], then the others that have something
/// to work on, then all of them again.
pub fn strategies<C>(context: &Context<'_, C>, count: usize) -> Vec<Strategy> {
    let kept = context.experiments.iter().skip(1).filter(|experiment| experiment.status == Status::Keep).count();
    let first = strategy(context);
    let sensible = |strategy: &Strategy| match strategy {
        Strategy::Exploit => kept > 0,
        Strategy::CombineNearMisses => near_misses(context).len() >= 2,
        Strategy::RevertEarly => kept >= 4,
        Strategy::Explore | Strategy::Simplify => true,
    };
    let all =
        [Strategy::Explore, Strategy::Exploit, Strategy::CombineNearMisses, Strategy::Simplify, Strategy::RevertEarly];
    let others: Vec<Strategy> = all.into_iter().filter(|other| *other != first && sensible(other)).collect();
    std::iter::once(first).chain(others).cycle().take(count).collect()
}

/// Returns the discards with their gains, mostly negative, the closest first: those that missed by less than the median gain
/// of a kept change.
pub(super) fn near_misses<'a, C>(context: &Context<'a, C>) -> Vec<(f64, &'a Experiment)> {
    let gain = |experiment: &Experiment| Some(context.direction.gain(experiment.before?, experiment.score()?));
    let of = |status| {
        let experiments = context.experiments.iter().filter(move |experiment| experiment.status == status);
        let mut gains: Vec<(f64, &'a Experiment)> = experiments.filter_map(|e| Some((gain(e)?, e))).collect();
        gains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
        gains
    };
    let kept = of(Status::Keep);
    // Where nothing was kept there is no measure of what is narrow.
    let margin = kept.get(kept.len() / 2).map_or(f64::INFINITY, |(gain, _)| gain.abs());
    let mut misses = of(Status::Discard);
    misses.retain(|(gain, _)| *gain >= -margin);
    misses
}
