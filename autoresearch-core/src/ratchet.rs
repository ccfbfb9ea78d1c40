//! The rule of acceptance: the trait, the evidence that it judges, and its verdict.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::metric::{Direction, Score};

mod arm;
mod constrained;
mod exact;
mod ladder;
mod machines;
mod noise;
mod noise_aware;
mod paired;
mod pareto;
mod sequential;
mod strict;
mod trials;

pub use arm::Arm;
pub(crate) use arm::latest_machine;
pub(crate) use arm::mean_of as mean;
pub use constrained::{Constrained, Limit};
pub use ladder::Ladder;
pub(crate) use machines::on_one_machine;
pub use noise::{Noise, mean as mean_of_scores};
pub use noise_aware::{NoiseAware, NoiseAwareSettings};
pub use paired::Paired;
pub use pareto::{Objective, Pareto};
pub use sequential::{Sequential, SequentialSettings};
pub use strict::{MinGain, Strict};

/// The evidence on which a ratchet decides.
///
/// ```
/// use autoresearch_core::{Arm, Direction, Evidence, Ratchet, Strict, Verdict};
/// let evidence = Evidence::new(Arm::of([1.0]), Arm::of([0.9]), Direction::Minimise, 3);
/// assert!(matches!(Strict.judge(&evidence), Verdict::Keep(_)));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// The incumbent's measurements, oldest first. Empty while the baseline is judged.
    pub incumbent: Arm,
    /// The measurements of the candidate under judgement, oldest first.
    pub candidate: Arm,
    /// The better direction of the metric.
    pub direction: Direction,
    /// Lines that the change adds, minus those that it removes. Zero where code is not counted.
    pub added_lines: i64,
    /// Number of the incumbent's latest measurements that were made for this candidate, in turns with its own. Default 0.
    pub interleaved: usize,
    /// The noise between trials of the same code, from everything measured before this experiment.
    pub noise: Noise,
    /// Number of candidates before this one that were measured more than once: each of them might have been kept by luck.
    pub tested: usize,
    /// Number of the `tested` candidates that were kept.
    pub kept: usize,
    /// The expected number of further experiments when this one began. `None` where the end of the run is not known.
    pub remaining: Option<f64>,
    /// The measurements of all kept experiments, oldest first, for a rule that [compares](Ratchet::comparison) with the front.
    pub front: Vec<Arm>,
}

impl Evidence {
    /// Makes evidence of two arms for a change that adds (or, negative, removes) `added_lines` lines, with unknown noise and
    /// without earlier experiments.
    pub fn new(incumbent: Arm, candidate: Arm, direction: Direction, added_lines: i64) -> Evidence {
        Evidence {
            incumbent,
            candidate,
            direction,
            added_lines,
            interleaved: 0,
            noise: Noise::default(),
            tested: 0,
            kept: 0,
            remaining: None,
            front: Vec::new(),
        }
    }

    /// The shift of the machine in the metric's unit, if the incumbent's measurements made for this candidate are too far from
    /// its earlier ones: then only the former compare with the candidate's.
    pub fn shift(&self) -> Option<f64> {
        let scores: Vec<f64> = self.incumbent.scores().map(Score::get).collect();
        let (earlier, interleaved) = scores.split_at(scores.len().saturating_sub(self.interleaved));
        self.noise.with(interleaved).shift(earlier, interleaved)
    }
}

/// The side of a comparison that is to be measured again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The incumbent.
    Incumbent,
    /// The candidate.
    Candidate,
}

/// The decision of a ratchet. The text is one line for a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The candidate becomes the incumbent.
    Keep(String),
    /// The candidate is reverted.
    Discard(String),
    /// Not decided yet: run these trials, in this order, and judge again. Never empty.
    Measure(Vec<Side>),
}

/// A rule of acceptance.
///
/// # Contract
/// - All methods are pure: the same evidence gives the same answer, whatever was judged before.
/// - `judge` never keeps a candidate without measurements, nor one whose every measurement is worse than all of the
///   incumbent's.
/// - [`Verdict::Measure`] names at least one side, and after finitely many measurements there is a decision.
/// - A mirrored direction with mirrored scores gives the same decision.
///
/// `testkit::ratchet` checks all of this on random evidence.
///
/// ```
/// use autoresearch_core::{Arm, Direction, Evidence, Ratchet, Verdict};
///
/// /// Keeps whatever halves the incumbent's mean.
/// struct Halves;
///
/// impl Ratchet for Halves {
///     fn judge(&self, evidence: &Evidence) -> Verdict {
///         match (evidence.incumbent.mean(), evidence.candidate.mean()) {
///             (_, None) => Verdict::Discard("it was never measured".into()),
///             (Some(before), Some(after)) if after.get() > before.get() / 2.0 => Verdict::Discard("not half".into()),
///             _ => Verdict::Keep("half at most".into()),
///         }
///     }
/// }
///
/// let evidence = Evidence::new(Arm::of([8.0]), Arm::of([3.0]), Direction::Minimise, 0);
/// assert_eq!(Halves.judge(&evidence), Verdict::Keep("half at most".into()));
/// ```
pub trait Ratchet: Send + Sync {
    /// Judges a candidate that has at least one measurement. The baseline is judged too, with an incumbent that has none: the
    /// rule may ask for more measurements of it, but it is kept in any case.
    fn judge(&self, evidence: &Evidence) -> Verdict;

    /// Returns the rule's name, for the journal and reports. Empty by default.
    fn name(&self) -> &str {
        ""
    }

    /// Returns the measurements that a decision of this rule compares. [`Comparison::Own`] by default.
    fn comparison(&self) -> Comparison {
        Comparison::Own
    }

    /// Returns the number of a kept candidate's latest measurements that the next candidates are compared with, at least 1. Those
    /// that chose it are too good on average. All of them by default.
    fn reference(&self, evidence: &Evidence) -> usize {
        evidence.candidate.measurements.len()
    }

    /// Returns the probability (0 to 1) with which the test of this candidate would have kept a change without effect.
    /// `None`, the default, if there was no test.
    fn alpha(&self, _evidence: &Evidence) -> Option<f64> {
        None
    }

    /// True if the first trial of each candidate has a seed of its own, too. False by default: a rule that compares single trials
    /// needs the same seed for all. A rule that measures the noise needs fresh ones, or candidates would be chosen for their
    /// luck with one seed.
    fn fresh_seeds(&self) -> bool {
        false
    }

    /// Returns the part of the measurements that proposers may be told. [`Disclosure::Everything`] by default.
    fn discloses(&self) -> Disclosure {
        Disclosure::Everything
    }

    /// True if the first trial of a candidate is compared with one of the incumbent beside it, so that both have the same seed. False
    /// by default.
    #[doc(hidden)]
    fn pairs_first_trials(&self) -> bool {
        false
    }

    /// Returns a number of measurements of one experiment that the rule's own settings may need, where that is more than the lab's
    /// limit. 0 by default.
    #[doc(hidden)]
    fn may_need(&self) -> usize {
        0
    }
}

/// Forwards every method of a ratchet to `**self`.
macro_rules! forwards {
    ($pointer:ty) => {
        impl<R: Ratchet + ?Sized> Ratchet for $pointer {
            fn judge(&self, evidence: &Evidence) -> Verdict {
                (**self).judge(evidence)
            }

            fn name(&self) -> &str {
                (**self).name()
            }

            fn comparison(&self) -> Comparison {
                (**self).comparison()
            }

            fn reference(&self, evidence: &Evidence) -> usize {
                (**self).reference(evidence)
            }

            fn alpha(&self, evidence: &Evidence) -> Option<f64> {
                (**self).alpha(evidence)
            }

            fn fresh_seeds(&self) -> bool {
                (**self).fresh_seeds()
            }

            fn discloses(&self) -> Disclosure {
                (**self).discloses()
            }

            fn pairs_first_trials(&self) -> bool {
                (**self).pairs_first_trials()
            }

            fn may_need(&self) -> usize {
                (**self).may_need()
            }
        }
    };
}

forwards!(Box<R>);
forwards!(std::sync::Arc<R>);

/// The measurements that a rule's decision compares. The journal keeps it, so that later readers need not know the rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Comparison {
    /// The means of all measurements of each side: a kept candidate is never worse than the incumbent before it.
    #[default]
    Means,
    /// Pairs made in turns for the experiment, without the first one, which chose the candidate.
    Pairs,
    /// Measurements that the rule selects for itself.
    Own,
    /// The means of all measurements, of several metrics, with those of every kept experiment: the number that decides may be
    /// worse in a kept candidate.
    Front,
}

/// The rule of a run, as the journal keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRule {
    /// The rule's [name](Ratchet::name), for reports.
    pub name: String,
    /// The measurements that its decisions compare.
    pub comparison: Comparison,
}

impl DecisionRule {
    /// Describes `ratchet` by its name and its comparison.
    pub fn of(ratchet: &dyn Ratchet) -> DecisionRule {
        DecisionRule { name: ratchet.name().to_owned(), comparison: ratchet.comparison() }
    }
}

/// The part of the measurements that proposers are told. People are told everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Disclosure {
    /// Every score, reason and log.
    #[default]
    Everything,
    /// The status of each experiment; of kept ones also the score, rounded to a whole multiple of one item's share; of crashed
    /// ones also the log.
    RoundedBest,
}

/// A setting of a rule that is out of its range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{setting} is {value}; give {allowed}")]
#[non_exhaustive]
pub struct RuleError {
    /// The setting's name, as in the configuration.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// The values that are allowed, in words.
    pub allowed: String,
}

impl RuleError {
    /// Fails unless `value` is a number from `least` to `most`.
    fn number(setting: &'static str, value: f64, least: f64, most: f64) -> Result<(), RuleError> {
        // NaN is in no range.
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let allowed = match most == f64::MAX {
            true => format!("a finite number of at least {least}"),
            false => format!("a number from {least} to {most}"),
        };
        Err(RuleError { setting, value: value.to_string(), allowed })
    }

    /// Fails unless `value` is a count from `least` to 1000.
    fn count(setting: &'static str, value: usize, least: usize) -> Result<(), RuleError> {
        match (least..=MOST).contains(&value) {
            true => Ok(()),
            false => {
                let allowed = format!("a whole number from {least} to {MOST}");
                Err(RuleError { setting, value: value.to_string(), allowed })
            }
        }
    }
}

/// Most trials that a setting may ask for.
const MOST: usize = 1000;
