//! A rule for several metrics at once: the front of the candidates that no other one covers.

use serde::{Deserialize, Serialize};

use super::{Arm, Comparison, Evidence, Ratchet, RuleError, Verdict};
use crate::metric::{Direction, Score, significant};

/// A secondary metric that counts beside the score.
///
/// ```
/// use autoresearch_core::{Direction, Objective};
/// let latency = Objective::new("latency_ms", Direction::Minimise).at_least(0.5);
/// assert_eq!(latency.min_gain, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Its name among the secondary metrics.
    pub name: String,
    /// The better direction.
    pub direction: Direction,
    /// The gain that extends the front, in its unit: a finite number, not negative. 0 by default.
    #[serde(default)]
    pub min_gain: f64,
}

impl Objective {
    /// An objective of which any gain counts.
    pub fn new(name: impl Into<String>, direction: Direction) -> Objective {
        Objective { name: name.into(), direction, min_gain: 0.0 }
    }

    /// Sets the gain that extends the front.
    pub fn at_least(mut self, min_gain: f64) -> Objective {
        self.min_gain = min_gain;
        self
    }
}

/// Keeps a candidate that the front does not cover: compared with each member of it, the score or an objective is better by
/// more than its least gain.
///
/// The front is the kept experiments of the run. A candidate that is better in everything extends it, and so does one that
/// trades one metric for another, if the trade is new: a member that is at most a least gain behind in everything covers it, so
/// the search cannot walk in a circle. The means of all measurements are compared; state gains above the noise.
///
/// The number that decides may get worse with such a keep: bound it, or an objective, with [`super::Constrained`].
///
/// ```
/// use autoresearch_core::{Arm, Direction, Evidence, Measurement, Objective, Pareto, Ratchet, Score, Verdict};
/// let measured = |loss: f64, ms: f64| {
///     let mut measurement = Measurement::new(Score::new(loss)?);
///     measurement.secondary.insert("ms".into(), ms);
///     Some(Arm { measurements: vec![measurement] })
/// };
/// let rule = Pareto::new(0.0, vec![Objective::new("ms", Direction::Minimise).at_least(0.5)])?;
/// let judge = |loss, ms| {
///     Some(rule.judge(&Evidence::new(measured(1.0, 10.0)?, measured(loss, ms)?, Direction::Minimise, 0)))
/// };
/// assert!(matches!(judge(0.9, 12.0), Some(Verdict::Keep(_))), "a better loss");
/// assert!(matches!(judge(1.2, 9.0), Some(Verdict::Keep(_))), "faster by more than 0.5");
/// assert!(matches!(judge(1.2, 9.6), Some(Verdict::Discard(_))), "faster by less");
/// # Ok::<(), autoresearch_core::RuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pareto {
    min_gain: f64,
    objectives: Vec<Objective>,
}

impl Pareto {
    /// Makes a rule over the score, of which a gain above `min_gain` counts, and some objectives.
    ///
    /// # Errors
    /// If there is no objective, two have one name, or a least gain is negative or not finite.
    pub fn new(min_gain: f64, objectives: Vec<Objective>) -> Result<Pareto, RuleError> {
        RuleError::number("min_gain", min_gain, 0.0, f64::MAX)?;
        for objective in &objectives {
            RuleError::number("min_gain", objective.min_gain, 0.0, f64::MAX)?;
        }
        let names: Vec<&str> = objectives.iter().map(|objective| objective.name.as_str()).collect();
        let is_twice = names.iter().enumerate().any(|(at, name)| names[..at].contains(name));
        if names.is_empty() || is_twice {
            let allowed = "at least one secondary metric, each once".to_owned();
            return Err(RuleError { setting: "objectives", value: format!("[{}]", names.join(", ")), allowed });
        }
        Ok(Pareto { min_gain, objectives })
    }

    /// The gains of `candidate` over `other`: that of the score first, then those of the objectives. `None` if one of them lacks
    /// a metric.
    fn gains(&self, other: &Arm, candidate: &Arm, direction: Direction) -> Option<Vec<Gain<'_>>> {
        let score = direction.gain(other.mean()?, candidate.mean()?);
        let mut gains = vec![Gain { name: "the score", by: score, least: self.min_gain }];
        for Objective { name, direction, min_gain } in &self.objectives {
            let (before, after) = (other.secondary(name)?, candidate.secondary(name)?);
            let by = direction.gain(Score::new(before)?, Score::new(after)?);
            gains.push(Gain { name, by, least: *min_gain });
        }
        Some(gains)
    }
}

/// The gain of one metric.
struct Gain<'a> {
    name: &'a str,
    by: f64,
    least: f64,
}

impl Gain<'_> {
    fn counts(&self) -> bool {
        self.by > self.least
    }

    fn told(&self) -> String {
        let way = if self.by > 0.0 { "better" } else { "worse" };
        match self.by == 0.0 {
            true => format!("{} equal", self.name),
            false => format!("{} {way} by {}", self.name, significant(self.by.abs())),
        }
    }
}

impl Ratchet for Pareto {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        let Evidence { incumbent, candidate, front, direction, .. } = evidence;
        if candidate.mean().is_none() {
            return Verdict::Discard("it was never measured".into());
        }
        let lacks = self.objectives.iter().find(|objective| candidate.secondary(&objective.name).is_none());
        if incumbent.measurements.is_empty() {
            return Verdict::Keep(match lacks {
                Some(objective) => format!("the baseline; it did not report {}, an objective", objective.name),
                None => "the baseline, where the front begins".into(),
            });
        }
        if let Some(objective) = lacks {
            return Verdict::Discard(format!("it did not report {}, an objective", objective.name));
        }
        let told = |gains: &[Gain<'_>]| gains.iter().map(Gain::told).collect::<Vec<_>>().join(", ");
        let mut others = 0;
        for member in front.iter().chain([incumbent]) {
            // A member without one of the metrics covers nothing.
            let Some(gains) = self.gains(member, candidate, *direction) else { continue };
            others += 1;
            if !gains.iter().any(Gain::counts) {
                return Verdict::Discard(format!("the front covers it: against one of its members, {}", told(&gains)));
            }
        }
        match self.gains(incumbent, candidate, *direction) {
            Some(gains) if gains.iter().all(|gain| gain.by >= 0.0) => {
                Verdict::Keep(format!("dominates the incumbent: {}", told(&gains)))
            }
            Some(gains) => Verdict::Keep(format!("extends the front of {others}: {}", told(&gains))),
            None => Verdict::Keep("extends the front: the incumbent lacks a metric".into()),
        }
    }

    fn name(&self) -> &str {
        "pareto"
    }

    fn comparison(&self) -> Comparison {
        Comparison::Front
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Measurement;
    use proptest::prelude::*;

    fn arm(score: f64, ms: f64) -> Arm {
        let measurement =
            Measurement { secondary: [("ms".to_owned(), ms)].into(), ..Measurement::new(Score::new(score).unwrap()) };
        Arm { measurements: vec![measurement] }
    }

    fn rule(score: f64, ms: f64) -> Pareto {
        Pareto::new(score, vec![Objective::new("ms", Direction::Minimise).at_least(ms)]).unwrap()
    }

    fn judge(front: &[(f64, f64)], candidate: (f64, f64)) -> Verdict {
        let arms: Vec<Arm> = front.iter().map(|(score, ms)| arm(*score, *ms)).collect();
        let mut evidence =
            Evidence::new(arms.last().unwrap().clone(), arm(candidate.0, candidate.1), Direction::Maximise, 0);
        evidence.front = arms;
        rule(0.1, 1.0).judge(&evidence)
    }

    #[test]
    fn a_trade_is_kept_once_and_the_way_back_is_not() {
        let kept = |front: &[(f64, f64)], candidate| matches!(judge(front, candidate), Verdict::Keep(_));
        assert!(kept(&[(1.0, 10.0)], (1.2, 12.0)));
        assert!(!kept(&[(1.0, 10.0), (1.2, 12.0)], (1.0, 10.0)), "it was there before");
        assert!(!kept(&[(1.0, 10.0), (1.2, 12.0)], (1.05, 9.5)), "better than the first by too little in each");
        assert!(kept(&[(1.0, 10.0), (1.2, 12.0)], (1.05, 8.5)));
        assert!(kept(&[(1.0, 10.0), (1.2, 12.0)], (1.4, 8.0)), "dominates both");
    }

    #[test]
    fn a_metric_that_is_not_reported_is_no_objective_met() {
        let mut evidence = Evidence::new(arm(1.0, 1.0), Arm::of([2.0]), Direction::Maximise, 0);
        assert!(matches!(rule(0.0, 0.0).judge(&evidence), Verdict::Discard(why) if why.contains("ms")));
        evidence.incumbent = Arm::default();
        assert!(matches!(rule(0.0, 0.0).judge(&evidence), Verdict::Keep(_)), "a baseline is kept");
    }

    #[test]
    fn settings_that_are_no_front_are_errors() {
        assert!(Pareto::new(0.0, Vec::new()).unwrap_err().to_string().contains("at least one"));
        let twice = vec![Objective::new("ms", Direction::Minimise), Objective::new("ms", Direction::Maximise)];
        assert!(Pareto::new(0.0, twice).is_err());
        assert!(Pareto::new(-1.0, vec![Objective::new("ms", Direction::Minimise)]).is_err());
        assert!(Pareto::new(0.0, vec![Objective::new("ms", Direction::Minimise).at_least(f64::NAN)]).is_err());
    }

    proptest! {
        /// No two members of the front are ever within the least gains of each other, in any order of candidates.
        #[test]
        fn no_member_covers_a_later_one(candidates in prop::collection::vec((0.0..2.0f64, 0.0..20.0f64), 1..40)) {
            let mut front = vec![(1.0, 10.0)];
            for candidate in candidates {
                if let Verdict::Keep(_) = judge(&front, candidate) {
                    front.push(candidate);
                }
            }
            for (at, later) in front.iter().enumerate() {
                for earlier in &front[..at] {
                    prop_assert!(later.0 - earlier.0 > 0.1 || earlier.1 - later.1 > 1.0, "{earlier:?} covers {later:?}");
                }
            }
        }
    }
}
