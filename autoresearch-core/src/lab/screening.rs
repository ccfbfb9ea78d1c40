//! Screening: candidates are tried on a share of the budget first, and only those that are not clearly behind on all of it.
//!
//! This is successive halving's use of a cheap fidelity (Jamieson & Talwalkar, 2016) for a search with one candidate at a
//! time: instead of the best half of a bracket, those pass that keep up with the incumbent's own trials on the rung. The
//! ratchet never sees a trial on a rung.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::metric::significant;
use crate::ratchet::{Noise, Side};
use crate::state::{OpenExperiment, Promotion, RungResult, State};

/// The settings of screening: the rungs before the full budget, and the margins on them.
///
/// ```
/// use autoresearch_core::Screening;
/// let mut screening = Screening::new([0.2]);
/// screening.repeats = 3;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Screening {
    /// Shares of the full budget below 1, rising. A candidate is tried on the first; the further ones are second chances for
    /// those that are only a little too far behind, since some changes pay late.
    pub rungs: Vec<f64>,
    /// The amount by which a candidate may be behind the incumbent and still passes, in standard deviations on the rung. It is
    /// wider while these are known from few trials only. Default: 1.
    pub margin: f64,
    /// The amount by which a candidate may be behind and is still tried on the next rung, if there is one. Default: 2.
    pub second_margin: f64,
    /// The amount by which a candidate may be behind beyond either margin, in the metric's unit. Without noise both margins are
    /// 0. Default: 0.
    pub allowance: f64,
    /// Number of trials of each incumbent on each rung that is used, at least 2. Default: 2.
    pub repeats: usize,
    /// Every n-th candidate that fails is promoted as a control, so that the losses by screening are known. 0: none.
    /// Default: 5.
    pub control: u32,
    /// The class of hardware for trials on rungs, if not that of the full budget. Their scores are compared only with each
    /// other in any case.
    pub class: Option<String>,
}

impl Screening {
    /// Screening on these shares of the budget, with the defaults of everything else.
    pub fn new(rungs: impl IntoIterator<Item = f64>) -> Screening {
        Screening {
            rungs: rungs.into_iter().collect(),
            margin: 1.0,
            second_margin: 2.0,
            allowance: 0.0,
            repeats: 2,
            control: 5,
            class: None,
        }
    }

    /// Checks the values. The error says which is wrong, and what to give instead.
    ///
    /// ```
    /// use autoresearch_core::Screening;
    /// assert!(Screening::new([0.2, 0.5]).check().is_ok());
    /// assert!(Screening::new([0.5, 0.2]).check().unwrap_err().contains("rising"));
    /// ```
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        let Screening { rungs, margin, second_margin, allowance, repeats, .. } = self;
        if rungs.is_empty() {
            return Err("rungs is empty; give shares of the budget, as [0.2], or leave the screening out".into());
        }
        if let Some(wrong) = rungs.iter().find(|rung| !(**rung > 0.0 && **rung < 1.0)) {
            return Err(format!("rungs has {wrong}; give shares of the budget between 0 and 1, without the ends"));
        }
        if rungs.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("rungs is {rungs:?}; give rising shares, each once"));
        }
        for (name, value) in [("margin", margin), ("second_margin", second_margin), ("allowance", allowance)] {
            if !(*value >= 0.0 && *value < f64::INFINITY) {
                return Err(format!("{name} is {value}; give a number that is not negative"));
            }
        }
        if second_margin < margin {
            return Err(format!("second_margin is {second_margin}; give at least the margin, {margin}"));
        }
        match *repeats {
            0 | 1 => Err(format!("repeats is {repeats}; give at least 2, or the noise on the rungs stays unknown")),
            _ => Ok(()),
        }
    }

    /// Determines the next step of an open experiment that was not tried on the full budget. `extra` is added to the allowance.
    pub(super) fn next_step(&self, state: &State, open: &OpenExperiment, extra: f64) -> ScreeningStep {
        let screened = open.experiment.screening.as_deref();
        let promoted = screened.is_some_and(|screened| screened.promotion.is_some());
        let (Some(header), Some(_), false) = (&state.header, &state.incumbent, promoted) else {
            return ScreeningStep::FullBudget;
        };
        let results = screened.map_or(&[][..], |screened| &screened.rungs);
        for (at, &fidelity) in self.rungs.iter().enumerate() {
            let measured = state.rungs.scores(fidelity).len();
            if measured < self.repeats.max(2) {
                if open.incomparable {
                    let why = "not screened: the incumbent gave no number on a rung".into();
                    return ScreeningStep::Promote(Promotion::Unscreened, why);
                }
                return ScreeningStep::Trial(Side::Incumbent, fidelity);
            }
            let Some(result) = results.iter().find(|result| result.fidelity == fidelity) else {
                return ScreeningStep::Trial(Side::Candidate, fidelity);
            };
            let noise = state.rungs.noise(fidelity);
            let tolerated = |margin| tolerance(margin, noise, measured) + self.allowance + extra;
            let behind = -result.gain(header.direction);
            let passes = behind <= tolerated(self.margin);
            let why = explain(result, behind, tolerated(self.margin));
            if passes {
                return ScreeningStep::Promote(Promotion::Passed, why);
            }
            if behind <= tolerated(self.second_margin) && at + 1 < self.rungs.len() {
                continue;
            }
            let is_control = self.control > 0 && (state.rungs.failed + 1).is_multiple_of(self.control);
            return match is_control {
                true => ScreeningStep::Promote(Promotion::Control, format!("{why}; promoted as a control")),
                false => ScreeningStep::Discard(format!("screened out: {why}")),
            };
        }
        ScreeningStep::FullBudget
    }
}

/// The next step of a screening.
#[derive(Debug, PartialEq)]
pub(super) enum ScreeningStep {
    /// A trial of this side on a rung.
    Trial(Side, f64),
    /// The record of its promotion to the full budget.
    Promote(Promotion, String),
    /// A trial on the full budget: it was promoted before.
    FullBudget,
    /// The end of the experiment.
    Discard(String),
}

/// The amount by which one more trial of the same code may be behind the mean of `trials` trials, for a margin in standard
/// deviations.
///
/// The margin stands for the probability that a normal variable exceeds it. Student's t reaches that probability further out,
/// and the further out, the fewer trials the noise is known from.
fn tolerance(margin: f64, noise: Noise, trials: usize) -> f64 {
    let beyond = Normal::standard().sf(margin);
    match noise.error_of_difference(1, trials) {
        Some(error) if error > 0.0 && margin > 0.0 => error * noise.quantile(beyond),
        _ => 0.0,
    }
}

fn explain(result: &RungResult, behind: f64, tolerated: f64) -> String {
    let share = format!("{} of the budget", percent(result.fidelity));
    let scores = format!("{} against {}", significant(result.score.get()), significant(result.incumbent.get()));
    match behind > 0.0 {
        true => {
            let (behind, tolerated) = (significant(behind), significant(tolerated));
            format!("{scores} on {share}, behind by {behind} where {tolerated} passes")
        }
        false => format!("{scores} on {share}"),
    }
}

/// Formats a share as `20 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e5).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(scores: &[f64]) -> Noise {
        Noise::default().with(scores)
    }

    #[test]
    fn a_margin_is_wider_the_less_is_known_of_the_noise() {
        // Two trials, one degree of freedom: t at the probability of one sigma is 1.837.
        let few = noise(&[1.0, 1.0 + 2f64.sqrt()]);
        assert!((few.sigma().unwrap() - 1.0).abs() < 1e-12);
        assert!((tolerance(1.0, few, 2) - 1.8373 * 1.5f64.sqrt()).abs() < 1e-3);
        let many: Vec<f64> = (0..2000).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert!((tolerance(1.0, noise(&many), 2000) - 1.0).abs() < 2e-3);
        assert!(tolerance(2.0, few, 2) > 7.0 * tolerance(1.0, few, 2), "and more so for a wider margin");
    }

    #[test]
    fn without_noise_or_without_a_margin_nothing_is_tolerated() {
        assert_eq!(tolerance(3.0, noise(&[2.0, 2.0, 2.0]), 3), 0.0);
        assert_eq!(tolerance(0.0, noise(&[1.0, 2.0]), 2), 0.0);
        assert_eq!(tolerance(1.0, Noise::default(), 0), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        let right = Screening::new([0.2]);
        for (wrong, word) in [
            (Screening::new([]), "empty"),
            (Screening::new([0.2, 1.0]), "between 0 and 1"),
            (Screening::new([f64::NAN]), "between 0 and 1"),
            (Screening::new([0.3, 0.3]), "rising"),
            (Screening { margin: -1.0, ..right.clone() }, "margin is -1"),
            (Screening { second_margin: 0.5, ..right.clone() }, "at least the margin"),
            (Screening { allowance: f64::INFINITY, ..right.clone() }, "allowance"),
            (Screening { repeats: 1, ..right.clone() }, "at least 2"),
        ] {
            assert!(wrong.check().unwrap_err().contains(word), "{word}");
        }
        assert_eq!(right.check(), Ok(()));
    }

    #[test]
    fn shares_are_short() {
        assert_eq!([0.2, 0.125, 1.0 / 3.0].map(percent), ["20 %", "12.5 %", "33.333 %"]);
    }
}
