//! The measurements of one revision.

use serde::{Deserialize, Serialize};

use crate::metric::{Measurement, Score};

/// The measurements of one revision, oldest first.
///
/// ```
/// use autoresearch_core::Arm;
/// let arm = Arm::of([3.0, f64::NAN, 5.0]);
/// assert_eq!(arm.mean().map(|mean| mean.get()), Some(4.0));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// One entry for each completed trial.
    pub measurements: Vec<Measurement>,
}

impl Arm {
    /// Makes an arm of these scores. NaN and infinities are left out.
    pub fn of(scores: impl IntoIterator<Item = f64>) -> Arm {
        Arm { measurements: scores.into_iter().filter_map(Score::new).map(Measurement::new).collect() }
    }

    /// Iterates over all scores, oldest first.
    pub fn scores(&self) -> impl Iterator<Item = Score> {
        self.measurements.iter().map(|m| m.score)
    }

    /// Computes the mean score; `None` without measurements. Where measurements name their machine, only those from the
    /// machine of the latest one count.
    pub fn mean(&self) -> Option<Score> {
        mean_of(&self.measurements)
    }

    /// Returns the latest `count` measurements.
    #[doc(hidden)]
    pub fn last(&self, count: usize) -> Arm {
        let from = self.measurements.len().saturating_sub(count);
        Arm { measurements: self.measurements.get(from..).unwrap_or_default().to_vec() }
    }

    /// Returns the oldest `count` measurements.
    #[doc(hidden)]
    pub fn first(&self, count: usize) -> Arm {
        Arm { measurements: self.measurements.iter().take(count).cloned().collect() }
    }

    /// The score of each item, averaged over the measurements that list items. `None` if none does, or if their lists differ
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

    /// Drops the lists of items, which are long, when no rule will ask for them again.
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

/// The measurements from the machine of the latest one.
pub(crate) fn latest_machine(measurements: &[Measurement]) -> impl Iterator<Item = &Measurement> {
    let machine = measurements.last().and_then(|latest| latest.machine.as_ref());
    measurements.iter().filter(move |measurement| measurement.machine.as_ref() == machine)
}

/// The mean score of the measurements from the latest one's machine, or `None` without measurements.
pub(crate) fn mean_of(measurements: &[Measurement]) -> Option<Score> {
    let scores = || latest_machine(measurements).map(|m| m.score.get());
    let count = scores().count() as f64;
    if count == 0.0 {
        return None;
    }
    // A sum may exceed the greatest number where the mean does not, and rounding may take a sum of shares beyond it.
    let of_shares = || {
        let (least, most) =
            scores().fold((f64::MAX, f64::MIN), |(least, most), score| (least.min(score), most.max(score)));
        scores().map(|score| score / count).sum::<f64>().clamp(least, most)
    };
    Score::new(scores().sum::<f64>() / count).or_else(|| Score::new(of_shares()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_overflows_still_has_a_mean() {
        assert_eq!(Arm::of([f64::MAX; 3]).mean().map(Score::get), Some(f64::MAX));
        assert_eq!(Arm::of([f64::MAX, -f64::MAX]).mean().map(Score::get), Some(0.0));
        assert_eq!(Arm::of([f64::NAN]).mean(), None, "nothing has no mean");
    }
}
