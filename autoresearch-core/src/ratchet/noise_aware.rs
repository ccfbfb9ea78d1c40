//! The decision under noise: a first look that is never used again, fresh runs that decide, fresh runs that remain.

use super::noise::mean;
use super::{Arm, Evidence, MinGain, Noise, Ratchet, Side, Verdict};

/// Keeps a candidate only if fresh runs show a gain that the noise of the runs does not explain.
///
/// 1. The baseline is measured several times: that is the first estimate of the noise.
/// 2. Screen: one run. What is not better than the incumbent by `screen` standard deviations is discarded. This run chose
///    the candidate, so it is too good on average and is never used again.
/// 3. Confirm: fresh runs, in turns with fresh runs of the incumbent; given up as soon as the gain is gone. The candidate is
///    kept if `(gain - price) / (sigma * sqrt(1/k + 1/n))` exceeds the quantile of Student's t for `alpha`.
/// 4. Audit: fresh runs again. Only these are what the next candidates are compared with, since those of step 3 chose it.
///
/// Runs that agree to the last bit have no noise: then scores are compared as they are.
///
/// Each field has a default that suits most searches. Where the end of the night is known, `alpha` is lowered so that about
/// `false_keeps` changes without effect are kept in all of it, and candidates that look only a little better are confirmed
/// by more runs.
///
/// ```
/// use autoresearch_core::ratchet::{Evidence, NoiseAware, Side};
/// use autoresearch_core::{Arm, Direction, Ratchet, Verdict};
/// let incumbent = Arm::of([1.00, 1.02, 0.98, 1.01, 0.99]);
/// let mut evidence = Evidence::new(incumbent, Arm::of([0.97]), Direction::Minimise, 0);
/// evidence.noise.pool(&[1.00, 1.02, 0.98, 1.01, 0.99]);
/// let rule = NoiseAware::default();
/// // 1.9 standard deviations better: worth a second look, and no more than that.
/// assert_eq!(rule.judge(&evidence), Verdict::Measure(vec![Side::Candidate, Side::Incumbent, Side::Candidate]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseAware {
    /// How often the baseline is measured.
    pub baseline: usize,
    /// How much better the first run must look to be confirmed, in standard deviations of one run.
    pub screen: f64,
    /// The fewest fresh runs that confirm a candidate.
    pub confirm: usize,
    /// The most, given to candidates that look only a little better, where the end of the night is known.
    pub confirm_at_most: usize,
    /// The greatest probability with which a change without effect that is confirmed may be kept.
    pub alpha: f64,
    /// How many changes without effect may be kept in a whole night, about, where its end is known.
    pub false_keeps: f64,
    /// How many fresh runs of a kept candidate the next ones are compared with.
    pub audit: usize,
    /// What each added line must bring, in the metric's unit; lines removed are credited.
    pub line_price: f64,
    /// Compare only runs made in turns, never earlier ones: for machines that drift all the time, as in timing.
    pub paired: bool,
}

impl Default for NoiseAware {
    fn default() -> NoiseAware {
        NoiseAware {
            baseline: 5,
            screen: 1.0,
            confirm: 2,
            confirm_at_most: 3,
            alpha: 0.10,
            false_keeps: 0.5,
            audit: 3,
            line_price: 0.0,
            paired: false,
        }
    }
}

/// A candidate that looks better by so many standard deviations needs no more than the fewest runs.
const PLAIN: f64 = 3.0;
/// About this share of changes without effect passes the screen.
const PASS: f64 = 0.2;
/// Below this a gain is asked for that most searches never see.
const LEAST_ALPHA: f64 = 0.05;

impl Ratchet for NoiseAware {
    fn name(&self) -> &str {
        "noise-aware"
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        let Evidence { noise, .. } = evidence;
        let mut runs = Runs::of(evidence);
        let price = self.line_price * evidence.added_lines as f64;
        if runs.reference().is_empty() {
            return baseline(&runs.candidate, self.baseline);
        }
        let Some((first, fresh)) = runs.candidate.split_first() else {
            return Verdict::Discard("it was never measured".into());
        };
        if self.paired {
            // The first run, too, is compared with one beside it.
            if runs.interleaved.is_empty() {
                return Verdict::Measure(vec![Side::Incumbent]);
            }
            runs.earlier = vec![runs.interleaved.remove(0)];
        }
        let Some(sigma) = noise.with(&runs.interleaved).sigma() else {
            // Nothing was ever measured twice.
            return Verdict::Measure(vec![Side::Incumbent; 2 - runs.interleaved.len().min(1)]);
        };
        if sigma == 0.0 && noise.with(fresh).sigma() == Some(0.0) {
            return MinGain(price.max(0.0)).judge(evidence);
        }
        // What is decided on the first run does not depend on runs that came after it.
        let sigma = noise.sigma().unwrap_or(sigma);
        let Some(seen) = gain(evidence, &runs.earlier_or_all(), &[*first]) else {
            return Verdict::Discard("it was never measured".into());
        };
        if seen - price <= self.screen * sigma {
            let short = format!("{}; a second look begins at {} sigma", in_sigma(seen, sigma), self.screen);
            return Verdict::Discard(short);
        }
        self.confirm(evidence, &runs, fresh, Screened { price, sigma, seen: (seen - price) / sigma })
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

/// What the screen found.
struct Screened {
    /// What the candidate's lines must bring.
    price: f64,
    /// The standard deviation of one run, as it was known before.
    sigma: f64,
    /// The gain at first sight beyond the price, in sigma.
    seen: f64,
}

impl NoiseAware {
    /// Judges by the fresh runs of a candidate that passed the screen, or asks for more of them.
    fn confirm(&self, evidence: &Evidence, runs: &Runs, fresh: &[f64], screened: Screened) -> Verdict {
        let Screened { price, sigma, seen } = screened;
        let wanted = self.confirmations(evidence, seen);
        let confirmation = &fresh[..fresh.len().min(wanted)];
        let shift = evidence.shift().filter(|_| !self.paired);
        let alone = self.paired || shift.is_some();
        let reference = if alone { runs.interleaved.clone() } else { runs.reference() };
        let compared = if reference.is_empty() { &runs.earlier } else { &reference };
        if let Some(so_far) = gain(evidence, compared, confirmation)
            && so_far - price <= NOTHING * sigma
        {
            return Verdict::Discard(format!("better at first sight, {} when measured again", in_sigma(so_far, sigma)));
        }
        if confirmation.len() < wanted {
            return Verdict::Measure(self.turn(confirmation.len()));
        }
        // One fresh run of the incumbent fewer than of the candidate, where its earlier ones count too.
        let partners = if alone { wanted } else { (wanted - 1).max(1) };
        if runs.interleaved.len() < partners {
            return Verdict::Measure(vec![Side::Incumbent; partners - runs.interleaved.len()]);
        }
        if evidence.noise.event(confirmation) || evidence.noise.event(&runs.interleaved) {
            let why = "its runs, or those of the incumbent beside it, are further apart than the noise explains: something \
                       happened to the machine, or the candidate is unstable";
            return Verdict::Discard(why.into());
        }

        let noise = evidence.noise.with(confirmation).with(&runs.interleaved);
        let (Some(gain), Some(error)) =
            (gain(evidence, &reference, confirmation), noise.error_of_difference(wanted, reference.len()))
        else {
            return Verdict::Discard("it could not be compared".into());
        };
        let (t, needed) = ((gain - price) / error, noise.quantile(self.level(evidence)));
        let found = format!("{} over {wanted} fresh runs", in_sigma(gain, noise.sigma().unwrap_or(sigma)));
        let shifted = shift.map_or(String::new(), |by| format!("; the machine has shifted by {by:+.6}"));
        if t <= needed {
            return Verdict::Discard(format!("{found}, within the noise (t {t:.1}, needs {needed:.1}){shifted}"));
        }
        let audited = fresh.len() - wanted;
        if audited < self.audit {
            return Verdict::Measure(vec![Side::Candidate; self.audit - audited]);
        }
        Verdict::Keep(format!("{found} (t {t:.1}, needs {needed:.1}){shifted}"))
    }

    fn confirmations(&self, evidence: &Evidence, seen: f64) -> usize {
        let plain = seen >= PLAIN || evidence.remaining.is_none();
        let most = self.confirm_at_most.max(self.confirm);
        if plain { self.confirm } else { most }.max(1)
    }

    /// The level of the test: the whole night's false keeps, shared among the candidates that are confirmed.
    fn level(&self, evidence: &Evidence) -> f64 {
        let Some(remaining) = evidence.remaining else { return self.alpha };
        let confirmed = evidence.tested as f64 + PASS * remaining + 1.0;
        (self.false_keeps / confirmed).max(LEAST_ALPHA).min(self.alpha)
    }

    /// What runs next, after so many fresh runs of the candidate.
    fn turn(&self, done: usize) -> Vec<Side> {
        match (self.paired, done % 2) {
            (true, 0) => vec![Side::Incumbent, Side::Candidate],
            // The other way round: a steady drift falls on both alike.
            (true, _) => vec![Side::Candidate, Side::Incumbent],
            (false, _) if done == 0 => vec![Side::Candidate, Side::Incumbent, Side::Candidate],
            (false, _) => vec![Side::Incumbent, Side::Candidate],
        }
    }
}

/// The scores of an experiment by their part in it.
pub(super) struct Runs {
    /// Of the incumbent, before this experiment.
    pub earlier: Vec<f64>,
    /// Of the incumbent, in turns with the candidate.
    pub interleaved: Vec<f64>,
    /// Of the candidate; the first is the screen's.
    pub candidate: Vec<f64>,
}

impl Runs {
    pub fn of(evidence: &Evidence) -> Runs {
        let scores = |arm: &Arm| -> Vec<f64> { arm.scores().map(|score| score.get()).collect() };
        let mut earlier = scores(&evidence.incumbent);
        let interleaved = earlier.split_off(earlier.len().saturating_sub(evidence.interleaved));
        Runs { earlier, interleaved, candidate: scores(&evidence.candidate) }
    }

    pub fn reference(&self) -> Vec<f64> {
        [&self.earlier[..], &self.interleaved].concat()
    }

    /// The earlier ones, if there are any.
    pub fn earlier_or_all(&self) -> Vec<f64> {
        if self.earlier.is_empty() { self.interleaved.clone() } else { self.earlier.clone() }
    }
}

/// How many of a kept candidate's measurements did not choose it: those of the audit; without one, all but the screen's. Of the
/// baseline, the latest that were asked for.
pub(super) fn fresh_reference(evidence: &Evidence, audit: usize, baseline: usize) -> usize {
    let measured = evidence.candidate.measurements.len();
    match (evidence.incumbent.measurements.is_empty(), audit) {
        (true, _) => measured.min(baseline),
        (false, 0) => measured.saturating_sub(1).max(1),
        (false, audit) => audit.min(measured),
    }
}

/// By how much the mean of the candidate's scores is better.
pub(super) fn gain(evidence: &Evidence, incumbent: &[f64], candidate: &[f64]) -> Option<f64> {
    let by = mean(candidate)? - mean(incumbent)?;
    Some(match evidence.direction {
        crate::metric::Direction::Minimise => -by,
        crate::metric::Direction::Maximise => by,
    })
}

/// `better by 0.0012 = 3.1 sigma`.
pub(super) fn in_sigma(gain: f64, sigma: f64) -> String {
    let way = if gain > 0.0 { "better" } else { "worse" };
    match gain {
        gain if gain.abs() <= NOTHING * sigma => "equal".into(),
        _ => format!("{way} by {:.6} = {:.1} sigma", gain.abs(), gain.abs() / sigma),
    }
}

/// A gain of so many standard deviations is what rounding leaves of none: the decision is not to depend on the metric's zero.
pub(super) const NOTHING: f64 = 1e-9;
/// So many runs that agree to the last bit show that there is no noise.
const EXACT: usize = 3;

/// A baseline with a run unlike the others is measured on, up to so many times its runs.
const PATIENCE: usize = 3;
/// So probable it is to take one of the baseline's runs for an odd one that is not.
const ODD: f64 = 0.001;

/// Measures the baseline until its noise is known from runs of one kind. Only the latest `wanted` ones count: a first run beside
/// some other program's, taken for noise, would hide every gain of the night.
pub(super) fn baseline(scores: &[f64], wanted: usize) -> Verdict {
    let latest = &scores[scores.len().saturating_sub(wanted)..];
    let noise = Noise::default().with(latest);
    let sigma = noise.sigma().unwrap_or_default();
    let enough = if sigma == 0.0 { wanted.min(EXACT) } else { wanted };
    let left_out = match scores.len() - latest.len() {
        0 => String::new(),
        count => format!("; {count} before them were not like the others"),
    };
    match enough.saturating_sub(latest.len()) {
        0 if odd(latest) && scores.len() < PATIENCE * wanted => Verdict::Measure(vec![Side::Candidate]),
        0 if noise.degrees() == 0 => Verdict::Keep("the baseline".into()),
        0 if sigma == 0.0 => Verdict::Keep(format!("the baseline; {} runs agree to the last bit", latest.len())),
        0 => Verdict::Keep(format!("the baseline; sigma is {sigma:.6} over {} runs{left_out}", latest.len())),
        more => Verdict::Measure(vec![Side::Candidate; more]),
    }
}

/// Whether one of the scores is further from the others than luck explains.
fn odd(scores: &[f64]) -> bool {
    (0..scores.len()).any(|at| {
        let others: Vec<f64> = scores.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, x)| *x).collect();
        let noise = Noise::default().with(&others);
        let (Some(center), Some(error)) = (mean(&others), noise.error_of_difference(1, others.len())) else {
            return false;
        };
        // Two others say too little of what is usual, and equal ones nothing: the scores are of a few values only.
        let alpha = ODD / (2.0 * scores.len() as f64);
        others.len() > 2 && error > 0.0 && (scores[at] - center).abs() > error * noise.quantile(alpha)
    })
}
