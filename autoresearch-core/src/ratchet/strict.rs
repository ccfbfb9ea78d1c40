//! Rules that decide on the mean alone, for exact scores.

use super::{Comparison, Evidence, Ratchet, RuleError, Verdict};
use crate::metric::significant;

/// Keeps a candidate whose mean is strictly better; a tie is kept only if it leaves less code (karpathy's simplicity rule).
///
/// The rule of `program.md` in karpathy/autoresearch (2026). Under noise it keeps luck: see [`super::NoiseAware`].
///
/// ```
/// use autoresearch_core::{Arm, Direction, Evidence, Ratchet, Strict, Verdict};
/// let judge = |score, lines| Strict.judge(&Evidence::new(Arm::of([1.0]), Arm::of([score]), Direction::Minimise, lines));
/// assert!(matches!(judge(0.9, 5), Verdict::Keep(_)));
/// assert!(matches!(judge(1.0, -5), Verdict::Keep(_)));
/// assert!(matches!(judge(1.0, 0), Verdict::Discard(_)));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strict;

/// Keeps like [`Strict`], but the gain must exceed a minimum, in the metric's unit. A smaller gain is still kept if it leaves
/// less code.
///
/// ```
/// use autoresearch_core::{Arm, Direction, Evidence, MinGain, Ratchet, Verdict};
/// let rule = MinGain::new(0.5)?;
/// let judge = |score| rule.judge(&Evidence::new(Arm::of([1.0]), Arm::of([score]), Direction::Minimise, 0));
/// assert!(matches!(judge(0.4), Verdict::Keep(_)));
/// assert!(matches!(judge(0.6), Verdict::Discard(_)));
/// assert!(MinGain::new(-0.5).is_err());
/// # Ok::<(), autoresearch_core::RuleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinGain(f64);

impl MinGain {
    /// Makes a rule that keeps gains above `least`, in the metric's unit.
    ///
    /// # Errors
    /// If `least` is negative or not finite.
    pub fn new(least: f64) -> Result<MinGain, RuleError> {
        RuleError::number("min_gain", least, 0.0, f64::MAX)?;
        Ok(MinGain(least))
    }
}

impl Ratchet for Strict {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        MinGain(0.0).judge(evidence)
    }

    fn name(&self) -> &str {
        "strict"
    }

    fn comparison(&self) -> Comparison {
        Comparison::Means
    }
}

impl Ratchet for MinGain {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        let Some(candidate) = evidence.candidate.mean() else {
            return Verdict::Discard("it was never measured".into());
        };
        let Some(incumbent) = evidence.incumbent.mean() else {
            return Verdict::Keep("there was nothing to beat".into());
        };
        let gain = evidence.direction.gain(incumbent, candidate);
        let by = significant(gain.abs());
        if gain > self.0 {
            Verdict::Keep(format!("better by {by}"))
        } else if gain == 0.0 && evidence.added_lines < 0 {
            Verdict::Keep(format!("equal, with {} lines less", -evidence.added_lines))
        } else if gain > 0.0 && evidence.added_lines < 0 {
            Verdict::Keep(format!("better by {by}, with {} lines less", -evidence.added_lines))
        } else if gain == 0.0 {
            Verdict::Discard("equal, and no simpler".into())
        } else if gain > 0.0 {
            Verdict::Discard(format!("better by {by}, less than the {} asked for", self.0))
        } else {
            Verdict::Discard(format!("worse by {by}"))
        }
    }

    fn name(&self) -> &str {
        "strict"
    }

    fn comparison(&self) -> Comparison {
        Comparison::Means
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Direction;
    use crate::ratchet::Arm;
    use proptest::prelude::*;

    fn strict(incumbent: f64, candidate: f64, direction: Direction, lines: i64) -> bool {
        let evidence = Evidence::new(Arm::of([incumbent]), Arm::of([candidate]), direction, lines);
        matches!(Strict.judge(&evidence), Verdict::Keep(_))
    }

    proptest! {
        #[test]
        fn strict_keeps_exactly_what_is_better_or_equal_and_simpler(a in -1e6..1e6f64, b in -1e6..1e6f64, lines in -3..3i64) {
            prop_assert_eq!(strict(a, b, Direction::Minimise, lines), b < a || (a == b && lines < 0));
            prop_assert_eq!(strict(a, b, Direction::Maximise, lines), b > a || (a == b && lines < 0));
            prop_assert_eq!(strict(a, a, Direction::Minimise, lines), lines < 0);
        }

        #[test]
        fn min_gain_never_keeps_what_strict_discards(a in -10.0..10.0f64, b in -10.0..10.0f64, min in 0.0..5.0f64) {
            let evidence = Evidence::new(Arm::of([a]), Arm::of([b]), Direction::Minimise, 1);
            if let Verdict::Keep(_) = MinGain(min).judge(&evidence) {
                prop_assert!(a - b > min);
                prop_assert!(matches!(Strict.judge(&evidence), Verdict::Keep(_)));
            }
        }
    }

    #[test]
    fn a_least_gain_that_is_no_gain_is_an_error_that_says_so() {
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let error = MinGain::new(wrong).unwrap_err().to_string();
            assert!(error.contains("min_gain") && error.contains("at least 0"), "{error}");
        }
    }

    #[test]
    fn a_tiny_gain_is_not_told_as_zero() {
        let evidence = Evidence::new(Arm::of([1e-7]), Arm::of([5e-8]), Direction::Minimise, 0);
        assert_eq!(Strict.judge(&evidence), Verdict::Keep("better by 5.00000e-8".into()));
    }
}
