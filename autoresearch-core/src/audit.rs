//! Which keeps are real: what is known of each by measurements that did not choose it.

use crate::metric::Direction;
use crate::ratchet::Noise;
use crate::state::{Experiment, State, Status};

/// A kept experiment beside the one that it replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Kept<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// By how much it was better when it was chosen.
    pub chosen_gain: f64,
    /// By how much it is better by measurements that chose neither of both; by the ones that did, where there are no others.
    pub gain: f64,
    /// How many measurements that gain rests on: of this one, and of the one before it.
    pub measured: (usize, usize),
    /// Whether those measurements chose it: then the gain is too good on average.
    pub by_selection: bool,
    /// The gain's standard error, if the noise is known.
    pub error: Option<f64>,
    /// The probability of such a gain without any effect, if the noise is known.
    pub chance: Option<f64>,
}

impl Kept<'_> {
    /// Whether a test at the level `alpha` would not keep it. `None` while the noise is not known.
    pub fn doubtful(&self, alpha: f64) -> Option<bool> {
        self.chance.map(|chance| chance > alpha)
    }
}

/// What runs of the same code differ by, from everything that is known today.
pub fn noise(state: &State) -> Noise {
    let mut noise = state.noise;
    state.experiments.iter().for_each(|experiment| noise.pool_usual(&experiment.audit));
    noise
}

/// How many changes without effect the tests let pass on average, if all candidates had none: an upper guide. `None` under a
/// rule without tests.
pub fn expected_false_keeps(state: &State) -> Option<f64> {
    let levels: Vec<f64> = state.experiments.iter().filter_map(|experiment| experiment.alpha).collect();
    (!levels.is_empty()).then(|| levels.iter().sum())
}

/// The keeps in the order of the lineage, the baseline left out.
pub fn keeps(state: &State) -> Vec<Kept<'_>> {
    let noise = noise(state);
    let direction = state.header.as_ref().map_or(Direction::Minimise, |header| header.direction);
    let better = |from: f64, to: f64| if direction == Direction::Minimise { from - to } else { to - from };
    let lineage: Vec<&Experiment> =
        state.experiments.iter().filter(|experiment| experiment.status == Status::Keep).collect();
    let rounds = rounds(&lineage);
    let pairs = lineage.windows(2).filter_map(|pair| {
        let [before, experiment] = pair else { return None };
        let (old, new) = (fresh(before), fresh(experiment));
        let (from, to) = (mean(&old.0)?, mean(&new.0)?);
        let chosen = experiment.selected_at().or(experiment.score())?.get();
        let gain = better(from, to);
        let (error, noise) = match differences(before, experiment) {
            // In rounds with the same seed and in the same minutes: what falls on both alike is no noise of the difference.
            Some(differences) => (rounds.sigma().map(|sigma| sigma / (differences.len() as f64).sqrt()), rounds),
            None => (noise.error_of_difference(new.0.len(), old.0.len()), noise),
        };
        Some(Kept {
            experiment,
            chosen_gain: better(experiment.before?.get(), chosen),
            gain,
            measured: (new.0.len(), old.0.len()),
            by_selection: new.1,
            error,
            chance: error.map(|error| match error > 0.0 {
                true => noise.chance(gain / error),
                false => f64::from(gain <= 0.0),
            }),
        })
    });
    pairs.collect()
}

/// By how much the second was higher in each round of an audit; `None` without at least two.
fn differences(first: &Experiment, second: &Experiment) -> Option<Vec<f64>> {
    let rounds = first.audit.iter().zip(&second.audit).map(|(first, second)| second - first);
    let rounds: Vec<f64> = rounds.collect();
    (rounds.len() >= 2).then_some(rounds)
}

/// What the differences of neighbours vary by from round to round.
fn rounds(lineage: &[&Experiment]) -> Noise {
    let mut noise = Noise::default();
    lineage.windows(2).filter_map(|pair| differences(pair[0], pair[1])).for_each(|rounds| noise.pool(&rounds));
    noise
}

/// The scores of an experiment that did not choose it; if there are none, those that did.
fn fresh(experiment: &Experiment) -> (Vec<f64>, bool) {
    if !experiment.audit.is_empty() {
        return (experiment.audit.clone(), false);
    }
    let scores: Vec<f64> = experiment.arm.scores().map(|score| score.get()).collect();
    let chose = scores.len().saturating_sub(experiment.reference as usize);
    // Nothing chose the baseline.
    (scores[chose..].to_vec(), chose == 0 && experiment.id > 0)
}

fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests;
