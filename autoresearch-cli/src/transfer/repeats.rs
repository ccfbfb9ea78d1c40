//! The number of rounds that a transfer takes by default, and the time of a trial.

use std::time::Duration;

use autoresearch_core::internal::audit;
use autoresearch_core::internal::journal::{Entry, Record};
use autoresearch_core::{RunLog, State};

use super::compare::{LEVEL, equal_by_luck};
use super::plan::Plan;

/// The fewest and the most rounds by default.
const FEWEST: f64 = 3.0;
const MOST: f64 = 10.0;
/// Standard errors by which a gain exceeds the half of its interval where it is shown with a probability of five in six.
const POWER: f64 = 1.0;

/// The rounds in which a gain of the size that the run's keeps have on average is shown, at the noise of the run: from 3 to 10. Where
/// the run does not tell its noise, those after which equal scores are no luck.
pub fn default_repeats(state: &State, plan: &Plan) -> u32 {
    let noise = audit::noise(state);
    let among = plan.keeps.iter().filter(|keep| keep.arms.is_some()).count().max(1) as f64;
    let mut gains: Vec<f64> = audit::keeps(state).iter().map(|keep| keep.gain).filter(|gain| *gain > 0.0).collect();
    gains.sort_by(f64::total_cmp);
    let rounds = match (noise.sigma(), gains.get(gains.len() / 2)) {
        (Some(sigma), Some(gain)) => 2.0 * ((noise.quantile(LEVEL / 2.0 / among) + POWER) * sigma / gain).powi(2),
        (Some(_), None) => FEWEST,
        (None, _) => rounds_against_luck(LEVEL / among),
    };
    rounds.ceil().clamp(FEWEST, MOST) as u32
}

/// The fewest rounds after which luck makes all scores of either of two arms equal with a probability of at most `level`.
fn rounds_against_luck(level: f64) -> f64 {
    (1..MOST as usize).find(|rounds| equal_by_luck(*rounds) <= level).map_or(MOST, |rounds| rounds as f64)
}

/// The wall clock of a trial with its build and its evaluation.
pub fn wall_clock(log: &RunLog) -> Duration {
    log.build.saturating_add(log.elapsed).saturating_add(log.evaluation)
}

/// The median wall clock of the run's own trials on the full budget, builds and evaluations included, in seconds: the first build often takes longer
/// than all others.
pub fn usual_trial(entries: &[Entry]) -> Option<f64> {
    let times = entries.iter().filter_map(|entry| match &entry.record {
        Record::TrialMeasured(end) if end.fidelity == 1.0 && end.result.is_ok() => {
            Some(wall_clock(end.outcome.log()).as_secs_f64())
        }
        _ => None,
    });
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rounds_of_a_run_without_known_noise_suffice_for_equal_scores() {
        // Of one keep, two and twenty.
        let rounds = [1.0, 2.0, 20.0].map(|keeps| rounds_against_luck(LEVEL / keeps));
        assert_eq!(rounds, [4.0, 5.0, 6.0]);
        assert_eq!(rounds_against_luck(1e-9), MOST);
    }

    #[test]
    fn the_time_of_a_trial_has_its_build_and_its_evaluation() {
        let mut log = RunLog::default();
        (log.build, log.elapsed, log.evaluation) =
            (Duration::from_secs(1), Duration::from_secs(20), Duration::from_secs(300));
        assert_eq!(wall_clock(&log), Duration::from_secs(321));
    }
}
