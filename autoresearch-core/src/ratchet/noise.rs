//! The noise: how much measurements of the same code differ.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, FisherSnedecor, StudentsT};

/// The variance of measurements of the same code, pooled over many codes, whose means say nothing about the noise.
///
/// Unlike the spread of all results, it does not take real differences between candidates for noise. The default is an unknown
/// noise.
///
/// ```
/// use autoresearch_core::Noise;
/// let mut noise = Noise::default();
/// noise.pool(&[1.0, 3.0]);
/// noise.pool(&[10.0, 10.0, 13.0]);
/// assert_eq!(noise.degrees(), 3);
/// assert!((noise.sigma().unwrap() - (8.0f64 / 3.0).sqrt()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    sum_of_squares: f64,
    degrees: u32,
}

impl Noise {
    /// Adds measurements of one code. A single measurement changes nothing.
    #[doc(hidden)]
    pub fn pool(&mut self, scores: &[f64]) {
        let Some(first) = scores.first() else { return };
        // From the first score, not from zero: equal scores give exactly 0, and large ones keep their digits.
        let count = scores.len() as f64;
        let shift = scores.iter().map(|score| score - first).sum::<f64>() / count;
        self.sum_of_squares += scores.iter().map(|score| (score - first - shift).powi(2)).sum::<f64>();
        self.degrees = self.degrees.saturating_add(scores.len() as u32 - 1);
    }

    /// True if measurements of one code are further apart than luck explains once in a thousand times, so that something happened
    /// to the machine between them.
    #[doc(hidden)]
    pub fn event(&self, scores: &[f64]) -> bool {
        self.is_surprised_by(Noise::default().with(scores))
    }

    fn is_surprised_by(&self, one: Noise) -> bool {
        let ratio = (one.sigma().unwrap_or_default() / self.sigma().unwrap_or_default()).powi(2);
        let usual = FisherSnedecor::new(f64::from(one.degrees), f64::from(self.degrees));
        // Where nothing is known, or no noise was ever seen, the ratio is not a number or infinite.
        ratio.is_finite() && usual.is_ok_and(|usual| usual.sf(ratio) < EVENT)
    }

    /// Adds measurements of one code unless they are an [event](Noise::event), which would hide every gain of the rest of the
    /// run, or further apart than numbers can say.
    #[doc(hidden)]
    pub fn pool_usual(&mut self, scores: &[f64]) {
        if !self.event(scores) && Noise::default().with(scores).sum_of_squares.is_finite() {
            self.pool(scores);
        }
    }

    /// Adds measurements of a candidate that need not become the incumbent, as [`pool_usual`](Noise::pool_usual) does. Where trials of
    /// one code have agreed so far, its own instability is not taken for noise of the metric: nothing is too far apart beside none.
    pub(crate) fn pool_candidate(&mut self, scores: &[f64]) {
        let is_exact = self.sigma() == Some(0.0) && !self.with(scores).is_exact();
        if !is_exact {
            self.pool_usual(scores);
        }
    }

    fn is_exact(&self) -> bool {
        self.sum_of_squares == 0.0
    }

    /// Adds one more measurement of a code that was measured before, unless the two are an [event](Noise::event).
    ///
    /// It adds what pooling all of them would have added to pooling those before; so nothing counts twice.
    pub(crate) fn pool_one_more(&mut self, before: &[f64], now: f64) {
        let Some(mean) = mean(before) else { return };
        let count = before.len() as f64;
        let one = Noise { sum_of_squares: (now - mean).powi(2) * count / (count + 1.0), degrees: 1 };
        if one.sum_of_squares.is_finite() && !self.is_surprised_by(one) {
            self.sum_of_squares += one.sum_of_squares;
            self.degrees = self.degrees.saturating_add(1);
        }
    }

    /// Returns the noise with measurements of one more code.
    #[doc(hidden)]
    pub fn with(mut self, scores: &[f64]) -> Noise {
        self.pool(scores);
        self
    }

    /// Returns the number of independent differences behind the estimate.
    #[doc(hidden)]
    pub fn degrees(&self) -> u32 {
        self.degrees
    }

    /// Returns the standard deviation of one measurement, in the metric's unit; `None` while nothing was measured twice.
    pub fn sigma(&self) -> Option<f64> {
        (self.degrees > 0).then(|| (self.sum_of_squares / f64::from(self.degrees)).sqrt())
    }

    /// Computes the standard error of the difference between the means of `a` and of `b` measurements.
    #[doc(hidden)]
    pub fn error_of_difference(&self, a: usize, b: usize) -> Option<f64> {
        Some(self.sigma()? * (1.0 / a as f64 + 1.0 / b as f64).sqrt())
    }

    /// The difference, in standard errors, that luck exceeds with the probability `alpha` (0 to 1): the quantile of Student's t,
    /// which is larger the fewer differences the noise is known from.
    #[doc(hidden)]
    pub fn quantile(&self, alpha: f64) -> f64 {
        match StudentsT::new(0.0, 1.0, f64::from(self.degrees.max(1))) {
            Ok(t) => t.inverse_cdf(1.0 - alpha),
            Err(_) => f64::INFINITY,
        }
    }

    /// Computes the probability of a difference of at least `errors` standard errors by luck.
    #[doc(hidden)]
    pub fn chance(&self, errors: f64) -> f64 {
        match StudentsT::new(0.0, 1.0, f64::from(self.degrees.max(1))) {
            Ok(t) => t.sf(errors),
            Err(_) => 1.0,
        }
    }

    /// The difference of the same code's scores now from those before, if luck brings that less than once in 500 times. Then the
    /// machine has shifted (another load, other clocks), and only scores from now on may be compared.
    #[doc(hidden)]
    pub fn shift(&self, before: &[f64], now: &[f64]) -> Option<f64> {
        let by = mean(now)? - mean(before)?;
        // That scores are exact is a hypothesis, which scores now that differ from each other refute: then they are noise.
        let noise = if self.sigma() == Some(0.0) { self.with(now) } else { *self };
        let error = noise.error_of_difference(before.len(), now.len())?;
        (by.abs() > error * noise.quantile(SHIFT / 2.0)).then_some(by)
    }
}

/// The probability of seeing a shift of the machine where there is none.
const SHIFT: f64 = 0.002;

/// The probability of taking usual measurements for an event.
const EVENT: f64 = 0.001;

/// Computes the mean; `None` of an empty slice.
pub fn mean(scores: &[f64]) -> Option<f64> {
    let first = scores.first()?;
    Some(first + scores.iter().map(|score| score - first).sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_scores_are_exactly_without_noise() {
        for value in [0.1, 1e9 + 0.3, -7.7e-8] {
            let noise = Noise::default().with(&[value; 7]);
            assert_eq!((noise.sigma(), noise.degrees()), (Some(0.0), 6));
        }
        assert_eq!(Noise::default().with(&[3.0]).sigma(), None);
    }

    #[test]
    fn an_unstable_candidate_is_no_noise_of_an_exact_metric() {
        let exact = Noise::default().with(&[1000.0; 3]);
        let mut noise = exact;
        noise.pool_candidate(&[900.0, 2e6]);
        assert_eq!(noise, exact);
        noise.pool_candidate(&[900.0; 2]);
        assert_eq!((noise.sigma(), noise.degrees()), (Some(0.0), 3));
        // The incumbent's own trials say that there is noise, and from then on candidates add to it.
        noise.pool_usual(&[1000.0, 1001.0]);
        assert!(noise.sigma() > Some(0.0));
        let known = noise;
        noise.pool_candidate(&[900.0, 900.5]);
        assert!(noise.degrees() == known.degrees() + 1);
        // What numbers cannot say is no noise either.
        noise.pool_usual(&[1e200, 7.0]);
        assert!(noise.sigma().is_some_and(f64::is_finite));
    }

    #[test]
    fn an_event_between_two_runs_is_no_noise() {
        let baseline = [1.0, -1.0, 0.5, -0.5, 0.0];
        let mut noise = Noise::default().with(&baseline);
        noise.pool_usual(&[0.0, 25.0]);
        assert_eq!(noise, Noise::default().with(&baseline));
        noise.pool_usual(&[0.0, 3.0]);
        assert_eq!(noise, Noise::default().with(&baseline).with(&[0.0, 3.0]));
        // While the noise is unknown, all measurements are usual.
        let mut first = Noise::default();
        first.pool_usual(&[0.0, 25.0]);
        assert_eq!(first.degrees(), 1);
        let mut exact = Noise::default().with(&[1.0; 3]);
        exact.pool_usual(&[0.0, 25.0]);
        assert_eq!(exact.degrees(), 3);
    }

    #[test]
    fn one_more_measurement_adds_what_pooling_all_of_them_would() {
        let scores = [3.0, 4.5, 2.25, 3.5];
        let mut one_by_one = Noise::default();
        for at in 1..scores.len() {
            one_by_one.pool_one_more(&scores[..at], scores[at]);
        }
        let pooled = Noise::default().with(&scores);
        assert_eq!(one_by_one.degrees(), pooled.degrees());
        assert!((one_by_one.sigma().unwrap() - pooled.sigma().unwrap()).abs() < 1e-12);
        // Nothing is learnt from one alone, nor from an event.
        one_by_one.pool_one_more(&[], 9.0);
        let mut known = Noise::default().with(&[1.0, -1.0, 0.5, -0.5, 0.0, 1.0, 0.0, -1.0]);
        let before = known;
        known.pool_one_more(&[0.0, 0.1], 1000.0);
        assert_eq!((one_by_one.degrees(), known), (3, before));
        // Equal scores were luck: a check that differs refutes that there is no noise.
        let mut exact = Noise::default().with(&[0.9; 3]);
        exact.pool_one_more(&[0.9; 3], 0.91);
        assert!(exact.sigma().unwrap() > 0.0);
    }

    #[test]
    fn exact_scores_that_differ_now_are_noise_and_those_that_agree_a_shift() {
        let exact = Noise::default().with(&[0.9; 5]);
        // One that differs is suspicious; more of them tell.
        assert!(exact.shift(&[0.9; 5], &[0.91]).is_some());
        assert_eq!(exact.shift(&[0.9; 5], &[0.91, 0.90]), None);
        assert_eq!(exact.shift(&[0.9; 5], &[0.91, 0.90, 0.91]), None);
        let by = exact.shift(&[0.9; 5], &[0.91; 3]).unwrap();
        assert!((by - 0.01).abs() < 1e-12, "an exact number that is another one now: {by}");
        assert_eq!(exact.shift(&[0.9; 5], &[0.9; 3]), None);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let noise = |degrees| Noise { sum_of_squares: 1.0, degrees };
        for (degrees, alpha, expected) in [(4, 0.10, 1.533), (10, 0.05, 1.812), (30, 0.10, 1.310), (1, 0.05, 6.314)] {
            assert!((noise(degrees).quantile(alpha) - expected).abs() < 1e-3, "{degrees} {alpha}");
            assert!((noise(degrees).chance(expected) - alpha).abs() < 1e-3, "{degrees} {alpha}");
        }
    }

    proptest! {
        #[test]
        fn only_differences_within_arms_count(arms in prop::collection::vec(prop::collection::vec(-100..100i32, 1..6), 1..5), by in -1000..1000i32) {
            let (mut plain, mut moved) = (Noise::default(), Noise::default());
            for (at, arm) in arms.iter().enumerate() {
                plain.pool(&arm.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
                moved.pool(&arm.iter().map(|x| f64::from(*x) + f64::from(by) * at as f64).collect::<Vec<_>>());
            }
            prop_assert_eq!(plain.degrees(), moved.degrees());
            prop_assert!((plain.sum_of_squares - moved.sum_of_squares).abs() <= 1e-9 * (1.0 + plain.sum_of_squares));
        }
    }
}
