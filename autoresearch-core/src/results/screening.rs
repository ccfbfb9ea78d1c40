//! Summary of screening: the candidates that it threw out, the time saved, and how far the rungs agree with the full budget.

use crate::state::{Experiment, Promotion, State, Status};

/// Summary of screening in a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Screened {
    /// Candidates that were discarded on a rung.
    pub out: usize,
    /// Candidates that crashed on a rung.
    pub crashed: usize,
    /// Candidates that passed to the full budget.
    pub passed: usize,
    /// Candidates that failed and were promoted as controls.
    pub controls: usize,
    /// Candidates that could not be compared and were promoted unscreened.
    pub unscreened: usize,
    /// Candidates that had a second chance on a further rung.
    pub second_looks: usize,
    /// Seconds saved: the average time on the full budget of those thrown out, minus that of all trials on rungs. Negative if
    /// screening cost more than it saved.
    pub saved_seconds: f64,
    /// Agreement of the rungs with the full budget, by rung.
    pub agreement: Vec<Agreement>,
}

/// Agreement of the candidates' gains on one rung with their gains on the full budget.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Agreement {
    /// The share of the full budget.
    pub fidelity: f64,
    /// Number of candidates measured on both.
    pub pairs: usize,
    /// Number of these that failed their rung.
    pub controls: usize,
    /// Spearman's rank correlation, each control standing for all that failed like it. `None` for fewer than three pairs,
    /// and where all gains of one kind are equal.
    pub correlation: Option<f64>,
}

/// Pairs below which nothing is concluded.
const FEWEST: usize = 3;

impl Agreement {
    /// True if enough candidates were measured on both, and the better ones on the rung are rarely better on the full budget.
    pub fn misleads(&self) -> bool {
        self.pairs >= 10 && self.correlation.is_some_and(|correlation| correlation < 0.3)
    }
}

/// Summarises screening; `None` if nothing was screened.
///
/// The correlation is that of gains over the incumbent of the time, on the rung and on the full budget. The scores themselves
/// would agree in any case, since both improve in the course of the run.
pub fn screened(state: &State) -> Option<Screened> {
    let direction = state.header.as_ref()?.direction;
    let with_short: Vec<_> = state.experiments.iter().filter_map(|e| Some((e, e.screening.as_deref()?))).collect();
    if with_short.is_empty() {
        return None;
    }
    let count = |promotion| with_short.iter().filter(|(_, short)| short.promotion == promotion).count();
    let dropped = |status| with_short.iter().filter(|(e, s)| s.promotion.is_none() && e.status == status).count();
    let (out, controls) = (dropped(Status::Discard), count(Some(Promotion::Control)));

    // A control stands for all candidates that failed, each other one for itself.
    let rungs = &state.rungs;
    let weight = |promotion| match promotion {
        Some(Promotion::Control) => f64::from(rungs.failed) / f64::from(rungs.controls.max(1)),
        _ => 1.0,
    };
    let full = |e: &Experiment| Some(direction.gain(e.before?, e.score()?));
    let mut fidelities: Vec<f64> = with_short.iter().flat_map(|(_, s)| &s.rungs).map(|look| look.fidelity).collect();
    fidelities.sort_by(f64::total_cmp);
    fidelities.dedup();
    let agreement = fidelities.into_iter().map(|fidelity| {
        let pairs = with_short.iter().filter_map(|(experiment, short)| {
            let look = short.rungs.iter().find(|look| look.fidelity == fidelity)?;
            let is_control = short.promotion == Some(Promotion::Control);
            Some((is_control, [look.gain(direction), full(experiment)?, weight(short.promotion)]))
        });
        let (is_control, pairs): (Vec<bool>, Vec<[f64; 3]>) = pairs.unzip();
        Agreement {
            fidelity,
            pairs: pairs.len(),
            controls: is_control.into_iter().filter(|control| *control).count(),
            correlation: rank_correlation(&pairs),
        }
    });
    let full_run = rungs.full_time.as_secs_f64() / f64::from(rungs.full_runs.max(1));
    Some(Screened {
        out,
        crashed: dropped(Status::Crash),
        passed: count(Some(Promotion::Passed)),
        controls,
        unscreened: count(Some(Promotion::Unscreened)),
        second_looks: with_short.iter().filter(|(_, short)| short.rungs.len() > 1).count(),
        saved_seconds: out as f64 * full_run - rungs.time.as_secs_f64(),
        agreement: agreement.collect(),
    })
}

/// Spearman's rank correlation of `[x, y, weight]`, with the mean rank for ties: Pearson's correlation of the ranks, where a
/// weight of 3 counts as three equal pairs.
fn rank_correlation(pairs: &[[f64; 3]]) -> Option<f64> {
    if pairs.len() < FEWEST {
        return None;
    }
    let total: f64 = pairs.iter().map(|[_, _, weight]| weight).sum();
    // Ranks from their mean: then their products are the covariance.
    let ranks = |of: usize| -> Vec<f64> {
        let rank = |value: f64| -> f64 {
            let share = pairs.iter().map(|pair| match pair[of].total_cmp(&value) {
                std::cmp::Ordering::Less => pair[2],
                std::cmp::Ordering::Equal => pair[2] / 2.0,
                std::cmp::Ordering::Greater => 0.0,
            });
            share.sum::<f64>() - total / 2.0
        };
        pairs.iter().map(|pair| rank(pair[of])).collect()
    };
    let (x, y) = (ranks(0), ranks(1));
    let product =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).zip(pairs).map(|((a, b), pair)| a * b * pair[2]).sum() };
    let spread = (product(&x, &x) * product(&y, &y)).sqrt();
    (spread > 0.0).then(|| product(&x, &y) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(pairs: &[(f64, f64)]) -> Option<f64> {
        rank_correlation(&pairs.iter().map(|(x, y)| [*x, *y, 1.0]).collect::<Vec<_>>())
    }

    #[test]
    fn ranks_and_not_values_count() {
        assert!((of(&[(1.0, 1.0), (2.0, 10.0), (3.0, 100.0), (4.0, 1e9)]).unwrap() - 1.0).abs() < 1e-12);
        assert!((of(&[(1.0, 3.0), (2.0, 2.0), (3.0, -9.0)]).unwrap() + 1.0).abs() < 1e-12);
        // IQ and hours of television, the worked example of many textbooks: -29/165.
        let iq = [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0];
        let hours = [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let pairs: Vec<(f64, f64)> = iq.into_iter().zip(hours).collect();
        assert!((of(&pairs).unwrap() + 29.0 / 165.0).abs() < 1e-12);
        // Ties have the mean rank: 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        let tied = of(&[(1.0, 1.0), (2.0, 2.0), (2.0, 3.0), (3.0, 4.0)]).unwrap();
        assert!((tied - 0.948_683_298_050_513_8).abs() < 1e-12, "{tied}");
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        assert_eq!(of(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(of(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }

    proptest! {
        #[test]
        fn a_weight_is_so_many_equal_pairs(pairs in prop::collection::vec((0..9i32, 0..9i32, 1..4u32), 3..12)) {
            let pairs: Vec<[f64; 3]> = pairs.into_iter().map(|(x, y, w)| [x.into(), y.into(), w.into()]).collect();
            let many: Vec<[f64; 3]> =
                pairs.iter().flat_map(|[x, y, w]| std::iter::repeat_n([*x, *y, 1.0], *w as usize)).collect();
            match (rank_correlation(&pairs), rank_correlation(&many)) {
                (Some(a), Some(b)) => {
                    prop_assert!((a - b).abs() < 1e-9);
                    prop_assert!(a.abs() <= 1.0 + 1e-9);
                }
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }
}
