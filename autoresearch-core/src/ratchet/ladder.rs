//! The Ladder, for a whole run on one finite evaluation set: a gain must exceed the luck of choosing among many candidates.

use super::{Arm, Disclosure, Evidence, Ratchet, Verdict};
use crate::metric::{signed, significant};

/// Keeps a candidate only if its mean gain over the items of a shared evaluation set exceeds the standard error of that mean.
///
/// With losses `b` of the incumbent and `c` of the candidate on the same `n` items, the gains are `d = b - c` (`c - b` where
/// higher is better), and the candidate is kept if `mean(d) > s / sqrt(n)`, `s` the standard deviation of `d`. A tie on every
/// single item is kept if it leaves less code. This is the parameter-free Ladder of Blum and Hardt ("The Ladder: A Reliable
/// Leaderboard for Machine Learning Competitions", ICML 2015): repeated trials do not average away the luck of one evaluation
/// set, and the set wears out with every score that a proposer sees. Hence [`Disclosure::RoundedBest`]: proposers see whether
/// a candidate was kept, and the best score rounded to `1/n`.
///
/// It slows the wear and does not end it, since each decision still tells something about the set. The true gain of a run shows
/// on data that no decision has touched, such as a holdout.
///
/// The lists come from a metric such as [`crate::ItemMetric`]. A candidate without one, or with another number of items, is
/// discarded.
///
/// ```
/// use autoresearch_core::{Arm, Evidence, Ladder, Ratchet, Verdict};
/// use autoresearch_core::{Direction, Measurement, Score};
/// let arm = |items: &[f64]| {
///     let mean = Score::new(items.iter().sum::<f64>() / items.len() as f64)?;
///     Some(Arm { measurements: vec![Measurement { items: items.to_vec(), ..Measurement::new(mean) }] })
/// };
/// let judge = |before: &[f64], after: &[f64]| {
///     Some(Ladder.judge(&Evidence::new(arm(before)?, arm(after)?, Direction::Minimise, 0)))
/// };
/// // Better by 0.25 on average, on every item alike.
/// assert!(matches!(judge(&[1.0, 1.0, 1.0, 1.0], &[0.75, 0.7, 0.8, 0.75]), Some(Verdict::Keep(_))));
/// // Better by the same on average, on one item alone.
/// assert!(matches!(judge(&[1.0, 1.0, 1.0, 1.0], &[0.0, 1.0, 1.0, 1.0]), Some(Verdict::Discard(_))));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ladder;

impl Ratchet for Ladder {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        let Evidence { incumbent, candidate, direction, added_lines, .. } = evidence;
        if candidate.measurements.is_empty() {
            return Verdict::Discard("it was never measured".into());
        }
        if incumbent.measurements.is_empty() {
            return Verdict::Keep("there was nothing to beat".into());
        }
        let items = |who: &str, arm: &Arm| {
            let without = || {
                format!("{who} has no list of scores, or lists of different lengths; the Ladder compares item by item")
            };
            arm.items().ok_or_else(without)
        };
        let (before, after) = match (items("the incumbent", incumbent), items("it", candidate)) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(why), _) | (_, Err(why)) => return Verdict::Discard(why),
        };
        if before.len() != after.len() {
            return Verdict::Discard(format!(
                "it has scores of {} items and the incumbent of {}; both must be evaluated on the same set",
                after.len(),
                before.len()
            ));
        }
        if before.len() < 2 {
            return Verdict::Discard("one item has no spread; the Ladder needs at least two".into());
        }
        let gains: Vec<f64> =
            before.iter().zip(&after).map(|(before, after)| direction.sign() * (after - before)).collect();
        let (gain, error) = mean_and_error(&gains);
        if gain > error {
            Verdict::Keep(format!(
                "better by {} over {} items, standard error {}",
                significant(gain),
                gains.len(),
                significant(error)
            ))
        } else if *added_lines < 0 && gains.iter().all(|gain| *gain == 0.0) {
            Verdict::Keep(format!("equal on each of {} items, with {} lines less", gains.len(), -added_lines))
        } else if gain > 0.0 {
            Verdict::Discard(format!(
                "better by {}, within the standard error {} of {} items",
                significant(gain),
                significant(error),
                gains.len()
            ))
        } else {
            Verdict::Discard(format!("not better over {} items ({})", gains.len(), signed(gain)))
        }
    }

    fn name(&self) -> &str {
        "ladder"
    }

    fn discloses(&self) -> Disclosure {
        Disclosure::RoundedBest
    }
}

/// Computes the mean of at least two numbers, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Direction, Measurement, Score};
    use proptest::prelude::*;

    fn arm(items: &[f64]) -> Arm {
        let score = Score::new(items.iter().sum::<f64>() / items.len().max(1) as f64);
        let score = score.unwrap_or(Score::new(0.0).unwrap());
        Arm { measurements: vec![Measurement { items: items.into(), ..Measurement::new(score) }] }
    }

    fn judge(before: &[f64], after: &[f64], direction: Direction, lines: i64) -> Verdict {
        Ladder.judge(&Evidence::new(arm(before), arm(after), direction, lines))
    }

    fn keeps(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Keep(_))
    }

    proptest! {
        #[test]
        fn the_gain_must_exceed_its_standard_error(pairs in prop::collection::vec((-9.0..9.0f64, -9.0..9.0f64), 2..40), lines in -1..2i64) {
            let (before, after): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let n = pairs.len() as f64;
            let gains: Vec<f64> = pairs.iter().map(|(before, after)| before - after).collect();
            let mean = gains.iter().sum::<f64>() / n;
            let deviation = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            prop_assume!((mean - deviation / n.sqrt()).abs() > 1e-9);
            let expected = mean > deviation / n.sqrt();
            prop_assert_eq!(keeps(&judge(&before, &after, Direction::Minimise, lines)), expected);
            // The same gains, where higher is better.
            prop_assert_eq!(keeps(&judge(&after, &before, Direction::Maximise, lines)), expected);
            // The order of the items, a constant and the unit change nothing.
            let turned = |items: &[f64]| items.iter().rev().map(|item| 8.0 * item + 64.0).collect::<Vec<_>>();
            prop_assert_eq!(keeps(&judge(&turned(&before), &turned(&after), Direction::Minimise, lines)), expected);
        }
    }

    #[test]
    fn what_cannot_be_compared_item_by_item_is_discarded_with_the_reason() {
        let reason = |before: &[f64], after: &[f64]| match judge(before, after, Direction::Minimise, 0) {
            Verdict::Discard(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(reason(&[1.0, 1.0], &[]).contains("it has no list"));
        assert!(reason(&[], &[0.0, 0.0]).contains("the incumbent has no list"));
        assert!(reason(&[1.0, 1.0, 1.0], &[0.0, 0.0]).contains("2 items and the incumbent of 3"));
        assert!(reason(&[1.0], &[0.0]).contains("at least two"));
        assert!(reason(&[1.0, 1.0], &[f64::NAN, 0.0]).contains("not better"));
        let mut twice = arm(&[0.0, 0.0]);
        twice.measurements.extend(arm(&[0.0]).measurements);
        let evidence = Evidence::new(arm(&[1.0, 1.0]), twice, Direction::Minimise, 0);
        assert!(matches!(Ladder.judge(&evidence), Verdict::Discard(why) if why.contains("different lengths")));
    }

    #[test]
    fn a_tie_on_every_item_is_kept_if_it_is_simpler() {
        let items = [0.3, 0.7, 0.1];
        assert!(keeps(&judge(&items, &items, Direction::Minimise, -1)));
        assert!(!keeps(&judge(&items, &items, Direction::Minimise, 0)));
        assert!(!keeps(&judge(&items, &[0.7, 0.3, 0.1], Direction::Minimise, -1)), "equal on average alone");
    }

    #[test]
    fn the_baseline_is_kept_and_what_was_never_measured_is_not() {
        let judge = |incumbent, candidate| Ladder.judge(&Evidence::new(incumbent, candidate, Direction::Minimise, 0));
        assert!(keeps(&judge(Arm::default(), arm(&[1.0, 2.0]))));
        assert!(!keeps(&judge(arm(&[1.0, 2.0]), Arm::default())));
    }
}
