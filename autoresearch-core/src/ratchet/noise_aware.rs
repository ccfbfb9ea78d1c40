//! The decision under noise: a screen that is never used again, fresh trials that decide, fresh trials that remain.

use super::trials::{NOTHING, Trials, baseline, fresh_reference, gain, in_sigma};
use super::{Evidence, Ratchet, RuleError, Side, Verdict, exact};
use crate::metric::significant;

mod settings;

pub use settings::NoiseAwareSettings;

/// Keeps a candidate only if fresh trials show a gain that the noise of the trials does not explain.
///
/// 1. The baseline is measured several times: that is the first estimate of the noise.
/// 2. Screen: one trial. A candidate that is not better than the incumbent by `screen` standard deviations is discarded. This
///    trial chose the candidate, so it is too good on average and is never used again.
/// 3. Confirm: fresh trials, in turns with fresh trials of the incumbent; given up as soon as the gain is gone. The candidate
///    is kept if `(gain - price) / (sigma * sqrt(1/k + 1/n))` exceeds the quantile of Student's t for `alpha`.
/// 4. Audit: fresh trials again. Only these are what the next candidates are compared with, since those of step 3 chose it.
///
/// Scores of few values (pass rates, accuracies, counts) are recognised by their common step and confirmed by an exact test
/// beside Student's: the rank-sum test over all assignments of the scores to the two sides (the sign test, where only
/// pairs are compared), with as many fresh trials as the level takes. So are scores that have never differed: that there
/// is no noise is a hypothesis, which any later difference refutes, and a candidate is never kept on one trial.
///
/// Where the end of the run is known, the level falls from `alpha` towards 0.05 as more candidates will be tested, and
/// candidates that are better only by a little are confirmed by more trials.
///
/// Sources: Student, *The probable error of a mean*, Biometrika 6, 1908; the exact tests: Lehmann, *Nonparametrics*, 1975,
/// and Dixon and Mood, *The statistical sign test*, 1946. Simulated in docs/noise.md.
///
/// ```
/// use autoresearch_core::{Evidence, NoiseAware, Side};
/// use autoresearch_core::{Arm, Direction, Ratchet, Verdict};
/// let incumbent = Arm::of([1.00, 1.0213, 0.9807, 1.0102, 0.9891]);
/// let mut evidence = Evidence::new(incumbent, Arm::of([0.97]), Direction::Minimise, 0);
/// evidence.noise.pool(&[1.00, 1.0213, 0.9807, 1.0102, 0.9891]);
/// let rule = NoiseAware::default();
/// // 1.9 standard deviations better: worth fresh trials, and no more than that.
/// assert_eq!(rule.judge(&evidence), Verdict::Measure(vec![Side::Candidate, Side::Incumbent, Side::Candidate]));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NoiseAware(NoiseAwareSettings);

/// Gain of the first trial, in standard deviations, from which on the fewest fresh trials are enough.
const PLAIN: f64 = 3.0;
/// About this share of changes without effect passes the screen.
const PASS: f64 = 0.2;
/// Earlier trials of the incumbent that a plan of fresh trials counts at most. Health checks in between add to them, and the plan
/// must not depend on an interruption.
const SURE: usize = 3;
/// Number of false keeps from which the level starts, where none is promised.
const FALSE_KEEPS: f64 = 0.5;
/// Least level where no number of false keeps is promised. A lower one asks for a gain that most searches never see.
const LEAST_ALPHA: f64 = 0.05;

impl NoiseAware {
    /// Makes a rule with these settings.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(settings: NoiseAwareSettings) -> Result<NoiseAware, RuleError> {
        settings.check()?;
        Ok(NoiseAware(settings))
    }
}

impl Ratchet for NoiseAware {
    fn name(&self) -> &str {
        "noise-aware"
    }

    fn judge(&self, evidence: &Evidence) -> Verdict {
        let mut trials = Trials::of(evidence);
        if trials.reference().is_empty() {
            return baseline(&trials.candidate, self.0.baseline);
        }
        let Some((&first, fresh)) = trials.candidate.split_first() else {
            return Verdict::Discard("it was never measured".into());
        };
        let fresh = fresh.to_vec();
        if self.0.paired {
            // The first trial is compared with one beside it, too.
            if trials.interleaved.is_empty() {
                return Verdict::Measure(vec![Side::Incumbent]);
            }
            trials.earlier = vec![trials.interleaved.remove(0)];
        }
        let Some(so_far) = evidence.noise.with(&trials.interleaved).sigma() else {
            // No code was ever measured twice.
            return Verdict::Measure(vec![Side::Incumbent; 2 - trials.interleaved.len().min(1)]);
        };
        // The screen does not depend on trials after the first one.
        let sigma = trials.sigma(&evidence.noise).unwrap_or(so_far);
        let price = self.price(evidence, sigma);
        let Some(seen) = gain(evidence, &trials.earlier_or_all(), &[first]) else {
            return Verdict::Discard("it was never measured".into());
        };
        let tie = sigma == 0.0 && seen == 0.0;
        if seen - price <= self.0.screen * sigma && !(tie && evidence.added_lines < 0) {
            return Verdict::Discard(match tie {
                true => "equal, and no simpler".into(),
                false if sigma == 0.0 && seen > 0.0 => {
                    format!("{}, less than its lines must bring", in_sigma(seen, sigma))
                }
                false if sigma == 0.0 => in_sigma(seen, sigma),
                false => format!("{}; fresh trials begin at {} sigma", in_sigma(seen, sigma), self.0.screen),
            });
        }
        self.confirm(evidence, &trials, &fresh, Screened { price, sigma, tie, seen: (seen - price) / sigma })
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

    fn pairs_first_trials(&self) -> bool {
        self.0.paired
    }

    fn may_need(&self) -> usize {
        let confirming = self.0.confirm.max(self.0.confirm_at_most).max(exact::MOST_FRESH);
        self.0.baseline.max(2 * (1 + confirming) + self.0.audit)
    }
}

/// The findings of the screen.
struct Screened {
    /// The gain that the candidate's lines must bring.
    price: f64,
    /// The standard deviation of one trial, as it was known before.
    sigma: f64,
    /// The first trial equals the incumbent's, where no two trials of one code have differed.
    tie: bool,
    /// The gain of the first trial beyond the price, in sigma.
    seen: f64,
}

impl NoiseAware {
    /// The gain that the candidate's lines must bring. Where scores are exact, removed lines are no credit for a loss.
    fn price(&self, evidence: &Evidence, sigma: f64) -> f64 {
        let price = self.0.line_price * evidence.added_lines as f64;
        if sigma == 0.0 { price.max(0.0) } else { price }
    }

    /// Judges by the fresh trials of a candidate that passed the screen, or asks for more of them.
    fn confirm(&self, evidence: &Evidence, trials: &Trials, fresh: &[f64], screened: Screened) -> Verdict {
        let Screened { price, sigma, tie, seen } = screened;
        let shift = evidence.shift().filter(|_| !self.0.paired);
        let alone = self.0.paired || shift.is_some();
        let earlier = if alone { 0 } else { trials.earlier.len().min(SURE) };
        // One fresh trial of the incumbent fewer than of the candidate, where its earlier ones count too.
        let partners = |fresh: usize| if alone { fresh } else { (fresh - 1).max(1) };
        let few_values = exact::takes_few_values(&[&trials.reference(), &trials.candidate]);
        let level = self.level(evidence);
        let wanted = match (self.confirmations(evidence, seen), few_values) {
            (wanted, false) => wanted,
            (least, true) => exact::fewest(least, level, self.0.paired, |fresh| earlier + partners(fresh)),
        };

        let confirmation = &fresh[..fresh.len().min(wanted)];
        // A run that was interrupted within a turn decides as if it had not been.
        let rest = self.rest_of_turn(fresh.len(), trials.interleaved.len(), wanted);
        if !rest.is_empty() {
            return Verdict::Measure(rest);
        }
        let reference = if alone { trials.interleaved.clone() } else { trials.reference() };
        let compared = if reference.is_empty() { &trials.earlier } else { &reference };
        if let Some(so_far) = gain(evidence, compared, confirmation)
            && so_far - price <= NOTHING * sigma
            && !(tie && so_far == 0.0)
        {
            return Verdict::Discard(format!("better at first, {} when measured again", in_sigma(so_far, sigma)));
        }
        if confirmation.len() < wanted {
            return Verdict::Measure(self.turn(confirmation.len()));
        }
        if trials.interleaved.len() < partners(wanted) {
            return Verdict::Measure(vec![Side::Incumbent; partners(wanted) - trials.interleaved.len()]);
        }
        let noise = evidence.noise.with(confirmation).with(&trials.interleaved);
        let (Some(gain), Some(error)) =
            (gain(evidence, &reference, confirmation), noise.error_of_difference(wanted, reference.len()))
        else {
            return Verdict::Discard("it could not be compared".into());
        };
        let shifted = shift.map_or(String::new(), |by| format!("; the machine has shifted by {}", significant(by)));
        let found = format!("{} over {wanted} fresh trials", in_sigma(gain, noise.sigma().unwrap_or(sigma)));
        let audited = fresh.len() - wanted;
        let audit = Verdict::Measure(vec![Side::Candidate; self.0.audit.saturating_sub(audited)]);

        let (t, needed) = ((gain - price) / error, noise.quantile(level));
        if few_values || error == 0.0 {
            let never_differed = noise.sigma() == Some(0.0) && sigma == 0.0;
            if tie && gain == 0.0 {
                let lines = -evidence.added_lines;
                return match never_differed {
                    true => Verdict::Keep(format!("equal in {} trials, with {lines} lines less", 1 + wanted)),
                    false => Verdict::Discard("equal, and its trials differ from each other: luck explains it".into()),
                };
            }
            let chance = self.chance(evidence, &reference, confirmation, price);
            let test = format!("luck explains that with a probability of {chance:.3}");
            // A spread that is known, too, must not explain it: where scores are of several values that test sees more.
            return match chance <= level && gain > price && (error == 0.0 || t > needed) {
                false => Verdict::Discard(format!(
                    "{found}, within the noise: {test} (t {t:.1}, needs {needed:.1}){shifted}"
                )),
                // Without noise there is no luck that the candidate was chosen for.
                true if audited < self.0.audit && !never_differed => audit,
                true => Verdict::Keep(format!("{found} ({test}, at most {level:.3}){shifted}")),
            };
        }
        if evidence.noise.event(confirmation) || evidence.noise.event(&trials.interleaved) {
            let why = "its trials, or those of the incumbent beside it, are further apart than the noise explains: something \
                       happened to the machine, or the candidate is unstable";
            return Verdict::Discard(why.into());
        }
        match t > needed {
            false => Verdict::Discard(format!("{found}, within the noise (t {t:.1}, needs {needed:.1}){shifted}")),
            true if audited < self.0.audit => audit,
            true => Verdict::Keep(format!("{found} (t {t:.1}, needs {needed:.1}){shifted}")),
        }
    }

    /// Computes the probability that luck alone makes fresh trials rank as high, by an exact test.
    fn chance(&self, evidence: &Evidence, reference: &[f64], confirmation: &[f64], price: f64) -> f64 {
        let sign = evidence.direction.sign();
        let before: Vec<f64> = reference.iter().map(|score| sign * score).collect();
        let after: Vec<f64> = confirmation.iter().map(|score| sign * score - price).collect();
        match self.0.paired {
            true => {
                exact::sign_test(&before.iter().zip(&after).map(|(before, after)| after - before).collect::<Vec<_>>())
            }
            false => exact::rank_sum(&before, &after),
        }
    }

    fn confirmations(&self, evidence: &Evidence, seen: f64) -> usize {
        let plain = seen >= PLAIN || evidence.remaining.is_none();
        if plain { self.0.confirm } else { self.0.confirm_at_most }
    }

    /// Computes the level of the test: the whole run's false keeps, shared among the candidates that are confirmed.
    fn level(&self, evidence: &Evidence) -> f64 {
        let Some(remaining) = evidence.remaining else { return self.0.alpha };
        let confirmed = evidence.tested as f64 + PASS * remaining.max(0.0) + 1.0;
        match self.0.false_keeps {
            Some(promised) => (promised / confirmed).min(self.0.alpha),
            None => (FALSE_KEEPS / confirmed).max(LEAST_ALPHA).min(self.0.alpha),
        }
    }

    /// Plans what is missing of a turn that has begun, after so many fresh trials of the candidate and of the incumbent beside it.
    fn rest_of_turn(&self, fresh: usize, interleaved: usize, wanted: usize) -> Vec<Side> {
        let confirming = fresh.min(wanted);
        let (candidates, incumbents) = match (self.0.paired, fresh, interleaved) {
            (true, ..) => (interleaved.min(wanted), confirming),
            // The trials that tell how much noise there is come before the first turn.
            (false, 0, 0 | 2..) => (0, 0),
            (false, ..) => ((interleaved + 1).min(wanted).max(2), confirming.saturating_sub(1).max(1)),
        };
        let missing = |side, all: usize, done: usize| vec![side; all.saturating_sub(done)];
        [missing(Side::Incumbent, incumbents, interleaved), missing(Side::Candidate, candidates, fresh)].concat()
    }

    /// Plans the trials to run next, after the fresh ones of the candidate so far.
    fn turn(&self, done: usize) -> Vec<Side> {
        match (self.0.paired, done % 2) {
            (true, 0) => vec![Side::Incumbent, Side::Candidate],
            // In the opposite order, so that a steady drift falls on both alike.
            (true, _) => vec![Side::Candidate, Side::Incumbent],
            (false, _) if done == 0 => vec![Side::Candidate, Side::Incumbent, Side::Candidate],
            (false, _) => vec![Side::Incumbent, Side::Candidate],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Direction;
    use crate::ratchet::Arm;

    type Change = fn(&mut NoiseAwareSettings);

    /// Evidence in the middle of an experiment whose incumbent was measured before, and whose noise is known from that.
    fn evidence(earlier: &[f64], interleaved: &[f64], candidate: &[f64]) -> Evidence {
        let incumbent = Arm::of([earlier, interleaved].concat());
        let mut evidence = Evidence::new(incumbent, Arm::of(candidate.iter().copied()), Direction::Maximise, 0);
        evidence.interleaved = interleaved.len();
        evidence.noise.pool(earlier);
        evidence
    }

    #[test]
    fn three_equal_trials_of_the_baseline_do_not_switch_the_noise_off() {
        let rule = NoiseAware::default();
        let equal = [0.90, 0.90, 0.90];
        // One better trial is no keep: it is confirmed, beside the incumbent.
        assert!(matches!(rule.judge(&evidence(&equal, &[], &[0.91])), Verdict::Measure(_)));
        // A trial of the incumbent that differs refutes that there is no noise.
        let lucky = rule.judge(&evidence(&equal, &[0.92], &[0.91, 0.91, 0.91]));
        assert!(matches!(&lucky, Verdict::Discard(why) if why.contains("luck") || why.contains("again")), "{lucky:?}");
        // As long as nothing differs, four trials of one and two fresh ones of the other are enough: 1 of 15.
        let exact = rule.judge(&evidence(&equal, &[0.90], &[0.91, 0.91, 0.91]));
        assert!(matches!(&exact, Verdict::Keep(why) if why.contains("0.067")), "{exact:?}");
    }

    #[test]
    fn mostly_equal_scores_are_not_taken_for_little_noise() {
        // Student's t would see 2.7 standard errors here.
        let earlier = [0.90, 0.90, 0.91, 0.90, 0.90];
        let verdict = NoiseAware::default().judge(&evidence(&earlier, &[0.91], &[0.92, 0.91, 0.91]));
        assert!(matches!(&verdict, Verdict::Discard(why) if why.contains("luck explains that")), "{verdict:?}");
    }

    #[test]
    fn equal_exact_scores_with_less_code_are_kept_once_more_trials_agree() {
        let rule = NoiseAware::default();
        let simpler = |interleaved: &[f64], candidate: &[f64]| {
            let mut evidence = evidence(&[7.0; 3], interleaved, candidate);
            evidence.added_lines = -4;
            rule.judge(&evidence)
        };
        assert!(matches!(simpler(&[], &[7.0]), Verdict::Measure(_)));
        assert!(matches!(simpler(&[7.0], &[7.0; 3]), Verdict::Keep(why) if why.contains("4 lines less")));
        assert!(matches!(simpler(&[7.0], &[7.0, 7.0, 6.9]), Verdict::Discard(_)));
        assert!(matches!(rule.judge(&evidence(&[7.0; 3], &[], &[7.0])), Verdict::Discard(_)), "no simpler");
    }

    #[test]
    fn settings_out_of_range_are_errors_that_name_them() {
        let wrong: [(Change, &str); 6] = [
            (|settings| settings.alpha = 1.5, "alpha is 1.5; give a number from 0.000001 to 0.5"),
            (|settings| settings.alpha = f64::NAN, "alpha is NaN; give a number from 0.000001 to 0.5"),
            (|settings| settings.screen = -1.0, "screen is -1; give a number from 0 to 10"),
            (|settings| settings.confirm_at_most = 1, "confirm_at_most is 1; give a whole number from 2 to 1000"),
            (|settings| settings.false_keeps = Some(0.0), "false_keeps is 0; give a number from 0.001 to 1000"),
            (|settings| settings.line_price = f64::INFINITY, "line_price is inf; give a finite number of at least 0"),
        ];
        for (change, text) in wrong {
            let mut settings = NoiseAwareSettings::default();
            change(&mut settings);
            assert_eq!(NoiseAware::new(settings).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_promised_number_of_false_keeps_has_no_floor() {
        let level = |false_keeps| {
            let mut evidence = evidence(&[1.0, 2.0], &[], &[3.0, 3.0]);
            evidence.remaining = Some(1000.0);
            let settings = NoiseAwareSettings { false_keeps, ..NoiseAwareSettings::default() };
            NoiseAware(settings).alpha(&evidence).unwrap()
        };
        assert_eq!(level(None), 0.05);
        assert!((level(Some(0.5)) - 0.5 / 201.0).abs() < 1e-12);
    }
}
