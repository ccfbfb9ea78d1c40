//! Properties that every rule of acceptance must have, checked on random evidence: for a test of one's own [`Ratchet`].
//!
//! ```
//! use autoresearch_core::testkit::ratchet::check_ratchet;
//! use autoresearch_core::{NoiseAware, Strict};
//! check_ratchet(|| Strict);
//! check_ratchet(NoiseAware::default);
//! ```
//!
//! | property | a rule that has it |
//! |---|---|
//! | [`Property::Unmeasured`] | never keeps a candidate without measurements; a crash, a timeout, NaN and infinity leave none |
//! | [`Property::Worse`] | never keeps a candidate whose every measurement is worse than all of the incumbent's |
//! | [`Property::Tie`] | never keeps a candidate that equals the incumbent in every measurement, unless it removes lines |
//! | [`Property::LuckyTrial`] | never keeps a candidate for one better trial if all its other trials are worse by far more |
//! | [`Property::Better`] | keeps a candidate whose every measurement is better than all of the incumbent's by the whole range |
//! | [`Property::Baseline`] | asks for no incumbent, and discards nothing, while the baseline is judged |
//! | [`Property::Mirror`] | decides the same where the scores and the direction are mirrored |
//! | [`Property::Pure`] | decides the same again, whatever it judged before: also in any order of the discarded candidates |
//! | [`Property::Ends`] | asks for at least one trial, and decides after finitely many |
//! | [`Property::Reference`] | compares later candidates with at least one and at most all measurements of a kept one |
//! | [`Property::Alpha`] | states a probability from 0 to 1 for its test, or none |
//! | [`Property::Extreme`] | neither panics nor keeps what is worse among the greatest and the smallest finite scores |
//! | [`Property::Units`] | decides the same after a shift of the metric's zero and in another unit (claimed by [`RatchetCheck::in_any_unit`]) |

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::cases::{Case, Scale, case};
use crate::metric::{Measurement, Score};
use crate::ratchet::{Ratchet, Side, Verdict};

mod cases;

/// A property of a rule of acceptance. The module's table has a sentence on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// Never keeps a candidate without measurements.
    Unmeasured,
    /// Never keeps a candidate whose every measurement is worse than all of the incumbent's.
    Worse,
    /// Never keeps a candidate that equals the incumbent in every measurement, unless it removes lines.
    Tie,
    /// Never keeps a candidate for one better trial if all its other trials are worse by far more.
    LuckyTrial,
    /// Keeps a candidate whose every measurement is better than all of the incumbent's by the whole range of scores.
    Better,
    /// Asks for no incumbent, and discards nothing, while the baseline is judged.
    Baseline,
    /// Decides the same where the scores and the direction are mirrored.
    Mirror,
    /// Decides the same again, whatever was judged before.
    Pure,
    /// Asks for at least one trial at a time, and decides after finitely many.
    Ends,
    /// Compares later candidates with at least one and at most all measurements of a kept one.
    Reference,
    /// States a probability from 0 to 1 for its test, or none.
    Alpha,
    /// Neither panics nor keeps what is worse among the greatest and the smallest finite scores.
    Extreme,
    /// Decides the same after a shift of the metric's zero and in another unit.
    Units,
}

/// All properties, in the order in which they are checked.
pub const PROPERTIES: [Property; 13] = [
    Property::Unmeasured,
    Property::Worse,
    Property::Tie,
    Property::LuckyTrial,
    Property::Better,
    Property::Baseline,
    Property::Mirror,
    Property::Pure,
    Property::Ends,
    Property::Reference,
    Property::Alpha,
    Property::Extreme,
    Property::Units,
];

/// A property that a rule does not have, with the simplest evidence found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BrokenProperty {
    /// The property.
    pub property: Property,
    /// The behaviour that breaks it.
    pub why: String,
    /// The evidence with which it did so.
    pub case: String,
}

impl fmt::Display for BrokenProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rule breaks {:?}: {}\nwith {}", self.property, self.why, self.case)
    }
}

impl std::error::Error for BrokenProperty {}

/// Checks a rule in its usual domain: scores from 0 to 1, 256 cases for each property, [`Property::Units`] not claimed.
///
/// # Panics
/// If the rule breaks a property, with the property and the simplest evidence found.
pub fn check_ratchet<R: Ratchet>(make: impl Fn() -> R) {
    if let Err(broken) = RatchetCheck::new(make).run() {
        panic!("{broken}");
    }
}

/// A check of one rule, with settings. The cases are the same at every call.
///
/// ```
/// use autoresearch_core::testkit::ratchet::RatchetCheck;
/// use autoresearch_core::MinGain;
/// let check = RatchetCheck::new(|| MinGain::new(20.0).unwrap()).scores(0.0, 100.0).cases(64);
/// assert!(check.run().is_ok());
/// ```
pub struct RatchetCheck<F> {
    make: F,
    scores: (f64, f64),
    cases: u32,
    trials: usize,
    units: bool,
    keeps: bool,
    measured: fn(Score) -> Measurement,
}

impl<R: Ratchet, F: Fn() -> R> RatchetCheck<F> {
    /// A check of the rule that `make` gives at each call.
    pub fn new(make: F) -> RatchetCheck<F> {
        RatchetCheck {
            make,
            scores: (0.0, 1.0),
            cases: 256,
            trials: 1000,
            units: false,
            keeps: true,
            measured: with_items,
        }
    }

    /// The range of scores, in the metric's unit. Default 0 to 1. A candidate that is better by all of it must be kept.
    pub fn scores(mut self, low: f64, high: f64) -> RatchetCheck<F> {
        self.scores = (low, high);
        self
    }

    /// Random cases for each property. Default 256.
    pub fn cases(mut self, cases: u32) -> RatchetCheck<F> {
        self.cases = cases;
        self
    }

    /// The number of further trials after which a rule that still asks for more counts as endless. Default 1000.
    pub fn trials(mut self, trials: usize) -> RatchetCheck<F> {
        self.trials = trials;
        self
    }

    /// Claims [`Property::Units`]: no constant of the rule is in the metric's unit, nor a share of the score.
    pub fn in_any_unit(mut self) -> RatchetCheck<F> {
        self.units = true;
        self
    }

    /// Does not demand [`Property::Better`]: for rules that no gain alone convinces.
    pub fn may_keep_nothing(mut self) -> RatchetCheck<F> {
        self.keeps = false;
        self
    }

    /// The measurement of a score, for rules that read more than the score. By default it lists eight items of this score.
    pub fn measured_as(mut self, measured: fn(Score) -> Measurement) -> RatchetCheck<F> {
        self.measured = measured;
        self
    }

    /// Checks all properties that the rule claims.
    ///
    /// # Errors
    /// The first property that the rule does not have.
    pub fn run(&self) -> Result<(), BrokenProperty> {
        PROPERTIES.iter().try_for_each(|property| self.property(*property))
    }

    /// Checks one property. One that the rule does not claim holds.
    ///
    /// # Errors
    /// If the rule does not have it.
    pub fn property(&self, property: Property) -> Result<(), BrokenProperty> {
        let claimed = match property {
            Property::Units => self.units,
            Property::Better => self.keeps,
            _ => true,
        };
        if !claimed {
            return Ok(());
        }
        let config = Config { cases: self.cases, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let result = runner.run(&case(), |case| {
            let checked = catch_unwind(AssertUnwindSafe(|| self.holds(property, &case)));
            let checked = checked.unwrap_or_else(|panic| Err(format!("it panicked: {}", said(&*panic))));
            checked.map_err(TestCaseError::fail)
        });
        match result {
            Ok(()) => Ok(()),
            Err(TestError::Fail(why, case)) => {
                Err(BrokenProperty { property, why: why.to_string(), case: format!("{case:?}") })
            }
            Err(TestError::Abort(why)) => {
                Err(BrokenProperty { property, why: why.to_string(), case: "no case".into() })
            }
        }
    }

    fn holds(&self, property: Property, case: &Case) -> Result<(), String> {
        let rule = (self.make)();
        let range = Scale::Range(self.scores.0, self.scores.1);
        let judge = |case: &Case, scale| rule.judge(&case.evidence(scale, self.measured));
        let not_kept = |verdict: &Verdict, what: &str| match verdict {
            Verdict::Keep(why) => Err(format!("it kept {what} ({why})")),
            _ => Ok(()),
        };
        match property {
            Property::Unmeasured => not_kept(&judge(&case.unmeasured(), range), "a candidate without measurements"),
            Property::Worse => not_kept(&self.decide(&rule, case.worse())?, "a worse candidate"),
            Property::Tie if case.added_lines < 0 => Ok(()),
            Property::Tie => not_kept(&self.decide(&rule, case.equal())?, "an equal candidate without fewer lines"),
            Property::LuckyTrial => {
                not_kept(&self.decide(&rule, case.lucky_once())?, "a candidate for its one lucky trial")
            }
            Property::Better => match self.decide(&rule, case.better())? {
                Verdict::Keep(_) => Ok(()),
                other => Err(format!("it did not keep a candidate that is better by the whole range: {other:?}")),
            },
            Property::Baseline => match judge(&case.baseline(), range) {
                Verdict::Measure(sides) if sides.contains(&Side::Incumbent) => {
                    Err("it asked for the incumbent while there is none".into())
                }
                Verdict::Discard(why) => Err(format!("it discarded the baseline ({why})")),
                _ => Ok(()),
            },
            Property::Mirror => same(&judge(case, range), &judge(&case.mirrored(), range), "in the mirror"),
            Property::Pure => {
                let (other, first) = ((self.make)(), judge(case, range));
                // Others in between, forwards in one instance and backwards in the other.
                let between = [case.worse(), case.better(), case.equal()];
                between.iter().for_each(|case| drop(judge(case, range)));
                between.iter().rev().for_each(|case| drop(other.judge(&case.evidence(range, self.measured))));
                let (again, other) = (judge(case, range), other.judge(&case.evidence(range, self.measured)));
                match again == first && other == first {
                    true => Ok(()),
                    false => Err(format!("it decided {first:?}, then {again:?}, and in another order {other:?}")),
                }
            }
            Property::Ends => self.decide(&rule, case.clone()).map(drop),
            Property::Reference => {
                let (count, measured) = (rule.reference(&case.evidence(range, self.measured)), case.measured());
                match (1..=measured).contains(&count) {
                    true => Ok(()),
                    false => Err(format!("its reference is {count} of {measured} measurements")),
                }
            }
            Property::Alpha => match rule.alpha(&case.evidence(range, self.measured)) {
                Some(alpha) if !(0.0..=1.0).contains(&alpha) => Err(format!("its alpha is {alpha}")),
                _ => Ok(()),
            },
            Property::Extreme => {
                judge(case, Scale::Extreme);
                not_kept(&judge(&case.worse(), Scale::Extreme), "a worse candidate")
            }
            Property::Units => {
                let [plain, moved] = [(0.0, 1.0), (64.0, 8.0)].map(|(by, unit)| judge(case, Scale::Whole { by, unit }));
                same(&plain, &moved, "after a shift and in another unit")
            }
        }
    }

    /// Judges until there is a decision, with further scores of the case as the rule asks for trials.
    fn decide(&self, rule: &R, mut case: Case) -> Result<Verdict, String> {
        let scale = Scale::Range(self.scores.0, self.scores.1);
        let mut asked = 0;
        loop {
            let verdict = rule.judge(&case.evidence(scale, self.measured));
            let Verdict::Measure(sides) = verdict else { return Ok(verdict) };
            if sides.is_empty() {
                return Err("it asked for more measurements of nothing".into());
            }
            asked += sides.len();
            if asked > self.trials {
                return Err(format!("it has not decided after {asked} further trials"));
            }
            sides.into_iter().for_each(|side| case.draw(side));
        }
    }
}

/// Fails unless both verdicts decide the same; their texts may differ.
fn same(one: &Verdict, other: &Verdict, when: &str) -> Result<(), String> {
    match (one, other) {
        (Verdict::Keep(_), Verdict::Keep(_)) | (Verdict::Discard(_), Verdict::Discard(_)) => Ok(()),
        (Verdict::Measure(one), Verdict::Measure(other)) if one == other => Ok(()),
        _ => Err(format!("it decided {one:?}, and {when} {other:?}")),
    }
}

/// A measurement with eight items of this score, for rules that compare item by item.
fn with_items(score: Score) -> Measurement {
    Measurement { items: vec![score.get(); 8], ..Measurement::new(score) }
}

/// The text of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
