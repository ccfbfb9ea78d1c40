//! Limits on secondary metrics, whatever the score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Disclosure, Evidence, Ratchet, Verdict};

/// A limit on a secondary metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// It may not be greater than this.
    AtMost(f64),
    /// It may not be less than this.
    AtLeast(f64),
    /// It may not be greater than the incumbent's by more than this share of it (0.1: ten per cent).
    GrowsAtMost(f64),
}

/// Another rule, for candidates whose secondary metrics stay within limits; the others are discarded whatever their score.
#[derive(Debug, Clone, PartialEq)]
pub struct Constrained<R> {
    rule: R,
    limits: BTreeMap<String, Limit>,
}

impl<R: Ratchet> Constrained<R> {
    /// Puts `limits`, by the secondary metric's name, before `rule`.
    pub fn new(rule: R, limits: BTreeMap<String, Limit>) -> Constrained<R> {
        Constrained { rule, limits }
    }
}

impl<R: Ratchet> Ratchet for Constrained<R> {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        self.rule.reference(evidence)
    }

    fn alpha(&self, evidence: &Evidence) -> Option<f64> {
        self.rule.alpha(evidence)
    }

    fn fresh_seeds(&self) -> bool {
        self.rule.fresh_seeds()
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        // What the search starts from is what it is.
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
            let rule = Constrained::new(Strict, [("memory".to_owned(), limit)].into());
            let evidence = Evidence::new(with(2.0, Some(8.0)), with(1.0, memory), Direction::Minimise, 0);
            assert_eq!(matches!(rule.judge(&evidence), Verdict::Keep(_)), keeps, "{limit:?} {memory:?}");
            let worse = Evidence::new(with(1.0, Some(8.0)), with(2.0, memory), Direction::Minimise, 0);
            assert!(matches!(rule.judge(&worse), Verdict::Discard(_)), "a limit never makes a keep");
        }
    }
}
