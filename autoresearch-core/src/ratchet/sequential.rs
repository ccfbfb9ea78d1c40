//! A rule for runs without a planned end: its evidence may be judged after every pair.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use super::trials::{NOTHING, Trials, baseline, fresh_reference, gain, in_sigma};
use super::{Evidence, Noise, Ratchet, RuleError, Side, Verdict, exact};

/// Keeps a candidate when the e-value of its fresh pairs is large enough, whenever that happens.
///
/// Each pair is a trial of the candidate and one of the incumbent, in turns. Against "no better than the price", the e-value
/// of `n` differences with the sum `s` and the variance `v` is that of a half-normal mixture of gains of about `tau`
/// (Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences, 2021):
/// `2 (1 + n tau^2/v)^(-1/2) exp(s^2 tau^2 / (2 v (v + n tau^2))) Phi(s tau / sqrt(v (v + n tau^2)))`.
/// By Ville's inequality it exceeds `1/a` with a probability of at most `a`, however often it is judged. The levels `a` follow
/// e-LOND (Xu & Ramdas: Online multiple testing with e-values, 2024), which keeps the expected share of false keeps among all
/// keeps below `alpha`, in a run of any length.
///
/// Where the incumbent's earlier scores take few values, or have never differed, the e-value is that of the pairs' signs
/// alone, which needs no standard deviation (a test martingale: Shafer and others, Statistical Science 26, 2011). A
/// candidate that wins every pair then needs about `log2(2/a)` of them, and gets as many.
///
/// It is slower to keep than [`NoiseAware`](super::NoiseAware); what it keeps can be trusted.
///
/// ```
/// use autoresearch_core::{Sequential, SequentialSettings};
/// use autoresearch_core::{Arm, Direction, Evidence, Ratchet, Verdict};
/// let mut evidence = Evidence::new(Arm::of([1.00, 1.0213, 0.9807, 1.0102]), Arm::of([1.05]), Direction::Minimise, 0);
/// evidence.noise.pool(&[1.00, 1.0213, 0.9807, 1.0102]);
/// assert!(matches!(Sequential::default().judge(&evidence), Verdict::Discard(_)));
/// let mut endless = SequentialSettings::default();
/// endless.pairs = 0;
/// assert!(Sequential::new(endless).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sequential(SequentialSettings);

/// The settings of [`Sequential`]. Each has a default that suits most searches.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SequentialSettings {
    /// Trials of the baseline, 2 to 1000. Default 5.
    pub baseline: usize,
    /// The gain of the first trial with which a candidate is tested, in standard deviations of one trial, 0 to 10. That trial
    /// is not used again. Default 1.
    pub screen: f64,
    /// The expected share of false keeps among all keeps, 0.000001 to 0.5. Default 0.10.
    pub alpha: f64,
    /// The smallest gain of interest, in standard deviations of one trial, 0.001 to 100. Default 1.
    pub tau: f64,
    /// The most pairs, 1 to 1000. Default 12. Scores of few values are given more where the level takes more.
    pub pairs: usize,
    /// Fresh trials of a kept candidate that the next ones are compared with, 0 to 1000. Default 3.
    pub audit: usize,
    /// The gain that each added line must bring, in the metric's unit, 0 or more; lines removed are credited. Default 0.
    pub line_price: f64,
}

impl Default for SequentialSettings {
    fn default() -> SequentialSettings {
        SequentialSettings { baseline: 5, screen: 1.0, alpha: 0.10, tau: 1.0, pairs: 12, audit: 3, line_price: 0.0 }
    }
}

impl Sequential {
    /// Makes a rule with these settings.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(settings: SequentialSettings) -> Result<Sequential, RuleError> {
        RuleError::count("baseline", settings.baseline, 2)?;
        RuleError::number("screen", settings.screen, 0.0, 10.0)?;
        RuleError::number("alpha", settings.alpha, 1e-6, 0.5)?;
        RuleError::number("tau", settings.tau, 1e-3, 100.0)?;
        RuleError::count("pairs", settings.pairs, 1)?;
        RuleError::count("audit", settings.audit, 0)?;
        RuleError::number("line_price", settings.line_price, 0.0, f64::MAX)?;
        Ok(Sequential(settings))
    }
}

impl Ratchet for Sequential {
    fn name(&self) -> &str {
        "sequential"
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        let trials = Trials::of(evidence);
        if trials.reference().is_empty() {
            return baseline(&trials.candidate, self.0.baseline);
        }
        let Some((first, fresh)) = trials.candidate.split_first() else {
            return Verdict::Discard("it was never measured".into());
        };
        // The noise of earlier experiments alone, so that it is the same after every pair.
        let (sigma, careful) = match (trials.sigma(&evidence.noise), upper(&evidence.noise)) {
            (Some(sigma), Some(careful)) => (sigma, careful),
            _ if trials.interleaved.len() < 2 => return Verdict::Measure(vec![Side::Incumbent; 2]),
            _ => {
                let noise = Noise::default().with(&trials.interleaved);
                (noise.sigma().unwrap_or_default(), upper(&noise).unwrap_or_default())
            }
        };
        let signs = sigma == 0.0 || careful == 0.0 || exact::takes_few_values(&[&trials.earlier]);
        let price = self.0.line_price * evidence.added_lines as f64;
        let price = if sigma == 0.0 { price.max(0.0) } else { price };
        let seen = gain(evidence, &trials.earlier_or_all(), &[*first]).unwrap_or_default();
        let simpler = sigma == 0.0 && seen == 0.0 && evidence.added_lines < 0;
        if seen - price <= self.0.screen * sigma && !simpler {
            return Verdict::Discard(match (sigma == 0.0, seen == 0.0) {
                (true, true) => "equal, and no simpler".into(),
                (true, false) => in_sigma(seen, sigma),
                (false, _) => format!("{}; it is tested from {} sigma on", in_sigma(seen, sigma), self.0.screen),
            });
        }

        let level = self.level(evidence);
        let needed = 1.0 / level;
        let most = if signs { self.0.pairs.max(exact::fewest_pairs(needed) + 2) } else { self.0.pairs };
        let (variance, tau) = (2.0 * careful * careful, self.0.tau * sigma);
        let pairs = fresh.len().min(trials.interleaved.len()).min(most);
        let (mut sum, mut wins, mut losses) = (0.0, 0, 0);
        for pair in 0..pairs {
            let by = gain(evidence, &trials.interleaved[pair..=pair], &fresh[pair..=pair]).unwrap_or_default() - price;
            sum += by;
            wins += usize::from(by > 0.0);
            losses += usize::from(by < 0.0);
            let count = (pair + 1) as f64;
            let found = in_sigma(sum / count + price, sigma);
            let value = if signs { exact::sign_e_value(wins, losses) } else { e_value(count, sum, variance, tau) };
            if simpler && by == 0.0 && losses + wins == 0 {
                match pair + 1 < SAME {
                    true => continue,
                    false => {
                        let lines = -evidence.added_lines;
                        return Verdict::Keep(format!("equal over {SAME} pairs, with {lines} lines less"));
                    }
                }
            }
            if value >= needed {
                let audited = fresh.len() - (pair + 1);
                if audited < self.0.audit {
                    return Verdict::Measure(vec![Side::Candidate; self.0.audit - audited]);
                }
                let why = format!("{found} over {} pairs (e-value {value:.0}, needs {needed:.0})", pair + 1);
                return Verdict::Keep(why);
            }
            // The gain is gone, or a steady one of this size would need more pairs than are left.
            let at_best = match signs {
                true => exact::sign_e_value(wins + most - (pair + 1), losses),
                false => e_value(most as f64, sum / count * most as f64, variance, tau),
            };
            let hopeless = pair > 0 && (sum <= NOTHING * sigma || at_best < needed);
            if hopeless || simpler || pair + 1 == most {
                let why =
                    format!("{found} over {} pairs, not enough (e-value {value:.1}, needs {needed:.0})", pair + 1);
                return Verdict::Discard(why);
            }
        }
        Verdict::Measure(match (fresh.len() > pairs, trials.interleaved.len() > pairs) {
            (true, false) => vec![Side::Incumbent],
            (false, true) => vec![Side::Candidate],
            // In turns, so that a steady drift falls on both alike.
            _ if pairs % 2 == 0 => vec![Side::Incumbent, Side::Candidate],
            _ => vec![Side::Candidate, Side::Incumbent],
        })
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        fresh_reference(evidence, self.0.audit, self.0.baseline)
    }

    fn alpha(&self, evidence: &Evidence) -> Option<f64> {
        (evidence.candidate.measurements.len() > 1).then(|| self.level(evidence))
    }

    fn fresh_seeds(&self) -> bool {
        true
    }

    fn may_need(&self) -> usize {
        self.0.baseline.max(2 * (1 + self.0.pairs) + self.0.audit)
    }
}

/// Equal pairs with which exact scores show that less code is as good.
const SAME: usize = 2;

impl Sequential {
    /// e-LOND: the level of the next test after `tested` tests and `kept` discoveries.
    fn level(&self, evidence: &Evidence) -> f64 {
        (self.0.alpha * share(evidence.tested + 1) * (evidence.kept as f64 + 1.0)).min(1.0)
    }
}

/// The share of `alpha` that the test number `t`, from 1, may spend; all of them together spend 1. The sequence of Javanmard
/// and Montanari (Online rules for control of false discovery rate and false discovery exceedance, 2018).
fn share(t: usize) -> f64 {
    let t = t as f64;
    0.07720838 * t.max(2.0).ln() / (t * t.ln().sqrt().exp())
}

/// The e-value of `count` differences with this sum, against a gain of zero or less. See [`Sequential`].
fn e_value(count: f64, sum: f64, variance: f64, tau: f64) -> f64 {
    let spread = variance + count * tau * tau;
    let z = sum * tau / (variance * spread).sqrt();
    let scale = 2.0 * (variance / spread).sqrt();
    if z < FAR {
        // The product's limit: by itself one factor overflows, and the other one vanishes.
        return scale / (-z * std::f64::consts::TAU.sqrt());
    }
    let Ok(normal) = Normal::new(0.0, 1.0) else { return 0.0 };
    scale * (z * z / 2.0).exp() * normal.cdf(z)
}

/// Loss, in standard errors, beyond which an e-value is computed by its limit.
const FAR: f64 = -20.0;

/// An upper bound of the standard deviation that holds with a probability of 80 %: little known noise counts for more.
fn upper(noise: &Noise) -> Option<f64> {
    let degrees = f64::from(noise.degrees());
    let low = ChiSquared::new(degrees).ok()?.inverse_cdf(0.2);
    Some(noise.sigma()? * (degrees / low).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut SequentialSettings);

    #[test]
    fn a_great_loss_has_a_small_e_value() {
        let values: Vec<f64> = [0.0, -5.0, -19.9, -20.1, -100.0, -1e9].map(|sum| e_value(1.0, sum, 1.0, 1e3)).to_vec();
        assert!(
            values.is_sorted_by(|more, fewer| more > fewer) && values.iter().all(|value| *value < 1.0),
            "{values:?}"
        );
        assert!((e_value(1.0, -19.99, 1.0, 1e3) / e_value(1.0, -20.01, 1.0, 1e3) - 1.0).abs() < 0.01);
    }

    #[test]
    fn settings_with_which_it_would_measure_for_ever_are_errors() {
        let with = |change: fn(&mut SequentialSettings)| {
            let mut settings = SequentialSettings::default();
            change(&mut settings);
            Sequential::new(settings).map_err(|error| error.to_string())
        };
        let wrong: [(Change, &str); 5] = [
            (|settings| settings.pairs = 0, "pairs is 0"),
            (|settings| settings.alpha = f64::NAN, "alpha is NaN"),
            (|settings| settings.tau = 0.0, "tau is 0"),
            (|settings| settings.baseline = 0, "baseline is 0"),
            (|settings| settings.line_price = -1.0, "line_price is -1"),
        ];
        for (change, text) in wrong {
            let error = with(change).unwrap_err();
            assert!(error.starts_with(text) && error.contains("; give a"), "{error}");
        }
    }
}
