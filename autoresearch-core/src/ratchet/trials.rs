//! The common ground of the rules that know the noise: the scores of an experiment by their part in it, and the first estimate
//! of the noise.

use super::noise::mean;
use super::{Evidence, Noise, Side, Verdict};
use crate::metric::significant;

/// The scores of an experiment by their part in it, oldest first.
pub(super) struct Trials {
    /// Scores of the incumbent before this experiment.
    pub earlier: Vec<f64>,
    /// Scores of the incumbent in turns with the candidate.
    pub interleaved: Vec<f64>,
    /// Scores of the candidate; the first is the screen's.
    pub candidate: Vec<f64>,
}

impl Trials {
    pub fn of(evidence: &Evidence) -> Trials {
        let mut earlier: Vec<f64> = evidence.incumbent.scores().map(|score| score.get()).collect();
        let interleaved = earlier.split_off(earlier.len().saturating_sub(evidence.interleaved));
        Trials { earlier, interleaved, candidate: evidence.candidate.scores().map(|score| score.get()).collect() }
    }

    /// Returns all scores of the incumbent.
    pub fn reference(&self) -> Vec<f64> {
        [&self.earlier[..], &self.interleaved].concat()
    }

    /// Returns the incumbent's earlier scores, or the interleaved ones where there are no earlier ones.
    pub fn earlier_or_all(&self) -> Vec<f64> {
        if self.earlier.is_empty() { self.interleaved.clone() } else { self.earlier.clone() }
    }

    /// Returns the standard deviation of one trial as it was known when the experiment began.
    ///
    /// It is 0 as long as no two trials of one code have differed. That is a hypothesis, which any difference among the
    /// incumbent's own earlier trials refutes, such as those of health checks.
    pub fn sigma(&self, noise: &Noise) -> Option<f64> {
        match noise.sigma() {
            Some(0.0) => Noise::default().with(&self.earlier).sigma().or(Some(0.0)),
            known => known,
        }
    }
}

/// Counts the measurements of a kept candidate that did not choose it: those of the audit; without one, all but the screen's. Of
/// the baseline, the latest that were asked for.
pub(super) fn fresh_reference(evidence: &Evidence, audit: usize, baseline: usize) -> usize {
    let measured = evidence.candidate.measurements.len();
    match (evidence.incumbent.measurements.is_empty(), audit) {
        (true, _) => measured.min(baseline),
        (false, 0) => measured.saturating_sub(1).max(1),
        (false, audit) => audit.min(measured),
    }
}

/// Computes the gain of the candidate's mean score, in the metric's unit: positive is better.
pub(super) fn gain(evidence: &Evidence, incumbent: &[f64], candidate: &[f64]) -> Option<f64> {
    Some(evidence.direction.sign() * (mean(candidate)? - mean(incumbent)?))
}

/// Formats a gain as `better by 0.001200 = 3.1 sigma`.
pub(super) fn in_sigma(gain: f64, sigma: f64) -> String {
    let way = if gain > 0.0 { "better" } else { "worse" };
    let by = significant(gain.abs());
    match gain {
        gain if gain.abs() <= NOTHING * sigma => "equal".into(),
        _ if sigma == 0.0 => format!("{way} by {by}"),
        _ => format!("{way} by {by} = {:.1} sigma", gain.abs() / sigma),
    }
}

/// Gain, in standard deviations, below which it counts as rounding: the decision must not depend on the metric's zero.
pub(super) const NOTHING: f64 = 1e-9;
/// Equal trials after which the baseline is measured enough.
const EQUAL: usize = 3;
/// Limit of the trials of a baseline with an odd one among them, as a multiple of the usual number.
const PATIENCE: usize = 3;
/// Probability of taking a usual trial of the baseline for an odd one.
const ODD: f64 = 0.001;

/// Measures the baseline until its noise is known from trials of one kind. Only the latest `wanted` ones count: a first trial
/// beside another program would count as noise, and hide every gain of the run.
pub(super) fn baseline(scores: &[f64], wanted: usize) -> Verdict {
    let latest = &scores[scores.len().saturating_sub(wanted)..];
    let noise = Noise::default().with(latest);
    let sigma = noise.sigma().unwrap_or_default();
    let enough = if sigma == 0.0 { wanted.min(EQUAL) } else { wanted };
    let left_out = match scores.len() - latest.len() {
        0 => String::new(),
        count => format!("; {count} before them were not like the others"),
    };
    match enough.saturating_sub(latest.len()) {
        0 if odd(latest) && scores.len() < PATIENCE * wanted => Verdict::Measure(vec![Side::Candidate]),
        0 if noise.degrees() == 0 => Verdict::Keep("the baseline".into()),
        0 if sigma == 0.0 => {
            let count = latest.len();
            Verdict::Keep(format!(
                "the baseline; {count} trials agree to the last bit, which any later difference refutes"
            ))
        }
        0 => Verdict::Keep(format!(
            "the baseline; sigma is {} over {} trials{left_out}",
            significant(sigma),
            latest.len()
        )),
        more => Verdict::Measure(vec![Side::Candidate; more]),
    }
}

/// True if one of the scores is further from the others than luck explains.
fn odd(scores: &[f64]) -> bool {
    (0..scores.len()).any(|at| {
        let others: Vec<f64> = scores.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, x)| *x).collect();
        let noise = Noise::default().with(&others);
        let (Some(center), Some(error)) = (mean(&others), noise.error_of_difference(1, others.len())) else {
            return false;
        };
        // Two others are too few to show the usual spread, and equal ones show none: the scores take few values.
        let alpha = ODD / (2.0 * scores.len() as f64);
        others.len() > 2 && error > 0.0 && (scores[at] - center).abs() > error * noise.quantile(alpha)
    })
}
