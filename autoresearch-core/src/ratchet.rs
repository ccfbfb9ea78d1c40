//! The decision: is the candidate really better?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Measurement, Score};

/// The measurements of one revision, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// One entry per completed run.
    pub measurements: Vec<Measurement>,
}

impl Arm {
    /// All scores, oldest first.
    pub fn scores(&self) -> impl Iterator<Item = Score> {
        self.measurements.iter().map(|m| m.score)
    }

    /// The mean score, or `None` without measurements.
    pub fn mean(&self) -> Option<Score> {
        let sum: f64 = self.measurements.iter().map(|m| m.score.get()).sum();
        Score::new(sum / self.measurements.len() as f64)
    }

    /// The mean of a secondary metric, or `None` if a measurement lacks it.
    pub fn secondary(&self, name: &str) -> Option<f64> {
        let values = self.measurements.iter().map(|m| m.secondary.get(name).copied());
        let values: Vec<f64> = values.collect::<Option<_>>()?;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// Everything a ratchet may look at.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// The best measured state so far.
    pub incumbent: Arm,
    /// The change under judgement.
    pub candidate: Arm,
    /// Which way is better.
    pub direction: Direction,
    /// Lines that the change adds, minus those that it removes. Zero where code is not counted.
    pub added_lines: i64,
}

impl Evidence {
    /// Evidence of two arms for a change that adds (or, negative, removes) `added_lines` lines.
    pub fn new(incumbent: Arm, candidate: Arm, direction: Direction, added_lines: i64) -> Evidence {
        Evidence { incumbent, candidate, direction, added_lines }
    }
}

/// Which revision is to be measured again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The incumbent.
    Incumbent,
    /// The candidate.
    Candidate,
}

/// What a ratchet decides. The text is one line for a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The candidate becomes the incumbent.
    Keep(String),
    /// The candidate is reverted.
    Discard(String),
    /// Not decided yet: run these, in this order, and judge again.
    Measure(Vec<Side>),
}

/// A rule of acceptance.
///
/// # Contract
/// `judge` is pure and synchronous: the same evidence gives the same verdict. It never keeps a candidate without measurements.
pub trait Ratchet: Send + Sync {
    /// Judges a candidate that has at least one measurement.
    fn judge(&self, evidence: &Evidence) -> Verdict;
}

/// Keep only what is strictly better; a tie is kept only if it leaves less code (karpathy's simplicity rule).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strict;

/// Like [`Strict`], but the gain must exceed a minimum, in the metric's unit. What is not worse is still kept if it leaves
/// less code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinGain(pub f64);

impl Ratchet for Strict {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        MinGain(0.0).judge(evidence)
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
        if gain > self.0 {
            Verdict::Keep(format!("better by {gain:.6}"))
        } else if gain == 0.0 && evidence.added_lines < 0 {
            Verdict::Keep(format!("equal, with {} lines less", -evidence.added_lines))
        } else if gain > 0.0 && evidence.added_lines < 0 {
            Verdict::Keep(format!("better by {gain:.6}, with {} lines less", -evidence.added_lines))
        } else if gain == 0.0 {
            Verdict::Discard("equal, and no simpler".into())
        } else if gain > 0.0 {
            Verdict::Discard(format!("better by {gain:.6}, less than the {} asked for", self.0))
        } else {
            Verdict::Discard(format!("worse by {:.6}", -gain))
        }
    }
}

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
    fn judge(&self, evidence: &Evidence) -> Verdict {
        for (name, limit) in &self.limits {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arm(score: f64) -> Arm {
        Arm { measurements: vec![Measurement { score: Score::new(score).unwrap(), secondary: Default::default() }] }
    }

    fn strict(incumbent: f64, candidate: f64, direction: Direction, lines: i64) -> bool {
        matches!(Strict.judge(&Evidence::new(arm(incumbent), arm(candidate), direction, lines)), Verdict::Keep(_))
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
            let evidence = Evidence::new(arm(a), arm(b), Direction::Minimise, 1);
            if let Verdict::Keep(_) = MinGain(min).judge(&evidence) {
                prop_assert!(a - b > min);
                prop_assert!(matches!(Strict.judge(&evidence), Verdict::Keep(_)));
            }
        }
    }

    #[test]
    fn a_limit_is_kept_whatever_the_score() {
        let with = |score: f64, memory: Option<f64>| {
            let mut arm = arm(score);
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

    #[test]
    fn a_candidate_without_measurements_is_never_kept() {
        for incumbent in [arm(1.0), Arm::default()] {
            let evidence = Evidence::new(incumbent, Arm::default(), Direction::Minimise, -5);
            assert!(matches!(Strict.judge(&evidence), Verdict::Discard(_)));
        }
    }
}
