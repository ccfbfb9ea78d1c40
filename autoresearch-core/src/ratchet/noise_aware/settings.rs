//! The settings of the rule that knows the noise.

use crate::ratchet::RuleError;

/// The settings of [`NoiseAware`](crate::NoiseAware). Each has a default that suits most searches.
///
/// ```
/// use autoresearch_core::{NoiseAware, NoiseAwareSettings};
/// let mut settings = NoiseAwareSettings::default();
/// settings.alpha = 0.05;
/// assert!(NoiseAware::new(settings).is_ok());
/// settings.alpha = 1.5;
/// let error = NoiseAware::new(settings).unwrap_err();
/// assert_eq!(error.to_string(), "alpha is 1.5; give a number from 0.000001 to 0.5");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NoiseAwareSettings {
    /// Trials of the baseline, 2 to 1000. Default 5.
    pub baseline: usize,
    /// The gain of the first trial with which a candidate is confirmed, in standard deviations of one trial, 0 to 10.
    /// Default 1.
    pub screen: f64,
    /// The fewest fresh trials that confirm a candidate, 1 to 1000. Default 2.
    pub confirm: usize,
    /// The most, given to candidates that are better only by a little, where the end of the run is known; at least `confirm`.
    /// Default 3.
    pub confirm_at_most: usize,
    /// The greatest probability with which a change without effect that is confirmed may be kept, 0.000001 to 0.5.
    /// Default 0.10.
    pub alpha: f64,
    /// The number of changes without effect that may be kept in a whole run, 0.001 to 1000, where its end is known: shared
    /// among all candidates that will be confirmed, however small the level of each becomes. Candidates share the incumbent's
    /// measurements, so about twice as many are kept in a run in which nothing helps.
    ///
    /// `None`, the default, promises no number: it starts from 0.5, and no level falls below 0.05.
    pub false_keeps: Option<f64>,
    /// Fresh trials of a kept candidate that the next ones are compared with, 0 to 1000. Default 3.
    pub audit: usize,
    /// The gain that each added line must bring, in the metric's unit, 0 or more; lines removed are credited. Default 0.
    pub line_price: f64,
    /// Compare only trials made in turns, never earlier ones: for machines that drift all the time, as in timing. Default
    /// false.
    pub paired: bool,
}

impl Default for NoiseAwareSettings {
    fn default() -> NoiseAwareSettings {
        NoiseAwareSettings {
            baseline: 5,
            screen: 1.0,
            confirm: 2,
            confirm_at_most: 3,
            alpha: 0.10,
            false_keeps: None,
            audit: 3,
            line_price: 0.0,
            paired: false,
        }
    }
}

impl NoiseAwareSettings {
    /// Fails if a setting is out of its range.
    pub(super) fn check(&self) -> Result<(), RuleError> {
        RuleError::count("baseline", self.baseline, 2)?;
        RuleError::number("screen", self.screen, 0.0, 10.0)?;
        RuleError::count("confirm", self.confirm, 1)?;
        RuleError::count("confirm_at_most", self.confirm_at_most, self.confirm)?;
        RuleError::number("alpha", self.alpha, 1e-6, 0.5)?;
        if let Some(false_keeps) = self.false_keeps {
            RuleError::number("false_keeps", false_keeps, 1e-3, 1e3)?;
        }
        RuleError::count("audit", self.audit, 0)?;
        RuleError::number("line_price", self.line_price, 0.0, f64::MAX)?;
        Ok(())
    }
}
