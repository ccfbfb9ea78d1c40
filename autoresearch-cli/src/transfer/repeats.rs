//! The number of rounds that a transfer takes by default, and the time of a trial.

use autoresearch_core::State;
use autoresearch_core::internal::audit;
use autoresearch_core::internal::journal::{Entry, Record};

use super::compare::LEVEL;
use super::plan::Plan;

/// The fewest and the most rounds by default.
const FEWEST: f64 = 3.0;
const MOST: f64 = 10.0;
/// Standard errors by which a gain exceeds the half of its interval where it is shown with a probability of five in six.
const POWER: f64 = 1.0;

/// The rounds in which a gain of the size that the run's keeps have on average is shown, at the noise of the run: from 3 to 10.
pub fn default_repeats(state: &State, plan: &Plan) -> u32 {
    let noise = audit::noise(state);
    let mut gains: Vec<f64> = audit::keeps(state).iter().map(|keep| keep.gain).filter(|gain| *gain > 0.0).collect();
    gains.sort_by(f64::total_cmp);
    let rounds = match (noise.sigma(), gains.get(gains.len() / 2)) {
        (Some(sigma), Some(gain)) => {
            let among = plan.keeps.iter().filter(|keep| keep.arms.is_some()).count().max(1);
            2.0 * ((noise.quantile(LEVEL / 2.0 / among as f64) + POWER) * sigma / gain).powi(2)
        }
        _ => FEWEST,
    };
    rounds.ceil().clamp(FEWEST, MOST) as u32
}

/// The median wall clock of the run's own trials on the full budget, builds included, in seconds: the first build often takes longer
/// than all others.
pub fn usual_trial(entries: &[Entry]) -> Option<f64> {
    let times = entries.iter().filter_map(|entry| match &entry.record {
        Record::TrialMeasured(end) if end.fidelity == 1.0 && end.result.is_ok() => {
            Some((end.outcome.log().build + end.outcome.log().elapsed).as_secs_f64())
        }
        _ => None,
    });
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}
