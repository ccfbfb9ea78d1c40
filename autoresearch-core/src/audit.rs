//! The keeps that are real: each beside the one before it, by measurements that did not choose it.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Entry, Record};
use crate::metric::{Direction, Score};
use crate::ratchet::Noise;
use crate::state::{Experiment, State, Status};

/// A kept experiment beside the one that it replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Kept<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The gain when the experiment was chosen, in the metric's unit.
    pub chosen_gain: f64,
    /// The gain by measurements that chose neither revision, if there are any; else by those that did.
    pub gain: f64,
    /// The number of measurements behind that gain: of this experiment, and of the one before it.
    pub measured: (usize, usize),
    /// True if those measurements chose the experiment, so that the gain is too good on average.
    pub by_selection: bool,
    /// The gain's standard error, if the noise is known.
    pub error: Option<f64>,
    /// The probability of such a gain without any effect, if the noise is known.
    pub chance: Option<f64>,
}

impl Kept<'_> {
    /// True if a test at the level `alpha` would not keep it. `None` while the noise is not known.
    pub fn doubtful(&self, alpha: f64) -> Option<bool> {
        self.chance.map(|chance| chance > alpha)
    }
}

/// Computes the noise between trials of the same code, from the run and its audits.
pub fn noise(state: &State) -> Noise {
    let mut noise = state.noise;
    for experiment in &state.experiments {
        noise.pool_usual(&experiment.audit.iter().map(|audited| audited.score.get()).collect::<Vec<_>>());
    }
    noise
}

/// The number of changes without effect that the tests let pass on average, if no candidate had any: an upper guide. `None`
/// under a rule without tests.
pub fn expected_false_keeps(state: &State) -> Option<f64> {
    let levels: Vec<f64> = state.experiments.iter().filter_map(|experiment| experiment.alpha).collect();
    (!levels.is_empty()).then(|| levels.iter().sum())
}

/// The keeps in the order of the lineage, without the baseline.
pub fn keeps(state: &State) -> Vec<Kept<'_>> {
    let noise = noise(state);
    let direction = state.header.as_ref().map_or(Direction::Minimise, |header| header.direction);
    let better = |from: f64, to: f64| direction.sign() * (to - from);
    let lineage: Vec<&Experiment> =
        state.experiments.iter().filter(|experiment| experiment.status == Status::Keep).collect();
    let varies = rounds_vary(&lineage);
    let pairs = lineage.windows(2).filter_map(|pair| {
        let [before, experiment] = pair else { return None };
        let chosen = experiment.selected_at().or(experiment.score())?.get();
        let differences = differences(before, experiment);
        let count = differences.len();
        // In rounds with the same seed and in the same minutes: what falls on both alike is no noise of the difference. Other
        // scores of audits are not used, since the machine may have shifted between two audits.
        let (gain, measured, by_selection, error, noise) = match mean(&differences) {
            Some(by) if count >= 2 => {
                let error = varies.sigma().map(|sigma| sigma / (count as f64).sqrt());
                (better(0.0, by), (count, count), false, error, varies)
            }
            Some(by) => (better(0.0, by), (1, 1), false, noise.error_of_difference(1, 1), noise),
            None => {
                let (old, new) = (fresh(before), fresh(experiment));
                let error = noise.error_of_difference(new.0.len(), old.0.len());
                (better(mean(&old.0)?, mean(&new.0)?), (new.0.len(), old.0.len()), new.1, error, noise)
            }
        };
        Some(Kept {
            experiment,
            chosen_gain: better(experiment.before?.get(), chosen),
            gain,
            measured,
            by_selection,
            error,
            chance: error.map(|error| match error > 0.0 {
                true => noise.chance(gain / error),
                false => f64::from(gain <= 0.0),
            }),
        })
    });
    pairs.collect()
}

/// Counts the whole rounds of a run's audits. The last one is not whole if the audit was interrupted in it: then it is
/// measured again, since its scores would be compared with those of another hour.
pub fn whole_rounds(entries: &[Entry]) -> u32 {
    let (mut last_keep, mut seeds, mut is_whole) = (None, BTreeSet::new(), true);
    for entry in entries {
        match &entry.record {
            Record::Decided(decision) if decision.status == Status::Keep => last_keep = Some(decision.experiment),
            // The keeps are measured in the order of the lineage.
            Record::Audited { experiment, seed, .. } => {
                seeds.insert(*seed);
                is_whole = last_keep == Some(*experiment);
            }
            _ => {}
        }
    }
    seeds.len() as u32 - u32::from(!is_whole)
}

/// The second's score minus the first's in each round of an audit that measured both.
fn differences(first: &Experiment, second: &Experiment) -> Vec<f64> {
    let by_round: BTreeMap<u64, Score> = first.audit.iter().map(|audited| (audited.seed, audited.score)).collect();
    let of_second: BTreeMap<u64, Score> = second.audit.iter().map(|audited| (audited.seed, audited.score)).collect();
    let both = of_second.iter().filter_map(|(seed, score)| Some(score.get() - by_round.get(seed)?.get()));
    both.collect()
}

/// The variation of the neighbours' differences from round to round.
fn rounds_vary(lineage: &[&Experiment]) -> Noise {
    let mut noise = Noise::default();
    lineage.windows(2).for_each(|pair| {
        if let [before, experiment] = pair {
            noise.pool(&differences(before, experiment));
        }
    });
    noise
}

/// The scores of an experiment's trials that did not choose it; if there are none, those that did, and that they did.
fn fresh(experiment: &Experiment) -> (Vec<f64>, bool) {
    let scores: Vec<f64> = experiment.arm.scores().map(|score| score.get()).collect();
    let chose = scores.len().saturating_sub(experiment.reference as usize);
    // Nothing chose the baseline.
    (scores.get(chose..).unwrap_or_default().to_vec(), chose == 0 && !experiment.id.is_baseline())
}

fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests;
