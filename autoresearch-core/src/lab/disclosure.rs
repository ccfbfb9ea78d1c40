//! Disclosure: the view of the experiments that proposers get under a rule that discloses only the rounded best.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metric::{Measurement, Score};
use crate::proposer::Context;
use crate::ratchet::{Arm, Disclosure};
use crate::sandbox::Outcome;
use crate::state::{Experiment, State, Status};

/// The experiments as proposers see them. Each is copied once, when it is decided, and under other rules none ever is.
pub(super) struct Disclosed {
    experiments: Arc<Vec<Experiment>>,
}

/// The view of one state that a proposer gets.
pub(super) struct View {
    experiments: Arc<Vec<Experiment>>,
    pending: Vec<Experiment>,
    best: Option<Score>,
}

impl View {
    /// Leaves in a context only the view.
    pub(super) fn narrow<'a, C>(&'a self, context: &mut Context<'a, C>) {
        let best = self.best.unwrap_or(context.to_beat);
        (context.score, context.to_beat, context.experiments) = (best, best, &self.experiments);
        (context.noise, context.pending) = (None, self.pending.iter().collect());
    }
}

impl Disclosed {
    /// `None` where proposers may see everything.
    pub(super) fn under(disclosure: Disclosure) -> Option<Disclosed> {
        match disclosure {
            Disclosure::Everything => None,
            Disclosure::RoundedBest => Some(Disclosed { experiments: Arc::default() }),
        }
    }

    /// The view of all decided experiments.
    pub(super) fn of(&mut self, state: &State) -> &[Experiment] {
        let items = items(state);
        let new = state.experiments.get(self.experiments.len()..).unwrap_or_default();
        Arc::make_mut(&mut self.experiments).extend(new.iter().map(|experiment| redacted(experiment, items)));
        &self.experiments
    }

    /// The view of this state, for as long as a call takes.
    pub(super) fn view(&mut self, state: &State) -> View {
        self.of(state);
        let items = items(state);
        let pending = state.pending().map(|experiment| redacted(experiment, items)).collect();
        View { experiments: self.experiments.clone(), pending, best: rounded_best(state) }
    }
}

/// The incumbent's score as it may be known.
fn rounded_best(state: &State) -> Option<Score> {
    state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean()).map(|score| rounded(score, items(state)))
}

/// Number of items in the evaluation set.
fn items(state: &State) -> usize {
    state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.items()).map_or(0, |items| items.len())
}

/// To the next multiple of one item's share; unchanged where there are no items.
fn rounded(score: Score, items: usize) -> Score {
    let count = items as f64;
    Score::new((score.get() * count).round() / count).unwrap_or(score)
}

fn redacted(experiment: &Experiment, items: usize) -> Experiment {
    let score = experiment.score().map(|score| Measurement::new(rounded(score, items)));
    let (measurements, reason) = match experiment.status {
        Status::Keep => (score.into_iter().collect(), "better by more than one evaluation set's noise"),
        Status::Discard => (Vec::new(), "not better by more than one evaluation set's noise"),
        // Why it crashed is needed to mend it; what it printed may hold a part of a score.
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
