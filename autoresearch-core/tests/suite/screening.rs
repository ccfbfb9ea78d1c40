//! Screening before the full budget: candidates that are promoted, that get a second trial on a rung, or that are promoted as
//! controls, and the report on all of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::internal::Settings;
use autoresearch_core::internal::journal::Promotion;
use autoresearch_core::internal::journal::{Record, TrialResult, TrialStart};
use autoresearch_core::internal::results::{Screened, screened};
use autoresearch_core::internal::verify;
use autoresearch_core::testkit::{Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;

/// Screening without controls, on a fifth of the budget.
fn plain() -> Screening {
    Screening { control: 0, ..Screening::new([0.2]) }
}

fn lab(machine: &Machine, script: &[Step], screening: Screening) -> Lab<Step> {
    built(machine, script, screening).unwrap()
}

fn built(machine: &Machine, script: &[Step], screening: Screening) -> Result<Lab<Step>, LabError> {
    let mut settings = Settings::new("t", Duration::from_secs(1));
    settings.screening = Some(screening);
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower it.").unwrap();
    let proposer = Box::new(Script::new(script.iter().cloned()));
    let journal = machine.journal().unwrap();
    Lab::builder(machine.sandbox(), proposer, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
}

async fn search(baseline: Step, jitter: f64, script: &[Step], screening: Screening) -> (Machine, State) {
    let machine = Machine::new(baseline);
    machine.shake_short_runs(jitter);
    let mut lab = lab(&machine, script, screening);
    lab.run(&Cancel::new()).await.unwrap();
    let state = lab.state().clone();
    (machine, state)
}

/// By candidate: its status, its promotion, and the number of its trials on rungs.
fn fates(state: &State) -> Vec<(Status, Option<Promotion>, usize)> {
    let of = |e: &Experiment| {
        let short = e.screening.as_deref();
        (e.status, short.and_then(|short| short.promotion), short.map_or(0, |short| short.rungs.len()))
    };
    state.experiments.iter().skip(1).map(of).collect()
}

#[tokio::test]
async fn a_candidate_that_keeps_up_is_promoted_and_one_that_does_not_is_screened_out() {
    use Status::{Discard, Keep};
    let script = [
        Step::score(4.0).short(9.0),
        // This one would have been the best.
        Step::score(1.0).short(9.5),
        Step::score(6.0).short(9.0),
    ];
    let (machine, state) = search(Step::score(5.0).short(10.0), 0.0, &script, plain()).await;
    let passed = Some(Promotion::Passed);
    assert_eq!(fates(&state), [(Keep, passed, 1), (Discard, None, 1), (Discard, passed, 1)]);
    let out = &state.experiments[2];
    assert_eq!(
        out.reason,
        "screened out: 9.500000 against 9.000000 on 20 % of the budget, behind by 0.500000 where 0.000000 passes"
    );
    assert_eq!((out.score(), out.arm.measurements.len()), (None, 0), "a short run is no measurement");
    assert_eq!(state.incumbent.as_ref().unwrap().arm.mean(), Score::new(4.0));
    // The baseline; two of the incumbent and two of the candidate; two of the new incumbent and one; two.
    assert_eq!(machine.runs(), 1 + 4 + 3 + 2);

    let entries = {
        machine.restart(1.0);
        machine.journal().unwrap().entries().to_vec()
    };
    let short = |record: &Record| match record {
        Record::TrialStarted(TrialStart { fidelity, .. }) | Record::TrialMeasured(TrialResult { fidelity, .. }) => {
            *fidelity < 1.0
        }
        _ => false,
    };
    for entry in &entries {
        let json = serde_json::to_string(&entry.record).unwrap();
        assert_eq!(json.contains("\"fidelity\":0.2"), short(&entry.record), "{json}");
        assert!(short(&entry.record) || !json.contains("fidelity\":"), "full runs are written as ever: {json}");
    }
    assert_eq!(verify::journal(&entries), []);
}

#[tokio::test]
async fn a_little_too_far_behind_gets_a_second_trial_and_clearly_behind_does_not() {
    let screening = Screening { rungs: vec![0.2, 0.5], ..plain() };
    // One sigma passes behind by 1.6, two by 12, as long as the noise is known from two trials.
    let script = [Step::score(4.0).short(15.0), Step::score(4.0).short(40.0)];
    let (_, state) = search(Step::score(5.0).short(10.0), 1.0, &script, screening.clone()).await;
    assert_eq!(fates(&state), [(Status::Discard, None, 2), (Status::Discard, None, 1)]);
    assert!(state.experiments[1].reason.contains("50 % of the budget"), "{}", state.experiments[1].reason);

    let (_, state) = search(Step::score(5.0).short(10.0), 1.0, &script, plain()).await;
    assert_eq!(fates(&state)[0], (Status::Discard, None, 1), "without a further rung there is no second look");
}

#[tokio::test]
async fn every_nth_that_fails_is_promoted_all_the_same() {
    use Promotion::Control;
    let screening = Screening { control: 2, ..plain() };
    // The candidates that fail on the rung are better, in truth.
    let script: Vec<Step> =
        (1..=5).map(|n| Step::score(5.0 - f64::from(n) / 10.0).short(20.0 + f64::from(n))).collect();
    let (_, state) = search(Step::score(5.0).short(10.0), 0.0, &script, screening).await;
    let promoted: Vec<_> = fates(&state).into_iter().map(|(status, promotion, _)| (status, promotion)).collect();
    let out = (Status::Discard, None);
    // After the keep, whose score on the rung was 22, the next ones are behind by less, and yet behind.
    assert_eq!(promoted, [out, (Status::Keep, Some(Control)), out, (Status::Keep, Some(Control)), out]);
    let Screened { out, passed, controls, .. } = screened(&state).unwrap();
    assert_eq!((out, passed, controls), (3, 0, 2));
}

#[tokio::test]
async fn without_a_number_of_the_incumbent_no_candidate_is_screened() {
    let script = [Step::score(4.0).short(1.0), Step::score(6.0).short(f64::NAN)];
    let (_, state) = search(Step::score(5.0).short(f64::NAN), 0.0, &script, plain()).await;
    assert_eq!(fates(&state)[0], (Status::Keep, Some(Promotion::Unscreened), 0));
    // The second one has an incumbent to be compared with, and gives no number itself.
    assert_eq!(fates(&state)[1], (Status::Crash, None, 0));
    assert!(state.experiments[2].reason.contains("NaN"), "{}", state.experiments[2].reason);
}

#[tokio::test]
async fn noise_is_pooled_over_incumbents_and_a_crash_is_found_out_early() {
    let script = [Step::score(4.0).short(9.0), Step::score(3.0).short(8.0), Step::crash()];
    let (machine, state) = search(Step::score(5.0).short(10.0), 1.0, &script, plain()).await;
    let noise = state.rungs.noise(0.2);
    assert_eq!(noise.degrees(), 3, "one for each incumbent");
    assert!((noise.sigma().unwrap() - 0.5f64.sqrt()).abs() < 1e-12, "and not the distance between them");
    assert_eq!(state.experiments[3].status, Status::Crash);
    assert_eq!(machine.runs(), 1 + 4 + 4 + 3);
}

#[tokio::test]
async fn rungs_that_say_the_opposite_are_found_out() {
    let wide = Screening { allowance: 100.0, ..plain() };
    let script = |sign: f64| -> Vec<Step> {
        (1..=12).map(|n| Step::score(5.0 + f64::from(n)).short(10.0 + sign * f64::from(n))).collect()
    };
    let (_, state) = search(Step::score(5.0).short(10.0), 0.0, &script(-1.0), wide.clone()).await;
    let found = screened(&state).unwrap().agreement[0];
    assert_eq!((found.pairs, found.controls), (12, 0));
    assert!((found.correlation.unwrap() + 1.0).abs() < 1e-12 && found.misleads());

    let (_, state) = search(Step::score(5.0).short(10.0), 0.0, &script(1.0), wide.clone()).await;
    let found = screened(&state).unwrap().agreement[0];
    assert!((found.correlation.unwrap() - 1.0).abs() < 1e-12 && !found.misleads());

    // Scores on both improve through a run of keeps, whether or not the rung predicts anything: gains do not.
    let falling: Vec<Step> = (1..=12)
        .map(|n| {
            Step::score(5.0 - f64::from(n) - f64::from(n % 4) / 8.0).short(10.0 - f64::from(n) + f64::from(n % 4) / 8.0)
        })
        .collect();
    let (_, state) = search(Step::score(5.0).short(10.0), 0.0, &falling, wide).await;
    assert!(state.experiments.iter().all(|e| e.status == Status::Keep));
    assert!(screened(&state).unwrap().agreement[0].misleads(), "{:?}", screened(&state));
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_rejected_before_anything_runs() {
    let machine = Machine::new(Step::score(5.0));
    let error = built(&machine, &[], Screening::new([2.0])).err().unwrap().to_string();
    assert!(error.contains("between 0 and 1"), "{error}");
    assert_eq!((machine.runs(), machine.durable().len()), (0, 0));
}

#[tokio::test]
async fn without_screening_nothing_of_it_is_written() {
    let machine = Machine::new(Step::score(5.0));
    let mut lab = lab(&machine, &[Step::score(4.0), Step::score(6.0), Step::crash()], plain());
    drop(lab.run(&Cancel::new()).await);
    assert!(String::from_utf8(machine.durable()).unwrap().contains("fidelity"), "the control");

    let machine = Machine::new(Step::score(5.0));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let proposer = Box::new(Script::new([Step::score(4.0), Step::score(6.0), Step::crash()]));
    let settings = Settings::new("t", Duration::from_secs(1));
    let (program, journal) = (Program::parse("Lower it.").unwrap(), machine.journal().unwrap());
    let mut lab = Lab::builder(machine.sandbox(), proposer, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    let text = String::from_utf8(machine.durable()).unwrap();
    for word in ["fidelity", "promoted", "excursion"] {
        assert!(!text.contains(word), "{word}");
    }
    assert_eq!(screened(lab.state()), None);
}
