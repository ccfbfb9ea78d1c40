//! The section of the report on short trials.

use std::fmt::Write as _;
use std::time::Duration;

use autoresearch_core::State;
use autoresearch_core::internal::results::{Agreement, screened};

use super::line::duration;

/// Formats a few lines; empty where nothing was screened.
pub fn screening(state: &State) -> String {
    let Some(found) = screened(state) else { return String::new() };
    let mut text = format!(
        "{} screened out after short trials, {} promoted, {} promoted as controls",
        found.out, found.passed, found.controls
    );
    for (count, what) in [
        (found.unscreened, "not screened, since the incumbent gave no number in a short trial"),
        (found.crashed, "crashed in a short trial"),
        (found.second_looks, "were measured at the next rung"),
    ] {
        if count > 0 {
            let _ = write!(text, "; {count} {what}");
        }
    }
    let time = |seconds: f64| duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let _ = match found.saved_seconds {
        saved if saved >= 0.0 => writeln!(text, "; about {} saved", time(saved)),
        lost => writeln!(text, "; it took {} more than it saved", time(-lost)),
    };
    for agreement in &found.agreement {
        let _ = writeln!(text, "{}", agrees(agreement));
    }
    text
}

fn agrees(agreement: &Agreement) -> String {
    let Agreement { fidelity, pairs, controls, correlation, .. } = *agreement;
    let share = format!("{} % of the budget", (fidelity * 1e5).round() / 1e3);
    let Some(correlation) = correlation else {
        return format!(
            "at {share} nothing can be said of the rank correlation with the full budget: too few pairs, n = {pairs}"
        );
    };
    let mut text = format!(
        "at {share} the rank correlation with the full budget is {correlation:.2} (Spearman, of gains; n = {pairs})"
    );
    if controls == 0 {
        text.push_str("; no candidate that failed is among them, so it holds only for those that passed");
    }
    if agreement.misleads() {
        text.push_str(
            "; screening at this share misleads: what is better there is rarely better on the full budget. Give a larger \
             share, or leave the screening out",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::excursions::excursions;
    use crate::report::fixtures::{decided, example, measurement, replay, staged, started};
    use crate::report::{line, markdown};
    use autoresearch_core::Side;
    use autoresearch_core::internal::journal::{ExcursionStep, Promotion};
    use autoresearch_core::internal::journal::{Record, TrialResult, TrialStart};
    use autoresearch_core::{ExperimentId, Outcome, RunLog, Status};

    /// The records of a trial: 100 s on the full budget, 20 s on a share of it.
    fn trial(experiment: u32, trial: u32, side: Side, score: f64, fidelity: f64) -> [Record; 2] {
        let elapsed = Duration::from_secs(if fidelity == 1.0 { 100 } else { 20 });
        let outcome = Outcome::Completed(RunLog { elapsed, ..RunLog::default() });
        let mut start = TrialStart::new(ExperimentId(experiment), trial, side);
        let mut result = TrialResult::new(ExperimentId(experiment), trial, side, outcome, Ok(measurement(score)));
        (start.fidelity, result.fidelity) = (fidelity, fidelity);
        [Record::TrialStarted(start), Record::TrialMeasured(result)]
    }

    /// Records of candidates with these short and full scores (none: screened out), of which the first `controls` that were
    /// measured in full failed. The baseline is 1.
    fn records(candidates: &[(f64, Option<f64>)], controls: usize) -> Vec<Record> {
        let mut records = vec![started()];
        let baseline = (1.0, Some(1.0));
        for (experiment, (short, full)) in (0..).zip(std::iter::once(&baseline).chain(candidates)) {
            records.push(staged(experiment, &format!("idea {experiment}")));
            let mut trials = 1..;
            let mut next = || trials.next().unwrap();
            if experiment == 1 {
                records.extend(trial(experiment, next(), Side::Incumbent, 1.0, 0.2));
            }
            if experiment > 0 {
                records.extend(trial(experiment, next(), Side::Candidate, *short, 0.2));
            }
            if let Some(full) = full {
                let control = candidates.iter().take(experiment as usize).filter(|(_, full)| full.is_some()).count();
                if experiment > 0 {
                    let promotion = if control <= controls { Promotion::Control } else { Promotion::Passed };
                    records.push(Record::Promoted {
                        experiment: ExperimentId(experiment),
                        promotion,
                        reason: String::new(),
                    });
                }
                records.extend(trial(experiment, next(), Side::Candidate, *full, 1.0));
            }
            let status = if experiment == 0 { Status::Keep } else { Status::Discard };
            records.push(decided(experiment, status, if full.is_none() { "screened out: 9 against 1" } else { "" }));
            if experiment == 0 {
                records.push(Record::Adopted { experiment: ExperimentId(experiment) });
            }
        }
        records
    }

    fn run_of(candidates: &[(f64, Option<f64>)], controls: usize) -> State {
        replay(records(candidates, controls))
    }

    #[test]
    fn hours_and_candidates_are_counted() {
        // Three out of five runs of 100 s, against six short ones of 20 s.
        let state = run_of(&[(1.1, Some(1.2)), (9.0, None), (9.0, None), (9.0, None), (1.2, Some(1.1))], 1);
        let text = screening(&state);
        assert!(
            text.starts_with(
                "3 screened out after short trials, 1 promoted, 1 promoted as controls; about 3m 00s saved\n"
            ),
            "{text}"
        );
        assert!(
            text.ends_with("nothing can be said of the rank correlation with the full budget: too few pairs, n = 2\n"),
            "{text}"
        );
        let out = line(&state, &state.experiments[2]);
        assert!(out.ends_with("; screened out: 9 against 1; short trials only; discarded"), "{out}");
        assert!(markdown(&state, &[], "t", "p").contains("## Screening\n\n- 3 screened out"));
        assert_eq!(screening(&example()), "");
    }

    #[test]
    fn controls_weigh_and_their_absence_is_said() {
        // Those that passed are in order; the control, which stands for itself and three that were thrown out, is the best.
        let passed = [(1.01, Some(1.1)), (1.02, Some(1.2)), (1.03, Some(1.3))];
        let text = screening(&run_of(&passed, 0));
        assert!(text.contains("is 1.00 (Spearman, of gains; n = 3); no candidate that failed"), "{text}");
        assert!(text.contains("it took 1m 20s more than it saved"), "{text}");
        let mut all = vec![(9.0, Some(1.05)), (9.1, None), (9.2, None), (9.3, None)];
        all.extend(passed);
        let text = screening(&run_of(&all, 1));
        assert!(text.contains("is -0.83 (Spearman") && !text.contains("no candidate"), "{text}");
        assert!(!text.contains("misleads"), "four pairs are too few for that: {text}");
    }

    #[test]
    fn short_trials_that_mislead_are_called_so() {
        let opposite: Vec<_> = (1..=10).map(|n| (1.0 + f64::from(n), Some(20.0 - f64::from(n)))).collect();
        assert!(screening(&run_of(&opposite, 2)).contains("screening at this share misleads"));
        assert!(!screening(&run_of(&opposite[..9], 2)).contains("misleads"), "nine are too few");
        let same: Vec<_> = (1..=10).map(|n| (1.0 + f64::from(n), Some(2.0 + f64::from(n)))).collect();
        assert!(!screening(&run_of(&same, 2)).contains("misleads"));
    }

    #[test]
    fn excursions_are_named_with_their_end() {
        let mut records = records(&[(1.1, Some(1.2)), (1.1, Some(1.3)), (1.1, Some(1.4)), (1.1, Some(1.5))], 0);
        assert_eq!(excursions(&replay(records.clone())), "");
        for record in &mut records {
            if let Record::Decided(decision) = record {
                decision.excursion = match decision.experiment {
                    ExperimentId(1) | ExperimentId(4) => Some(ExcursionStep::Sacrifice),
                    ExperimentId(3) => Some(ExcursionStep::Dropped),
                    _ => None,
                };
            }
        }
        let expected = "- over 001 idea 1: dropped after 2 experiments on it\n\
                        - over 004 idea 4: goes on, after 0 experiments on it\n";
        assert_eq!(excursions(&replay(records)), expected);
    }
}
