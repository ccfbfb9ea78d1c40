//! The decision: is the candidate really better?

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Measurement, Score};

mod constrained;
mod ladder;
mod machines;
mod noise;
mod noise_aware;
mod paired;
mod sequential;

pub use constrained::{Constrained, Limit};
pub use ladder::Ladder;
pub(crate) use machines::{latest_machine, on_one_machine};
pub use noise::Noise;
pub use noise_aware::NoiseAware;
pub(crate) use paired::PAIRED;
pub use paired::Paired;
pub use sequential::Sequential;

/// The measurements of one revision, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// One entry per completed run.
    pub measurements: Vec<Measurement>,
}

impl Arm {
    /// An arm of these scores; what is not finite is left out.
    pub fn of(scores: impl IntoIterator<Item = f64>) -> Arm {
        Arm { measurements: scores.into_iter().filter_map(Score::new).map(Measurement::new).collect() }
    }

    /// All scores, oldest first.
    pub fn scores(&self) -> impl Iterator<Item = Score> {
        self.measurements.iter().map(|m| m.score)
    }

    /// The mean score, or `None` without measurements. Where the machine counts, it is that of the latest measurement:
    /// earlier ones from another machine are left out.
    pub fn mean(&self) -> Option<Score> {
        mean(&self.measurements)
    }

    /// The latest `count` measurements.
    pub fn last(&self, count: usize) -> Arm {
        let from = self.measurements.len().saturating_sub(count);
        Arm { measurements: self.measurements[from..].to_vec() }
    }

    /// The oldest `count` measurements.
    pub fn first(&self, count: usize) -> Arm {
        Arm { measurements: self.measurements[..count.min(self.measurements.len())].to_vec() }
    }

    /// The score of each item, averaged over the measurements that list them. `None` if none does, or if their lists differ
    /// in length.
    pub fn items(&self) -> Option<Vec<f64>> {
        let mut lists = self.measurements.iter().map(|m| &m.items).filter(|items| !items.is_empty());
        let (mut sums, mut count) = (lists.next()?.clone(), 1.0);
        for list in lists {
            if list.len() != sums.len() {
                return None;
            }
            sums.iter_mut().zip(list).for_each(|(sum, item)| *sum += item);
            count += 1.0;
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        Some(sums)
    }

    /// Drops the lists of items, which are long, where no rule will ask for them again.
    pub(crate) fn forget_items(&mut self) {
        self.measurements.iter_mut().for_each(|measurement| measurement.items = Vec::new());
    }

    /// The mean of a secondary metric, or `None` if a measurement lacks it.
    pub fn secondary(&self, name: &str) -> Option<f64> {
        let values = self.measurements.iter().map(|m| m.secondary.get(name).copied());
        let values: Vec<f64> = values.collect::<Option<_>>()?;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// The mean score of those from the latest one's machine, or `None` without measurements.
pub(crate) fn mean(measurements: &[Measurement]) -> Option<Score> {
    let (sum, count) = latest_machine(measurements).fold((0.0, 0), |(sum, count), m| (sum + m.score.get(), count + 1));
    Score::new(sum / f64::from(count))
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
    /// So many of the incumbent's latest measurements were made for this candidate, in turns with its own.
    pub interleaved: usize,
    /// What runs of the same code differ by, from everything measured before this experiment.
    pub noise: Noise,
    /// So many candidates before this one were measured more than once: each of them might have been kept by luck.
    pub tested: usize,
    /// So many of those were kept.
    pub kept: usize,
    /// About so many more experiments were going to fit into the night when this one began, if its end is known.
    pub remaining: Option<f64>,
}

impl Evidence {
    /// Evidence of two arms for a change that adds (or, negative, removes) `added_lines` lines. Nothing is known of the noise
    /// and of earlier experiments.
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
        }
    }
}

impl Evidence {
    /// By how much the machine has shifted, if the runs of the incumbent made for this candidate are too far from its earlier
    /// ones: then only the former compare with the candidate's.
    pub fn shift(&self) -> Option<f64> {
        let scores: Vec<f64> = self.incumbent.scores().map(Score::get).collect();
        let (earlier, interleaved) = scores.split_at(scores.len().saturating_sub(self.interleaved));
        self.noise.with(interleaved).shift(earlier, interleaved)
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
/// All of it is pure and synchronous: the same evidence gives the same verdict. `judge` never keeps a candidate without
/// measurements.
pub trait Ratchet: Send + Sync {
    /// Judges a candidate that has at least one measurement. The baseline is judged too, with an incumbent that has none: the
    /// rule may ask for more measurements of it, but it is kept in any case.
    fn judge(&self, evidence: &Evidence) -> Verdict;

    /// The rule's name, for the journal and reports.
    fn name(&self) -> &str {
        ""
    }

    /// How many of a kept candidate's latest measurements the next candidates are compared with: those that chose it are too
    /// good on average. All of them by default.
    fn reference(&self, evidence: &Evidence) -> usize {
        evidence.candidate.measurements.len()
    }

    /// The probability with which the test of this candidate would have kept a change without effect, if there was a test.
    fn alpha(&self, _evidence: &Evidence) -> Option<f64> {
        None
    }

    /// Whether the first run of each candidate, too, has a seed of its own. A rule that compares single runs wants the same for
    /// all. A rule that measures the noise does not, or candidates would be chosen for what they make of one seed.
    fn fresh_seeds(&self) -> bool {
        false
    }

    /// What proposers may be told of what was measured.
    fn discloses(&self) -> Disclosure {
        Disclosure::Everything
    }
}

impl<R: Ratchet + ?Sized> Ratchet for Box<R> {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        (**self).judge(evidence)
    }

    fn name(&self) -> &str {
        (**self).name()
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
}

/// What proposers are told of what was measured. People are told everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Disclosure {
    /// Every score, reason and log.
    #[default]
    Everything,
    /// Of a discarded experiment that it was discarded, and of a kept one its score, rounded to a whole multiple of one item's
    /// share. Logs only of crashes.
    RoundedBest,
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

    fn name(&self) -> &str {
        "strict"
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

    fn name(&self) -> &str {
        "strict"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arm(score: f64) -> Arm {
        Arm { measurements: vec![Measurement::new(Score::new(score).unwrap())] }
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
    fn a_candidate_without_measurements_is_never_kept() {
        for incumbent in [arm(1.0), Arm::default()] {
            let evidence = Evidence::new(incumbent, Arm::default(), Direction::Minimise, -5);
            assert!(matches!(Strict.judge(&evidence), Verdict::Discard(_)));
        }
    }
}
