//! A rule with limits on secondary metrics, which hold regardless of the score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Comparison, Disclosure, Evidence, Ratchet, RuleError, Verdict};

/// A limit on a secondary metric, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limit {
    /// The metric may not be greater than this.
    AtMost(f64),
    /// The metric may not be less than this.
    AtLeast(f64),
    /// The metric may not be greater than the incumbent's by more than this share of it (0.1: ten per cent), 0 or more.
    GrowsAtMost(f64),
}

/// Applies another rule to candidates whose secondary metrics stay within limits, and discards all others whatever their score.
///
/// The method of constraints of multi-objective optimisation: Haimes, Lasdon and Wismer, *On a bicriterion formulation*, IEEE
/// Transactions on Systems, Man, and Cybernetics 1, 1971.
///
/// ```
/// use autoresearch_core::{Evidence, Limit};
/// use autoresearch_core::{Arm, Constrained, Direction, Ratchet, Strict, Verdict};
/// let rule = Constrained::new(Strict, [("memory_gb".to_owned(), Limit::AtMost(8.0))].into())?;
/// let mut candidate = Arm::of([0.5]);
/// candidate.measurements[0].secondary.insert("memory_gb".into(), 9.0);
/// let verdict = rule.judge(&Evidence::new(Arm::of([1.0]), candidate, Direction::Minimise, 0));
/// assert_eq!(verdict, Verdict::Discard("memory_gb is 9; its limit is at most 8".into()));
/// # Ok::<(), autoresearch_core::RuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Constrained<R> {
    rule: R,
    limits: BTreeMap<String, Limit>,
}

impl<R: Ratchet> Constrained<R> {
    /// Puts `limits`, by the secondary metric's name, before `rule`.
    ///
    /// # Errors
    /// If a limit is not finite, or a share is negative.
    pub fn new(rule: R, limits: BTreeMap<String, Limit>) -> Result<Constrained<R>, RuleError> {
        for limit in limits.values() {
            match limit {
                Limit::AtMost(bound) => RuleError::number("at_most", *bound, f64::MIN, f64::MAX)?,
                Limit::AtLeast(bound) => RuleError::number("at_least", *bound, f64::MIN, f64::MAX)?,
                Limit::GrowsAtMost(share) => RuleError::number("grows_at_most", *share, 0.0, f64::MAX)?,
            }
        }
        Ok(Constrained { rule, limits })
    }
}

#[deny(clippy::missing_trait_methods)]
impl<R: Ratchet> Ratchet for Constrained<R> {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn comparison(&self) -> Comparison {
        self.rule.comparison()
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        self.rule.reference(evidence)
    }

    fn alpha(&self, evidence: &Evidence) -> Option<f64> {
        self.rule.alpha(evidence)
    }

    fn pairs_first_trials(&self) -> bool {
        self.rule.pairs_first_trials()
    }

    fn may_need(&self) -> usize {
        self.rule.may_need()
    }

    fn fresh_seeds(&self) -> bool {
        self.rule.fresh_seeds()
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        // The baseline is kept in any case.
        let limits = if evidence.incumbent.measurements.is_empty() { None } else { Some(&self.limits) };
        for (name, limit) in limits.into_iter().flatten() {
            let Some(value) = evidence.candidate.secondary(name) else {
                return Verdict::Discard(format!("it did not report {name}, which has a limit"));
            };
            let (within, bound) = match limit {
                Limit::AtMost(most) => (value <= *most, format!("at most {most}")),
                Limit::AtLeast(least) => (value >= *least, format!("at least {least}")),
                Limit::GrowsAtMost(share) => match evidence.incumbent.secondary(name) {
                    Some(before) => {
                        let most = before + before.abs() * share;
                        (value <= most, format!("at most {most}, from {before}"))
                    }
                    None => (true, String::new()),
                },
            };
            if !within {
                return Verdict::Discard(format!("{name} is {value}; its limit is {bound}"));
            }
        }
        self.rule.judge(evidence)
    }

    fn discloses(&self) -> Disclosure {
        self.rule.discloses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Direction;
    use crate::ratchet::{Arm, Strict};

    #[test]
    fn a_limit_is_kept_whatever_the_score() {
        let with = |score: f64, memory: Option<f64>| {
            let mut arm = Arm::of([score]);
            arm.measurements[0].secondary.extend(memory.map(|value| ("memory".to_owned(), value)));
            arm
        };
        for (limit, memory, keeps) in [
            (Limit::AtMost(10.0), Some(10.0), true),
            (Limit::AtMost(10.0), Some(10.1), false),
            (Limit::AtLeast(9.0), Some(8.9), false),
            (Limit::AtLeast(9.0), Some(9.0), true),
            (Limit::GrowsAtMost(0.1), Some(8.8), true),
            (Limit::GrowsAtMost(0.1), Some(8.9), false),
            (Limit::AtMost(10.0), Some(f64::NAN), false),
            (Limit::AtMost(10.0), None, false),
        ] {
            let rule = Constrained::new(Strict, [("memory".to_owned(), limit)].into()).unwrap();
            let evidence = Evidence::new(with(2.0, Some(8.0)), with(1.0, memory), Direction::Minimise, 0);
            assert_eq!(matches!(rule.judge(&evidence), Verdict::Keep(_)), keeps, "{limit:?} {memory:?}");
            let worse = Evidence::new(with(1.0, Some(8.0)), with(2.0, memory), Direction::Minimise, 0);
            assert!(matches!(rule.judge(&worse), Verdict::Discard(_)), "a limit never makes a keep");
        }
    }

    #[test]
    fn a_limit_that_no_number_can_keep_is_an_error() {
        for wrong in [Limit::AtMost(f64::NAN), Limit::AtLeast(f64::INFINITY), Limit::GrowsAtMost(-0.1)] {
            assert!(Constrained::new(Strict, [("memory".to_owned(), wrong)].into()).is_err(), "{wrong:?}");
        }
    }
}
