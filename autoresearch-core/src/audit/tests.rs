use super::*;
use crate::experiment_id::ExperimentId;
use crate::journal::{Decision, Journal, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use crate::metric::{Measurement, Score};
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome, Revision, RunLog};

fn score(value: f64) -> Score {
    Score::new(value).unwrap()
}

/// The state of a run of experiments with these scores; all are kept, with the last so many scores as reference.
fn search(experiments: &[(&[f64], Option<u32>)], audits: &[(u32, f64)]) -> State {
    State::replay(&entries(experiments, audits)).unwrap()
}

/// The records of such a run. Each round of the audit has its own seed, counted by what was audited of an experiment before.
fn entries(experiments: &[(&[f64], Option<u32>)], audits: &[(u32, f64)]) -> Vec<Entry> {
    let before = |at: usize| audits[..at].iter().filter(|(other, _)| *other == audits[at].0).count() as u64;
    let seeds: Vec<u64> = (0..audits.len()).map(before).collect();
    entries_with_seeds(experiments, audits, &seeds)
}

fn entries_with_seeds(experiments: &[(&[f64], Option<u32>)], audits: &[(u32, f64)], seeds: &[u64]) -> Vec<Entry> {
    let mut records = vec![Record::Started({
        let mut header = RunHeader::new("t", "loss", Direction::Minimise);
        header.rule.name = "noise-aware".into();
        header
    })];
    for (number, (scores, reference)) in experiments.iter().enumerate() {
        let experiment = number as u32;
        let revision = Revision(format!("r{number}"));
        let candidate = Candidate { revision: revision.clone(), fingerprint: revision.0.clone(), added_lines: 0 };
        records.push(Record::Staged({
            let mut staged = StagedExperiment::new(ExperimentId(experiment), None, candidate);
            staged.description = format!("change {number}");
            staged
        }));
        for (run, value) in scores.iter().enumerate() {
            let attempt = run as u32 + 1;
            records.push(Record::TrialStarted(TrialStart::new(ExperimentId(experiment), attempt, Side::Candidate)));
            let result = Ok(Measurement::new(score(*value)));
            let outcome = Outcome::Completed(RunLog::default());
            records.push(Record::TrialMeasured(TrialResult::new(
                ExperimentId(experiment),
                attempt,
                Side::Candidate,
                outcome,
                result,
            )));
        }
        let alpha = (number > 0).then_some(0.05);
        let (status, reason) = (Status::Keep, String::new());
        records.push(Record::Decided({
            let mut decision = Decision::new(ExperimentId(experiment), status);
            decision.reason = reason;
            decision.kept_as = Some(revision);
            decision.reference = *reference;
            decision.alpha = alpha;
            decision
        }));
        records.push(Record::Adopted { experiment: ExperimentId(experiment) });
    }
    for ((experiment, value), seed) in audits.iter().zip(seeds) {
        records.push(Record::Audited { experiment: ExperimentId(*experiment), seed: *seed, score: score(*value) });
    }
    let mut journal = Journal::in_memory();
    records.into_iter().map(|record| journal.append(record).unwrap()).collect()
}

const BASELINE: (&[f64], Option<u32>) = (&[1.00, 1.02, 0.98, 1.01, 0.99], None);

#[test]
fn only_runs_that_did_not_choose_a_keep_count() {
    let state = search(&[BASELINE, (&[0.90, 0.91, 0.92, 0.95, 0.96, 0.94], Some(3))], &[]);
    let [kept] = keeps(&state)[..] else { panic!() };
    assert!((kept.chosen_gain - 0.09).abs() < 1e-9, "1.00 to the mean of the first three: {}", kept.chosen_gain);
    assert!((kept.gain - 0.05).abs() < 1e-9 && kept.measured == (3, 5) && !kept.by_selection);
    assert_eq!(kept.doubtful(0.1), Some(false));
    assert!((state.experiments[1].score().unwrap().get() - 0.95).abs() < 1e-9);
    assert!((expected_false_keeps(&state).unwrap() - 0.05).abs() < 1e-12);
}

#[test]
fn a_lucky_keep_is_doubtful_once_it_is_measured_again() {
    let trials: [(&[f64], Option<u32>); 3] = [(&[1.00], None), (&[0.97], None), (&[0.80], None)];
    let once = search(&trials, &[]);
    assert!(keeps(&once).iter().all(|kept| kept.by_selection && kept.doubtful(0.1).is_none()), "one run each");
    let again: Vec<(u32, f64)> = [[1.00, 1.00, 0.80], [1.02, 1.01, 0.81], [0.98, 0.99, 0.79]]
        .iter()
        .flat_map(|round| round.iter().enumerate().map(|(number, value)| (number as u32, *value)))
        .collect();
    let state = search(&trials, &again);
    let kept = keeps(&state);
    assert_eq!(kept.iter().map(|kept| kept.doubtful(0.1)).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert!(kept[0].gain.abs() < 1e-9 && (kept[0].chosen_gain - 0.03).abs() < 1e-9);
}

#[test]
fn rounds_are_paired_by_their_seed_also_after_the_machine_has_shifted() {
    let trials: [(&[f64], Option<u32>); 3] = [(&[10.0], None), (&[9.0], None), (&[8.9], None)];
    let mut state = search(&trials, &[]);
    let mut audited = |id: usize, seed: u64, value: f64| {
        state.experiments[id].audit.push(crate::state::AuditScore { seed, score: score(value) });
    };
    // Each round has an hour of its own, in which the machine adds something else to all, and seeds have no order. Differences
    // are small and uneven, so that any other pairing than by seed shows in the mean or in the error.
    let rounds = [(7_u64, 0.0, 0.01), (2, 3.0, -0.02), (9, -1.5, 0.04)];
    for (seed, hour, odd) in rounds {
        audited(0, seed, 10.0 + hour);
        audited(1, seed, 9.0 + hour + odd);
    }
    // Later three rounds of all, when the machine gives 5 less to everything, measured in the other order.
    let later = [(4_u64, -5.0, 0.03), (1, -4.0, -0.01), (8, -6.5, -0.02)];
    for (seed, hour, odd) in later {
        audited(2, seed, 9.0 + hour + 2.0 * odd);
        audited(0, seed, 10.0 + hour);
        audited(1, seed, 9.0 + hour + odd);
    }
    let odd: Vec<f64> = rounds.iter().chain(&later).map(|(_, _, odd)| *odd).collect();
    let error = |odd: &[f64]| {
        let mean = odd.iter().sum::<f64>() / odd.len() as f64;
        let squares: f64 = odd.iter().map(|odd| (odd - mean).powi(2)).sum();
        (squares / (odd.len() - 1) as f64 / odd.len() as f64).sqrt()
    };
    let kept = keeps(&state);
    let mean = odd.iter().sum::<f64>() / 6.0;
    assert!((kept[0].gain - (1.0 - mean)).abs() < 1e-9 && kept[0].measured == (6, 6), "{:?}", kept[0]);
    // Rounds of all pairs tell together how much they vary, which is at most a few hundredths, and hours none of it.
    assert!(kept[0].error.unwrap() < 2.0 * error(&odd) && kept[0].error.unwrap() > 0.2 * error(&odd), "{:?}", kept[0]);
    assert!(kept[1].gain.abs() < 1e-9 && kept[1].measured == (3, 3), "no effect, whatever the shift: {:?}", kept[1]);
    assert!(kept[1].error.unwrap() < 0.05, "{:?}", kept[1]);
    assert_eq!(kept[1].doubtful(0.1), Some(true));
}

#[test]
fn a_round_that_was_interrupted_is_measured_again_as_a_whole() {
    let trials: [(&[f64], Option<u32>); 3] = [(&[10.0], None), (&[9.0], None), (&[8.0], None)];
    // A whole round, and one that ended after the second of three keeps.
    let interrupted = [(0, 10.0), (1, 9.0), (2, 8.0), (0, 10.1), (1, 9.1)];
    let rounds = |count: usize| whole_rounds(&entries(&trials, &interrupted[..count]));
    assert_eq!([0, 1, 2, 3, 4, 5].map(rounds), [0, 0, 0, 1, 1, 1]);
    // When the audit goes on, the machine gives 5 less: the round begins anew under its seed, and nothing is paired across.
    let again = [&interrupted[..], &[(0, 5.0), (1, 4.0), (2, 3.0)]].concat();
    let seeds = [0, 0, 0, 1, 1, 1, 1, 1];
    let entries = entries_with_seeds(&trials, &again, &seeds);
    assert_eq!(whole_rounds(&entries), 2);
    let kept_state = State::replay(&entries).unwrap();
    assert_eq!(kept_state.experiments[0].audit.len(), 2, "the scores of the interrupted round are dropped");
    let kept = keeps(&kept_state);
    assert!(kept.iter().all(|kept| (kept.gain - 1.0).abs() < 1e-9 && kept.measured == (2, 2)), "{kept:?}");
}
