//! A rule that compares only measurements made in turns: for numbers that drift with the machine, as times do.

use super::{Arm, Comparison, Disclosure, Evidence, Ratchet, RuleError, Side, Verdict};

/// Shows another rule only pairs: a trial of the incumbent and one of the candidate, made one after the other for this
/// very experiment. Whatever the machine did since earlier experiments is in both sides of a pair, and drops out.
///
/// A first pair is the screen: a candidate that the rule does not keep on it is discarded. That pair chose the candidate, so
/// it is not used again: fresh pairs, in turns, decide alone.
///
/// Source: pairing to remove what both sides share, Student, *The probable error of a mean*, Biometrika 6, 1908 (section IX).
///
/// ```
/// use autoresearch_core::{Evidence, Paired, Side, Strict};
/// use autoresearch_core::{Arm, Direction, Ratchet, Verdict};
/// // Measured hours ago, when the machine was faster, the incumbent took 9; now it takes 12, and the candidate 11.
/// let mut evidence = Evidence::new(Arm::of([9.0]), Arm::of([11.0]), Direction::Minimise, 0);
/// let rule = Paired::new(Strict, 2)?;
/// assert_eq!(rule.judge(&evidence), Verdict::Measure(vec![Side::Incumbent]));
/// evidence.incumbent = Arm::of([9.0, 12.0]);
/// evidence.interleaved = 1;
/// let pairs = vec![Side::Incumbent, Side::Candidate, Side::Incumbent, Side::Candidate];
/// assert_eq!(rule.judge(&evidence), Verdict::Measure(pairs));
/// # Ok::<(), autoresearch_core::RuleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paired<R> {
    rule: R,
    pairs: usize,
}

impl<R: Ratchet> Paired<R> {
    /// Shows `rule` pairs only, and lets it keep on `pairs` fresh ones, 1 to 1000.
    ///
    /// # Errors
    /// If the number of pairs is out of that range.
    pub fn new(rule: R, pairs: usize) -> Result<Paired<R>, RuleError> {
        RuleError::count("pairs", pairs, 1)?;
        Ok(Paired { rule, pairs })
    }
}

#[deny(clippy::missing_trait_methods)]
impl<R: Ratchet> Ratchet for Paired<R> {
    fn name(&self) -> &str {
        "paired"
    }

    fn comparison(&self) -> Comparison {
        Comparison::Pairs
    }

    fn alpha(&self, evidence: &Evidence) -> Option<f64> {
        self.rule.alpha(evidence)
    }

    /// Counts the pairs that decided, without the one that chose the candidate.
    fn reference(&self, evidence: &Evidence) -> usize {
        let measured = evidence.candidate.measurements.len();
        if evidence.incumbent.measurements.is_empty() { measured } else { measured.saturating_sub(1).max(1) }
    }

    fn fresh_seeds(&self) -> bool {
        self.rule.fresh_seeds()
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        let Evidence { incumbent, candidate, interleaved, .. } = evidence;
        if incumbent.measurements.is_empty() || candidate.measurements.is_empty() {
            return self.rule.judge(evidence);
        }
        let (ours, theirs) = (candidate.measurements.len(), *interleaved);
        let earlier = incumbent.measurements.len().saturating_sub(theirs);
        let complete = ours.min(theirs);
        let pairs = |from: usize| Evidence {
            incumbent: Arm { measurements: incumbent.measurements[earlier + from..earlier + complete].to_vec() },
            candidate: Arm { measurements: candidate.measurements[from..complete].to_vec() },
            interleaved: complete - from,
            ..evidence.clone()
        };
        if complete == 0 {
            return Verdict::Measure(turns(ours, theirs, 1));
        }
        // A rule that needs more than one pair to decide does not serve as a screen.
        if let Verdict::Discard(why) = self.rule.judge(&screen(pairs(0))) {
            return Verdict::Discard(why);
        }
        if complete < 1 + self.pairs {
            return Verdict::Measure(turns(ours, theirs, 1 + self.pairs));
        }
        let over = |why: String| format!("{why}, over {} pairs", complete - 1);
        match self.rule.judge(&pairs(1)) {
            Verdict::Keep(why) => Verdict::Keep(over(why)),
            Verdict::Discard(why) => Verdict::Discard(over(why)),
            Verdict::Measure(_) => Verdict::Measure(turns(ours, theirs, complete + 1)),
        }
    }

    fn discloses(&self) -> Disclosure {
        self.rule.discloses()
    }

    fn pairs_first_trials(&self) -> bool {
        true
    }

    fn may_need(&self) -> usize {
        self.rule.may_need().max(2 * (1 + self.pairs))
    }
}

/// Returns the evidence of the first pair alone.
fn screen(mut pairs: Evidence) -> Evidence {
    pairs.incumbent.measurements.truncate(1);
    pairs.candidate.measurements.truncate(1);
    pairs.interleaved = 1;
    pairs
}

/// Plans the trials until there are `wanted` pairs: first the one that completes a started pair.
fn turns(ours: usize, theirs: usize, wanted: usize) -> Vec<Side> {
    let whole = ours.max(theirs);
    let mut sides = vec![Side::Candidate; whole - ours];
    sides.extend(vec![Side::Incumbent; whole - theirs]);
    sides.extend((whole..wanted).flat_map(|_| [Side::Incumbent, Side::Candidate]));
    sides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Direction;
    use crate::ratchet::Strict;
    use proptest::prelude::*;

    fn arm(scores: &[f64]) -> Arm {
        Arm::of(scores.iter().copied())
    }

    /// `earlier` trials of the incumbent, then pairs.
    fn evidence(earlier: &[f64], incumbent: &[f64], candidate: &[f64]) -> Evidence {
        let all = [earlier, incumbent].concat();
        let mut evidence = Evidence::new(arm(&all), arm(candidate), Direction::Minimise, 0);
        evidence.interleaved = incumbent.len();
        evidence
    }

    proptest! {
        #[test]
        fn earlier_runs_decide_nothing(
            earlier in prop::collection::vec(-9.0..9.0f64, 1..4),
            pairs in prop::collection::vec((-9.0..9.0f64, -9.0..9.0f64), 1..6),
            wanted in 1usize..4,
        ) {
            let (before, after): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let rule = Paired::new(Strict, wanted).unwrap();
            let verdict = rule.judge(&evidence(&earlier, &before, &after));
            prop_assert_eq!(&verdict, &rule.judge(&evidence(&[1e6], &before, &after)));
            // And a keep is one of the fresh pairs alone.
            let mean = |scores: &[f64]| scores[1..].iter().sum::<f64>() / (scores.len() - 1) as f64;
            if let Verdict::Keep(_) = verdict {
                prop_assert!(before.len() > wanted && mean(&after) < mean(&before) && after[0] < before[0]);
            }
        }
    }

    #[test]
    fn a_pair_that_was_begun_is_completed_first() {
        let rule = Paired::new(Strict, 1).unwrap();
        let measure = |incumbent: &[f64], candidate: &[f64]| rule.judge(&evidence(&[5.0], incumbent, candidate));
        assert_eq!(measure(&[], &[1.0]), Verdict::Measure(vec![Side::Incumbent]));
        assert_eq!(measure(&[2.0], &[1.0]), Verdict::Measure(vec![Side::Incumbent, Side::Candidate]));
        // Interrupted between the two.
        assert_eq!(measure(&[2.0, 2.0], &[1.0]), Verdict::Measure(vec![Side::Candidate]));
        assert!(matches!(measure(&[2.0, 2.0], &[1.0, 1.5]), Verdict::Keep(why) if why.ends_with("over 1 pairs")));
        assert!(matches!(measure(&[2.0, 2.0], &[1.0, 2.5]), Verdict::Discard(_)), "the screen is not used again");
        assert!(matches!(measure(&[2.0], &[3.0]), Verdict::Discard(_)));
    }

    #[test]
    fn no_pairs_at_all_are_an_error() {
        let error = Paired::new(Strict, 0).unwrap_err().to_string();
        assert_eq!(error, "pairs is 0; give a whole number from 1 to 1000");
    }

    #[test]
    fn the_baseline_is_kept() {
        let verdict =
            Paired::new(Strict, 2).unwrap().judge(&Evidence::new(Arm::default(), arm(&[1.0]), Direction::Minimise, 0));
        assert!(matches!(verdict, Verdict::Keep(_)));
    }
}
