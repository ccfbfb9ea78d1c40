//! Every shipped rule has all properties of a rule of acceptance, and for each property there is a rule that the check
//! notices.

use std::sync::atomic::{AtomicUsize, Ordering};

use autoresearch_core::testkit::conformance;
use autoresearch_core::testkit::ratchet::{PROPERTIES, Property, RatchetCheck, check_ratchet};
use autoresearch_core::*;
use autoresearch_core::{NoiseAwareSettings, SequentialSettings};

fn noise_aware(change: impl FnOnce(&mut NoiseAwareSettings)) -> NoiseAware {
    let mut settings = NoiseAwareSettings::default();
    change(&mut settings);
    NoiseAware::new(settings).unwrap()
}

fn sequential(change: impl FnOnce(&mut SequentialSettings)) -> Sequential {
    let mut settings = SequentialSettings::default();
    change(&mut settings);
    Sequential::new(settings).unwrap()
}

/// Checks everything, also that no constant of the rule is in the metric's unit.
fn check_in_any_unit<R: Ratchet>(make: impl Fn() -> R) {
    if let Err(broken) = RatchetCheck::new(make).in_any_unit().run() {
        panic!("{broken}");
    }
}

#[test]
fn strict_improvement_has_all_properties() {
    check_in_any_unit(|| Strict);
    check_ratchet(|| MinGain::new(0.3).unwrap());
    check_in_any_unit(|| Box::new(Strict) as Box<dyn Ratchet>);
}

#[test]
fn the_rule_that_knows_the_noise_has_all_properties() {
    check_in_any_unit(NoiseAware::default);
    check_in_any_unit(|| noise_aware(|settings| settings.paired = true));
    check_in_any_unit(|| noise_aware(|settings| settings.false_keeps = Some(0.5)));
    check_in_any_unit(|| noise_aware(|settings| (settings.audit, settings.confirm) = (0, 1)));
}

#[test]
fn the_sequential_rule_has_all_properties() {
    check_in_any_unit(Sequential::default);
    check_in_any_unit(|| sequential(|settings| (settings.audit, settings.pairs) = (0, 30)));
}

#[test]
fn the_ladder_has_all_properties() {
    check_in_any_unit(|| Ladder);
}

#[test]
fn rules_around_rules_have_all_properties() {
    check_in_any_unit(|| Paired::new(Strict, 2).unwrap());
    check_ratchet(|| Paired::new(MinGain::new(0.1).unwrap(), 3).unwrap());
    check_in_any_unit(|| Constrained::new(NoiseAware::default(), Default::default()).unwrap());
    let limited = || Constrained::new(Strict, [("memory".to_owned(), Limit::AtMost(8.0))].into()).unwrap();
    let measured =
        |score: Score| Measurement { secondary: [("memory".to_owned(), 7.0)].into(), ..Measurement::new(score) };
    RatchetCheck::new(limited).measured_as(measured).in_any_unit().run().unwrap();
    conformance::ratchet(limited, (-3.0, 5.0));
}

/// With an objective that does not move, the front is that of the score. Where both move apart, `Worse` cannot hold for the score
/// alone: to trade it is the rule's purpose.
#[test]
fn the_front_has_all_properties_of_its_score() {
    let with = |min_gain: f64| Pareto::new(min_gain, vec![Objective::new("memory", Direction::Minimise)]).unwrap();
    let measured =
        |score: Score| Measurement { secondary: [("memory".to_owned(), 7.0)].into(), ..Measurement::new(score) };
    RatchetCheck::new(|| with(0.0)).measured_as(measured).in_any_unit().run().unwrap();
    RatchetCheck::new(|| with(0.3)).measured_as(measured).run().unwrap();

    let of = |score: f64, memory: f64| Arm {
        measurements: vec![Measurement {
            secondary: [("memory".to_owned(), memory)].into(),
            ..Measurement::new(Score::new(score).unwrap())
        }],
    };
    let traded = Evidence::new(of(1.0, 7.0), of(2.0, 5.0), Direction::Minimise, 0);
    assert!(matches!(with(0.0).judge(&traded), Verdict::Keep(why) if why.contains("extends the front")));
}

/// A rule that is wrong on purpose, in one way, and otherwise strict improvement.
#[derive(Clone, Copy)]
struct Wrong(Property);

/// A rule may not remember; this one does.
static JUDGED: AtomicUsize = AtomicUsize::new(0);

impl Ratchet for Wrong {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        let keep = || Verdict::Keep("on purpose".into());
        let discard = || Verdict::Discard("on purpose".into());
        let (before, after) = (&evidence.incumbent, &evidence.candidate);
        let sign = if evidence.direction == Direction::Maximise { 1.0 } else { -1.0 };
        let best = |arm: &Arm| arm.scores().map(|score| sign * score.get()).fold(f64::NEG_INFINITY, f64::max);
        let (measured, begun) = (!after.measurements.is_empty(), !before.measurements.is_empty());
        match self.0 {
            Property::Unmeasured if !measured => keep(),
            Property::Worse if measured && begun && best(after) < best(before) => keep(),
            Property::Tie if measured && begun && best(after) == best(before) => keep(),
            // Keeps for the best of several trials.
            Property::LuckyTrial if measured && begun && best(after) > best(before) => keep(),
            Property::Better if begun => discard(),
            Property::Baseline if !begun => discard(),
            Property::Mirror if measured && begun && evidence.direction == Direction::Maximise => discard(),
            Property::Pure if measured && begun && JUDGED.fetch_add(1, Ordering::Relaxed) % 3 == 2 => discard(),
            Property::Ends if measured => Verdict::Measure(vec![Side::Candidate]),
            // The mean of such a sum is no number.
            Property::Extreme if measured && begun => {
                let sum = |arm: &Arm| arm.scores().map(Score::get).sum::<f64>();
                assert!(sum(before).is_finite() && sum(after).is_finite(), "a sum overflows");
                Strict.judge(evidence)
            }
            // A least gain in the metric's own unit.
            Property::Units => MinGain::new(3.0).unwrap().judge(evidence),
            _ => Strict.judge(evidence),
        }
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        let measured = evidence.candidate.measurements.len();
        if self.0 == Property::Reference { measured + 1 } else { measured }
    }

    fn alpha(&self, _: &Evidence) -> Option<f64> {
        (self.0 == Property::Alpha).then_some(1.5)
    }
}

#[test]
fn for_each_property_a_rule_that_breaks_it_is_noticed() {
    for property in test_fixtures::one_in(2, PROPERTIES) {
        let check = RatchetCheck::new(|| Wrong(property)).in_any_unit();
        let broken = check.property(property).expect_err(&format!("{property:?} was not noticed"));
        assert_eq!(broken.property, property);
        assert!(!broken.why.is_empty() && broken.case.contains("candidate"), "{broken}");
        // The same case each time, so that a failure can be looked into; this rule alone depends on chance.
        if property != Property::Pure {
            assert_eq!(check.property(property), Err(broken), "{property:?}");
        }
    }
}

#[test]
fn a_rule_is_noticed_that_asks_for_nothing_or_keeps_for_one_of_several_trials() {
    struct Asks;
    impl Ratchet for Asks {
        fn judge(&self, _: &Evidence) -> Verdict {
            Verdict::Measure(vec![])
        }
    }
    let broken = RatchetCheck::new(|| Asks).property(Property::Ends).unwrap_err();
    assert!(broken.why.contains("nothing"), "{broken}");
    let broken = RatchetCheck::new(|| Wrong(Property::LuckyTrial)).may_keep_nothing().run().unwrap_err();
    assert_eq!(broken.property, Property::LuckyTrial);
}
