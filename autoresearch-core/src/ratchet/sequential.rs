//! The decision for nights without a planned end: evidence that may be looked at after every pair.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use super::noise_aware::{NOTHING, Runs, baseline, fresh_reference, gain, in_sigma};
use super::{Evidence, MinGain, Noise, Ratchet, Side, Verdict};

/// Keeps a candidate when the e-value of its fresh pairs is large enough, whenever that happens.
///
/// Each pair is a run of the candidate and one of the incumbent, in turns. Against "no better than the price", the e-value of
/// `n` differences with the sum `s` and the variance `v` is that of a half-normal mixture of gains of about `tau`
/// (Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences, 2021):
/// `2 (1 + n tau^2/v)^(-1/2) exp(s^2 tau^2 / (2 v (v + n tau^2))) Phi(s tau / sqrt(v (v + n tau^2)))`.
/// By Ville's inequality it exceeds `1/a` with a probability of at most `a`, however often one looks. The levels `a` follow
/// e-LOND (Xu & Ramdas: Online multiple testing with e-values, 2024), which keeps the expected share of false keeps among all
/// keeps below `alpha`, in a night of any length.
///
/// It is slower to keep than [`NoiseAware`](super::NoiseAware); what it keeps can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequential {
    /// How often the baseline is measured.
    pub baseline: usize,
    /// How much better the first run must look to be tested, in standard deviations of one run. That run is not used again.
    pub screen: f64,
    /// The expected share of false keeps among all keeps.
    pub alpha: f64,
    /// The smallest gain of interest, in standard deviations of one run.
    pub tau: f64,
    /// So many pairs at most.
    pub pairs: usize,
    /// How many fresh runs of a kept candidate the next ones are compared with.
    pub audit: usize,
    /// What each added line must bring, in the metric's unit; lines removed are credited.
    pub line_price: f64,
}

impl Default for Sequential {
    fn default() -> Sequential {
        Sequential { baseline: 5, screen: 1.0, alpha: 0.10, tau: 1.0, pairs: 12, audit: 3, line_price: 0.0 }
    }
}

impl Ratchet for Sequential {
    fn name(&self) -> &str {
        "sequential"
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        let runs = Runs::of(evidence);
        let price = self.line_price * evidence.added_lines as f64;
        if runs.reference().is_empty() {
            return baseline(&runs.candidate, self.baseline);
        }
        let Some((first, fresh)) = runs.candidate.split_first() else {
            return Verdict::Discard("it was never measured".into());
        };
        // Known from earlier experiments only, so that every look sees the same.
        let (sigma, careful) = match (evidence.noise.sigma(), upper(&evidence.noise)) {
            (Some(sigma), Some(careful)) => (sigma, careful),
            _ if runs.interleaved.len() < 2 => return Verdict::Measure(vec![Side::Incumbent; 2]),
            _ => {
                let noise = Noise::default().with(&runs.interleaved);
                (noise.sigma().unwrap_or_default(), upper(&noise).unwrap_or_default())
            }
        };
        if sigma == 0.0 {
            return MinGain(price.max(0.0)).judge(evidence);
        }
        let seen = gain(evidence, &runs.earlier_or_all(), &[*first]).unwrap_or_default();
        if seen - price <= self.screen * sigma {
            let short = format!("{}; it is tested from {} sigma on", in_sigma(seen, sigma), self.screen);
            return Verdict::Discard(short);
        }

        let level = self.level(evidence);
        let (variance, tau) = (2.0 * careful * careful, self.tau * sigma);
        let pairs = fresh.len().min(runs.interleaved.len()).min(self.pairs);
        let mut sum = 0.0;
        for pair in 0..pairs {
            sum += gain(evidence, &runs.interleaved[pair..=pair], &fresh[pair..=pair]).unwrap_or_default() - price;
            let count = (pair + 1) as f64;
            let found = in_sigma(sum / count + price, sigma);
            let value = e_value(count, sum, variance, tau);
            if value >= 1.0 / level {
                let audited = fresh.len() - (pair + 1);
                if audited < self.audit {
                    return Verdict::Measure(vec![Side::Candidate; self.audit - audited]);
                }
                let why = format!("{found} over {} pairs (e-value {value:.0}, needs {:.0})", pair + 1, 1.0 / level);
                return Verdict::Keep(why);
            }
            // The gain is gone, or even a steady one of the size seen would need more pairs than there are.
            let hopeless = pair > 0
                && (sum <= NOTHING * sigma
                    || e_value(self.pairs as f64, sum / count * self.pairs as f64, variance, tau) < 1.0 / level);
            if hopeless || pair + 1 == self.pairs {
                let why = format!(
                    "{found} over {} pairs, not enough (e-value {value:.1}, needs {:.0})",
                    pair + 1,
                    1.0 / level
                );
                return Verdict::Discard(why);
            }
        }
        Verdict::Measure(match (fresh.len() > pairs, runs.interleaved.len() > pairs) {
            (true, false) => vec![Side::Incumbent],
            (false, true) => vec![Side::Candidate],
            // In turns, so that a steady drift falls on both alike.
            _ if pairs % 2 == 0 => vec![Side::Incumbent, Side::Candidate],
            _ => vec![Side::Candidate, Side::Incumbent],
        })
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        fresh_reference(evidence, self.audit, self.baseline)
    }

    fn alpha(&self, evidence: &Evidence) -> Option<f64> {
        (evidence.candidate.measurements.len() > 1).then(|| self.level(evidence))
    }

    fn fresh_seeds(&self) -> bool {
        true
    }
}

impl Sequential {
    /// e-LOND: the level of the next test after `tested` tests and `kept` discoveries.
    fn level(&self, evidence: &Evidence) -> f64 {
        self.alpha * share(evidence.tested + 1) * (evidence.kept as f64 + 1.0)
    }
}

/// What the test number `t`, from 1, may spend; all of them together spend 1. The sequence of Javanmard & Montanari (Online
/// rules for control of false discovery rate and false discovery exceedance, 2018).
fn share(t: usize) -> f64 {
    let t = t as f64;
    0.07720838 * t.max(2.0).ln() / (t * t.ln().sqrt().exp())
}

/// See [`Sequential`].
fn e_value(count: f64, sum: f64, variance: f64, tau: f64) -> f64 {
    let spread = variance + count * tau * tau;
    let Ok(normal) = Normal::new(0.0, 1.0) else { return 0.0 };
    2.0 * (variance / spread).sqrt()
        * (sum * sum * tau * tau / (2.0 * variance * spread)).exp()
        * normal.cdf(sum * tau / (variance * spread).sqrt())
}

/// An upper bound of the standard deviation that holds with a probability of 80 %: little known noise counts for more.
fn upper(noise: &Noise) -> Option<f64> {
    let degrees = f64::from(noise.degrees());
    let low = ChiSquared::new(degrees).ok()?.inverse_cdf(0.2);
    Some(noise.sigma()? * (degrees / low).sqrt())
}
