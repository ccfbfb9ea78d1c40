//! Disclosure: the view of the experiments that proposers get under a rule that discloses only the rounded best.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metric::{Measurement, Score};
use crate::proposer::Context;
use crate::ratchet::{Arm, Disclosure};
use crate::sandbox::Outcome;
use crate::state::{Experiment, State, Status};

/// The redacted copies of the decided experiments, each made once. Under other rules there are none.
pub(super) struct Disclosed {
    experiments: Arc<Vec<Experiment>>,
}

/// The redacted view of one state.
pub(super) struct View {
    experiments: Arc<Vec<Experiment>>,
    pending: Vec<Experiment>,
    best: Option<Score>,
}

impl View {
    /// Replaces the parts of a context by those of the view.
    pub(super) fn narrow<'a, C>(&'a self, context: &mut Context<'a, C>) {
        let best = self.best.unwrap_or(context.to_beat);
        (context.score, context.to_beat, context.experiments) = (best, best, &self.experiments);
        (context.noise, context.pending) = (None, self.pending.iter().collect());
    }
}

impl Disclosed {
    /// Makes the store of redacted experiments; `None` under a rule that discloses everything.
    pub(super) fn under(disclosure: Disclosure) -> Option<Disclosed> {
        match disclosure {
            Disclosure::Everything => None,
            Disclosure::RoundedBest => Some(Disclosed { experiments: Arc::default() }),
        }
    }

    /// Redacts the experiments decided since the last call. Returns all redacted experiments.
    pub(super) fn experiments(&mut self, state: &State) -> &[Experiment] {
        let items = items(state);
        let new = state.experiments.get(self.experiments.len()..).unwrap_or_default();
        Arc::make_mut(&mut self.experiments).extend(new.iter().map(|experiment| redacted(experiment, items)));
        &self.experiments
    }

    /// Makes the view of this state for one call of the proposer.
    pub(super) fn view(&mut self, state: &State) -> View {
        self.experiments(state);
        let items = items(state);
        let pending = state.pending().map(|experiment| redacted(experiment, items)).collect();
        View { experiments: self.experiments.clone(), pending, best: rounded_best(state) }
    }
}

/// The incumbent's score, rounded as the rule discloses it.
fn rounded_best(state: &State) -> Option<Score> {
    state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean()).map(|score| rounded(score, items(state)))
}

/// Number of items in the evaluation set.
fn items(state: &State) -> usize {
    state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.items()).map_or(0, |items| items.len())
}

/// Rounds a score to the next multiple of one item's share. Without items it is unchanged.
fn rounded(score: Score, items: usize) -> Score {
    let count = items as f64;
    Score::new((score.get() * count).round() / count).unwrap_or(score)
}

fn redacted(experiment: &Experiment, items: usize) -> Experiment {
    let score = experiment.score().map(|score| Measurement::new(rounded(score, items)));
    let (measurements, reason) = match experiment.status {
        Status::Keep => (score.into_iter().collect(), "better by more than one evaluation set's noise"),
        Status::Discard => (Vec::new(), "not better by more than one evaluation set's noise"),
        // A proposer needs the reason of a crash; the output of a trial that completed may hold a part of a score.
        Status::Crash => (Vec::new(), experiment.reason.as_str()),
    };
    let mut told = Experiment {
        arm: Arm { measurements },
        rebased: Vec::new(),
        screening: None,
        reason: reason.to_owned(),
        before: experiment.before.map(|score| rounded(score, items)),
        ..experiment.clone()
    };
    if let Some(Outcome::Completed(log)) = &mut told.outcome {
        (log.tail, log.path, log.artifacts) = (String::new(), None, BTreeMap::new());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_rounded_to_one_item_s_share() {
        let rounded = |score: f64, items| rounded(Score::new(score).unwrap(), items).get();
        assert_eq!((rounded(0.2501, 1000), rounded(0.2501, 8), rounded(0.2501, 0)), (0.25, 0.25, 0.2501));
        assert_eq!((rounded(5.4321, 100), rounded(-0.3, 4)), (5.43, -0.25));
    }
}
