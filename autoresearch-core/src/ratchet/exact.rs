//! Exact tests for scores of few values, where a standard deviation says little: pass rates, accuracies, counts.

/// The widest spread of one code's scores, in common steps, that still counts as few values.
const FEW: f64 = 8.0;
/// The share of the spread within which two differences count as equal: rounding, and no more.
const ROUNDING: f64 = 1e-6;
/// The most trials of both sides that an exact test counts; the latest of more are used.
const MOST: usize = 80;
/// The most fresh trials that are worth waiting for, where a level asks for many.
pub(super) const MOST_FRESH: usize = 16;

/// True if scores of the same code take few values. Each slice holds the scores of one code.
///
/// That is so if the differences within the slices are whole multiples of a common step and span at most eight of it, or
/// if all are zero: equal scores are no proof that there is no noise. A single difference proves nothing either way.
pub(super) fn takes_few_values(codes: &[&[f64]]) -> bool {
    let differences: Vec<f64> = codes
        .iter()
        .filter_map(|scores| scores.split_first())
        .flat_map(|(first, others)| others.iter().map(move |score| (score - first).abs()))
        .collect();
    let spread = codes.iter().map(|scores| spread(scores)).fold(0.0, f64::max);
    if spread == 0.0 {
        return !differences.is_empty();
    }
    let step = differences.iter().fold(0.0, |step, difference| common_step(step, *difference, ROUNDING * spread));
    differences.len() > 1 && spread <= (FEW + 0.5) * step
}

/// Computes the distance from the least score to the greatest.
fn spread(scores: &[f64]) -> f64 {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if scores.is_empty() { 0.0 } else { most - least }
}

/// Computes the greatest common divisor of two lengths, by Euclid's algorithm on real numbers.
fn common_step(mut a: f64, mut b: f64, rounding: f64) -> f64 {
    while b > rounding {
        let rest = a % b;
        (a, b) = (b, if b - rest < rounding { 0.0 } else { rest });
    }
    a
}

/// The probability that `candidate`, were it drawn like `incumbent`, had ranks at least as high: Wilcoxon's rank-sum test,
/// by counting all assignments of the scores to the two sides. Greater is better; ties share their mean rank.
///
/// For scores of two values it is Fisher's exact test. Source: Lehmann, *Nonparametrics: Statistical Methods Based on
/// Ranks*, 1975, chapter 1 (with ties: section 1.4).
pub(super) fn rank_sum(incumbent: &[f64], candidate: &[f64]) -> f64 {
    let incumbent = &incumbent[incumbent.len().saturating_sub(MOST)..];
    let candidate = &candidate[candidate.len().saturating_sub(MOST)..];
    let all = || incumbent.iter().chain(candidate);
    // Doubled, so that a mean rank is a whole number: those below count twice, and each that is equal once.
    let rank = |score: &f64| all().map(|other| usize::from(other < score) + usize::from(other <= score)).sum::<usize>();
    let ranks: Vec<usize> = all().map(rank).collect();
    let observed: usize = candidate.iter().map(rank).sum();
    let most: usize = ranks.iter().sum();
    // In how many ways some of the ranks so far add up to a sum, by how many they are.
    let mut ways = vec![vec![0.0f64; most + 1]; candidate.len() + 1];
    if let Some(none) = ways.first_mut().and_then(|sums| sums.first_mut()) {
        *none = 1.0;
    }
    for rank in ranks {
        for count in (1..ways.len()).rev() {
            let (fewer, more) = ways.split_at_mut(count);
            let (Some(fewer), Some(more)) = (fewer.last(), more.first_mut()) else { continue };
            more.iter_mut().skip(rank).zip(fewer).for_each(|(more, fewer)| *more += fewer);
        }
    }
    let sums = ways.last().map_or(&[][..], Vec::as_slice);
    let (as_high, total) = (sums.iter().skip(observed).sum::<f64>(), sums.iter().sum::<f64>());
    if total > 0.0 { as_high / total } else { 1.0 }
}

/// The probability of at least `wins` wins in pairs of equal chances, ties left out: the exact sign test.
///
/// Source: Dixon and Mood, *The statistical sign test*, Journal of the American Statistical Association 41, 1946.
pub(super) fn sign_test(gains: &[f64]) -> f64 {
    let wins = gains.iter().filter(|gain| **gain > 0.0).count();
    let decided = gains.iter().filter(|gain| **gain != 0.0).count();
    (wins..=decided).map(|count| combinations(decided, count)).sum::<f64>() / 2.0f64.powi(decided as i32)
}

/// The e-value of `wins` and `losses` in pairs, against "a win is no more probable than a loss": half of the stake on a
/// candidate that always wins, half spread evenly over all probabilities from one half to one.
///
/// A likelihood ratio to a mixture, hence a test martingale: Ville's inequality bounds how often it ever exceeds a number.
/// Source: Shafer, Shen, Vereshchagin and Vovk, *Test martingales, Bayes factors and p-values*, Statistical Science 26, 2011.
pub(super) fn sign_e_value(wins: usize, losses: usize) -> f64 {
    let decided = (wins + losses) as i32;
    let always = if losses == 0 { 1.0 } else { 0.0 };
    // The integral of 2 p^w (1-p)^l from 1/2 to 1, which is a tail of the binomial distribution over w + l + 1.
    let tail: f64 =
        (0..=wins).map(|count| combinations(wins + losses + 1, count)).sum::<f64>() / 2.0f64.powi(decided + 1);
    let spread = 2.0 * tail / (f64::from(decided + 1) * combinations(wins + losses, wins));
    2.0f64.powi(decided) * (always + spread) / 2.0
}

/// The fewest fresh trials of the candidate, `least` at least, with which an exact test can reach `level` at all, where
/// `reference(fresh)` trials of the incumbent stand against them. In pairs, a sign test is made of them.
pub(super) fn fewest(least: usize, level: f64, pairs: bool, reference: impl Fn(usize) -> usize) -> usize {
    let reaches = |fresh: &usize| match pairs {
        true => 2.0f64.powi(-(*fresh as i32)) <= level,
        false => 1.0 / combinations(reference(*fresh) + fresh, *fresh) <= level,
    };
    (least..MOST_FRESH.max(least)).find(reaches).unwrap_or(MOST_FRESH.max(least))
}

/// The fewest pairs whose [`sign_e_value`] can reach `needed`.
pub(super) fn fewest_pairs(needed: f64) -> usize {
    (1..1000).find(|pairs| sign_e_value(*pairs, 0) >= needed).unwrap_or(1000)
}

/// Computes the number of ways to choose `few` of `all`.
fn combinations(all: usize, few: usize) -> f64 {
    (0..few).map(|at| (all - at) as f64 / (at + 1) as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_values_are_recognised_by_their_common_step() {
        assert!(takes_few_values(&[&[0.90, 0.91, 0.90, 0.92, 0.90], &[0.91]]));
        assert!(takes_few_values(&[&[0.85, 0.95, 0.9], &[0.8, 0.85]]));
        assert!(takes_few_values(&[&[1.0; 3]]), "equal scores are no proof of no noise");
        assert!(!takes_few_values(&[&[1.0], &[2.0]]), "nothing was measured twice");
        assert!(!takes_few_values(&[&[1.0, 1.5], &[2.0]]), "one difference has no common step with another");
        assert!(
            !takes_few_values(&[&[0.997912, 0.998341, 0.997730], &[0.996001, 0.996518]]),
            "six digits are many values"
        );
        // Two codes that differ by something else than the step.
        assert!(takes_few_values(&[&[0.90, 0.91, 0.90], &[0.9537, 0.9637]]));
    }

    #[test]
    fn the_rank_sum_test_gives_the_probabilities_of_the_tables() {
        // All above: one of C(7, 2).
        assert!((rank_sum(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0]) - 1.0 / 21.0).abs() < 1e-12);
        // Two passes of two against one of five: Fisher's exact test, C(3, 2) of C(7, 2).
        assert!((rank_sum(&[0.0, 0.0, 1.0, 0.0, 0.0], &[1.0, 1.0]) - 3.0 / 21.0).abs() < 1e-12);
        assert!((rank_sum(&[1.0; 4], &[1.0; 2]) - 1.0).abs() < 1e-12);
        assert!(rank_sum(&[], &[]) >= 1.0);
    }

    #[test]
    fn the_sign_test_gives_the_probabilities_of_the_binomial_distribution() {
        assert_eq!(sign_test(&[1.0, 2.0, 0.5]), 0.125);
        assert_eq!(sign_test(&[1.0, 0.0, -0.5]), 0.75);
        assert_eq!(sign_test(&[0.0]), 1.0);
    }

    #[test]
    fn the_fewest_trials_reach_the_level_and_one_fewer_do_not() {
        // Three trials of the baseline and one more beside two fresh ones: 1 of C(6, 2) = 15.
        assert_eq!(fewest(2, 0.1, false, |fresh| 3 + fresh - 1), 2);
        assert_eq!(fewest(2, 0.05, false, |fresh| 3 + fresh - 1), 3);
        assert_eq!(fewest(2, 0.1, true, |fresh| fresh), 4);
        assert_eq!(fewest(2, 1e-12, true, |fresh| fresh), MOST_FRESH, "what cannot be reached is not waited for");
        let pairs = fewest_pairs(187.0);
        assert!(sign_e_value(pairs, 0) >= 187.0 && sign_e_value(pairs - 1, 0) < 187.0);
    }

    proptest! {
        /// Under equal chances the expected e-value after any number of pairs is 1: what a test martingale is.
        #[test]
        fn the_e_value_is_one_on_average_without_an_effect(pairs in 1usize..20) {
            let mean: f64 = (0..=pairs).map(|wins| combinations(pairs, wins) * sign_e_value(wins, pairs - wins)).sum::<f64>()
                / 2.0f64.powi(pairs as i32);
            prop_assert!((mean - 1.0).abs() < 1e-9, "{}", mean);
        }

        #[test]
        fn luck_passes_the_rank_sum_test_no_more_often_than_its_level(
            scores in prop::collection::vec(0..4i32, 4..8), fresh in 1usize..4, level in 0.02..0.3f64,
        ) {
            // Every assignment of the scores to the two sides is as probable as any other.
            let all: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
            let (mut passed, mut total) = (0.0, 0.0);
            for chosen in (0..1u32 << all.len()).filter(|chosen| chosen.count_ones() as usize == fresh) {
                let side = |ours: bool| -> Vec<f64> {
                    (0..all.len()).filter(|at| (chosen >> at & 1 == 1) == ours).map(|at| all[at]).collect()
                };
                total += 1.0;
                passed += f64::from(rank_sum(&side(false), &side(true)) <= level);
            }
            prop_assert!(passed / total <= level + 1e-12, "{} at {}", passed / total, level);
        }
    }
}
