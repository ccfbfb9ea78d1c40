//! Measurements by machine: those from different machines are never compared.

use super::{Arm, Evidence, Side, Verdict};

/// Trials on different machines after which a candidate is discarded.
const TRIES: usize = 6;

/// Leaves in the evidence only the measurements from the machine of the candidate's latest trial. If none of the incumbent is
/// left, as after a run is resumed elsewhere, the verdict is to measure the incumbent there.
///
/// Measurements without a machine, as most metrics make them, compare with each other.
pub(crate) fn on_one_machine(evidence: &mut Evidence) -> Option<Verdict> {
    let all = evidence.incumbent.measurements.iter().chain(&evidence.candidate.measurements);
    let machine = evidence.candidate.measurements.last()?.machine.clone();
    if all.map(|measurement| &measurement.machine).all(|other| *other == machine) {
        return None;
    }
    let begun = !evidence.incumbent.measurements.is_empty();
    let earlier = evidence.incumbent.measurements.len().saturating_sub(evidence.interleaved);
    let mut fresh = Arm { measurements: evidence.incumbent.measurements.split_off(earlier) };
    let (trials, elsewhere) =
        (fresh.measurements.len() + evidence.candidate.measurements.len(), !fresh.measurements.is_empty());
    for arm in [&mut evidence.incumbent, &mut fresh, &mut evidence.candidate] {
        arm.measurements.retain(|measurement| measurement.machine == machine);
    }
    evidence.interleaved = fresh.measurements.len();
    evidence.incumbent.measurements.append(&mut fresh.measurements);
    if !begun || !evidence.incumbent.measurements.is_empty() {
        return None;
    }
    Some(match elsewhere {
        _ if trials >= TRIES => Verdict::Discard(
            "its trials and the incumbent's never were on the same machine, and their numbers do not compare; \
             run all of them on one kind of machine"
                .into(),
        ),
        // The run has moved once more since the candidate's trial.
        true => Verdict::Measure(vec![Side::Candidate]),
        false => Verdict::Measure(vec![Side::Incumbent]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::MachineId;
    use crate::metric::{Direction, Measurement, Score};

    fn arm(runs: &[(&str, f64)]) -> Arm {
        let measurement = |(machine, score): &(&str, f64)| Measurement {
            machine: (!machine.is_empty()).then(|| MachineId::named(*machine)),
            ..Measurement::new(Score::new(*score).unwrap())
        };
        Arm { measurements: runs.iter().map(measurement).collect() }
    }

    fn check(incumbent: &[(&str, f64)], interleaved: usize, candidate: &[(&str, f64)]) -> (Option<Verdict>, Evidence) {
        let mut evidence = Evidence::new(arm(incumbent), arm(candidate), Direction::Minimise, 0);
        evidence.interleaved = interleaved;
        (on_one_machine(&mut evidence), evidence)
    }

    #[test]
    fn on_one_machine_nothing_changes() {
        for machine in ["", "a"] {
            let (verdict, evidence) = check(&[(machine, 1.0), (machine, 2.0)], 1, &[(machine, 3.0)]);
            assert_eq!((verdict, evidence.incumbent.measurements.len(), evidence.interleaved), (None, 2, 1));
        }
    }

    #[test]
    fn after_a_move_the_incumbent_is_measured_again_and_only_that_counts() {
        let (verdict, _) = check(&[("a", 1.0)], 0, &[("b", 3.0)]);
        assert_eq!(verdict, Some(Verdict::Measure(vec![Side::Incumbent])));
        let (verdict, evidence) = check(&[("a", 1.0), ("b", 4.0)], 1, &[("b", 3.0)]);
        assert_eq!((verdict, evidence.incumbent, evidence.interleaved), (None, arm(&[("b", 4.0)]), 1));
        // Begun on one machine, and continued on another.
        let (verdict, evidence) = check(&[("a", 1.0), ("a", 1.0), ("b", 4.0)], 2, &[("a", 0.9), ("b", 3.0)]);
        assert_eq!((verdict, evidence.interleaved, evidence.candidate), (None, 1, arm(&[("b", 3.0)])));
        let (verdict, _) = check(&[("", 1.0)], 0, &[("b", 3.0)]);
        assert_eq!(verdict, Some(Verdict::Measure(vec![Side::Incumbent])), "where it was measured is not known");
    }

    #[test]
    fn a_candidate_that_keeps_moving_is_given_up() {
        let (verdict, _) = check(&[("a", 1.0), ("c", 1.0)], 1, &[("b", 3.0)]);
        assert_eq!(verdict, Some(Verdict::Measure(vec![Side::Candidate])));
        let (verdict, _) =
            check(&[("a", 1.0), ("c", 1.0), ("c", 1.0), ("c", 1.0)], 3, &[("b", 3.0), ("d", 3.0), ("b", 3.0)]);
        assert!(matches!(verdict, Some(Verdict::Discard(_))));
    }

    #[test]
    fn a_baseline_has_nothing_to_compare_with() {
        assert_eq!(check(&[], 0, &[("a", 1.0), ("b", 1.0)]).0, None);
    }
}
