//! The decision: faster by a share of the incumbent's time, and faster again when both are measured anew.

use autoresearch_core::{Arm, Direction, Evidence, Ratchet, Side, Verdict};

/// Keeps a candidate whose slowest measurement beats the incumbent's fastest by this share of it, twice.
///
/// A share, because two per cent of the baseline's time may be ten of the best one's; twice, because of many candidates some
/// are lucky once.
pub struct Clearly(pub f64);

impl Ratchet for Clearly {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        // The same rule for a speed, where more is better.
        let sign = if evidence.direction == Direction::Minimise { 1.0 } else { -1.0 };
        let scores = |arm: &Arm| arm.scores().map(|score| sign * score.get()).collect::<Vec<_>>();
        let (candidate, incumbent) = (scores(&evidence.candidate), scores(&evidence.incumbent));
        let best = incumbent.iter().copied().fold(f64::INFINITY, f64::min);
        let worst = candidate.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (gain, per_cent) = (best - worst, 100.0 * (best - worst).abs() / best.abs());
        match candidate.len() {
            0 => Verdict::Discard("it was never measured".into()),
            _ if incumbent.is_empty() => Verdict::Keep("there was nothing to beat".into()),
            _ if gain < 0.0 => Verdict::Discard(format!("slower by {per_cent:.1} %")),
            _ if gain <= self.0 * best.abs() => Verdict::Discard(format!("faster by only {per_cent:.1} %")),
            1 => Verdict::Measure(vec![Side::Incumbent, Side::Candidate]),
            _ => Verdict::Keep(format!("faster by {per_cent:.1} %, also when measured again")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoresearch_core::testkit::ratchet::check_ratchet;

    fn judge(incumbent: &[f64], candidate: &[f64]) -> Verdict {
        let arm = |scores: &[f64]| Arm::of(scores.iter().copied());
        Clearly(0.02).judge(&Evidence::new(arm(incumbent), arm(candidate), Direction::Minimise, 0))
    }

    #[test]
    fn it_has_the_properties_of_a_rule_of_acceptance() {
        check_ratchet(|| Clearly(0.02));
    }

    #[test]
    fn a_candidate_that_is_faster_once_is_measured_again_before_it_is_kept() {
        assert_eq!(judge(&[100.0], &[97.0]), Verdict::Measure(vec![Side::Incumbent, Side::Candidate]));
        assert!(matches!(judge(&[100.0, 101.0], &[97.0, 96.0]), Verdict::Keep(_)));
        assert!(matches!(judge(&[100.0, 98.0], &[97.0, 96.0]), Verdict::Discard(_)));
        assert!(matches!(judge(&[100.0, 101.0], &[97.0, 99.0]), Verdict::Discard(_)));
    }

    #[test]
    fn a_candidate_that_is_not_clearly_faster_is_not_kept() {
        assert!(matches!(judge(&[100.0], &[98.5]), Verdict::Discard(_)));
        assert!(matches!(judge(&[100.0], &[]), Verdict::Discard(_)));
    }
}
