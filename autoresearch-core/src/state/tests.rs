use super::*;
use crate::journal::{Decision, Journal, JournalFault, Record, StagedExperiment, TrialResult, TrialStart};
use crate::metric::{Measurement, Score};
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome};

const TO: &str = "kept";

fn staged(experiment: ExperimentId, parent: Option<&str>, name: &str) -> Record {
    Record::Staged(StagedExperiment::new(
        experiment,
        parent.map(|parent| Revision(parent.into())),
        Candidate { revision: Revision(name.into()), fingerprint: name.into(), added_lines: 0 },
    ))
}

/// Replays the records of a baseline and the further records of a test.
fn is_contradiction(error: &JournalError) -> bool {
    matches!(error.fault(), JournalFault::Contradiction { .. })
}

fn replay(further: Vec<Record>) -> Result<State, JournalError> {
    let mut records = vec![
        Record::Started(RunHeader::new("t", "score", Direction::Minimise)),
        staged(ExperimentId(0), None, "a"),
        started(ExperimentId(0), 1),
        measured(ExperimentId(0), 1),
        decision(ExperimentId(0), Some(TO)),
        Record::Adopted { experiment: ExperimentId(0) },
        staged(ExperimentId(1), None, "b"),
    ];
    records.extend(further);
    let mut journal = Journal::in_memory();
    State::replay(&records.into_iter().map(|record| journal.append(record).unwrap()).collect::<Vec<_>>())
}

fn started(experiment: ExperimentId, trial: u32) -> Record {
    Record::TrialStarted(TrialStart::new(experiment, trial, Side::Candidate))
}

fn measured(experiment: ExperimentId, trial: u32) -> Record {
    let score = Score::new(1.0).unwrap();
    Record::TrialMeasured(TrialResult::new(
        experiment,
        trial,
        Side::Candidate,
        Outcome::Completed(Default::default()),
        Ok(Measurement::new(score)),
    ))
}

fn decision(experiment: ExperimentId, to: Option<&str>) -> Record {
    let status = if to.is_some() { Status::Keep } else { Status::Discard };
    Record::Decided({
        let mut decision = Decision::new(experiment, status);
        decision.kept_as = to.map(|to| Revision(to.into()));
        decision
    })
}

#[test]
fn records_that_contradict_each_other_are_rejected() {
    assert!(
        replay(vec![started(ExperimentId(1), 1), measured(ExperimentId(1), 1), decision(ExperimentId(1), None)])
            .is_ok()
    );
    for (what, records) in [
        (
            "two decisions",
            vec![
                started(ExperimentId(1), 1),
                measured(ExperimentId(1), 1),
                decision(ExperimentId(1), None),
                decision(ExperimentId(1), None),
            ],
        ),
        ("a decision on another experiment", vec![decision(ExperimentId(0), None)]),
        ("a keep without a measurement", vec![started(ExperimentId(1), 1), decision(ExperimentId(1), Some("b"))]),
        ("a trial out of turn", vec![started(ExperimentId(1), 2)]),
        ("a measurement of another trial", vec![started(ExperimentId(1), 1), measured(ExperimentId(1), 2)]),
        ("a measurement without a trial", vec![measured(ExperimentId(1), 1)]),
        (
            "two measurements of a trial",
            vec![started(ExperimentId(1), 1), measured(ExperimentId(1), 1), measured(ExperimentId(1), 1)],
        ),
        ("a keep carried out without a decision", vec![Record::Adopted { experiment: ExperimentId(1) }]),
    ] {
        assert!(matches!(replay(records), Err(error) if is_contradiction(&error)), "{what}");
    }
}

/// Replays a run in which experiment 1 is kept while 2 is in flight; both have the baseline as their parent.
fn beside_a_keep(further: Vec<Record>) -> Result<State, JournalError> {
    let both = vec![
        staged(ExperimentId(2), Some(TO), "c"),
        started(ExperimentId(2), 1),
        started(ExperimentId(1), 1),
        measured(ExperimentId(1), 1),
        decision(ExperimentId(1), Some("better")),
    ];
    replay(
        [both, vec![Record::Adopted { experiment: ExperimentId(1) }, measured(ExperimentId(2), 1)], further].concat(),
    )
}

fn rebased_onto(parent: &str) -> Record {
    let candidate = Candidate { revision: Revision("d".into()), fingerprint: "d".into(), added_lines: 0 };
    Record::Rebased { experiment: ExperimentId(2), parent: Revision(parent.into()), candidate, in_merge_queue: true }
}

#[test]
fn a_change_of_a_former_incumbent_is_kept_only_when_it_was_rebased_and_measured_again() {
    let stale = beside_a_keep(vec![]).unwrap();
    let open = stale.open(ExperimentId(2)).unwrap();
    assert_eq!(stale.base_status(open), BaseStatus::Stale);
    // It is compared with the baseline, beside which it was measured.
    let baseline = stale.experiments[0].arm.clone();
    assert_eq!((stale.comparable(open), stale.evidence(open).incumbent), (true, baseline));
    assert!(beside_a_keep(vec![decision(ExperimentId(2), None)]).is_ok(), "it may be discarded for that");
    let kept_and_gone = beside_a_keep(vec![decision(ExperimentId(2), None)]).unwrap();
    assert!(kept_and_gone.former.is_empty(), "no experiment needs the baseline's measurements any more");

    let rebased = beside_a_keep(vec![rebased_onto("better")]).unwrap();
    let open = rebased.open(ExperimentId(2)).unwrap();
    assert_eq!((rebased.base_status(open), open.experiment.arm.measurements.len()), (BaseStatus::Current, 0));
    assert_eq!(open.experiment.rebased[0].arm.measurements.len(), 1, "earlier measurements are remembered");
    let again = vec![
        rebased_onto("better"),
        started(ExperimentId(2), 2),
        measured(ExperimentId(2), 2),
        decision(ExperimentId(2), Some("best")),
    ];
    assert_eq!(beside_a_keep(again).unwrap().incumbent.unwrap().experiment, ExperimentId(2));

    for (what, records) in [
        ("a keep of a change of a former incumbent", vec![decision(ExperimentId(2), Some("best"))]),
        (
            "a keep that was rebased and not measured again",
            vec![rebased_onto("better"), decision(ExperimentId(2), Some("best"))],
        ),
        ("a rebase onto something that is not the incumbent", vec![rebased_onto(TO)]),
    ] {
        assert!(matches!(beside_a_keep(records), Err(error) if is_contradiction(&error)), "{what}");
    }
}

#[test]
fn a_measurement_beside_a_conflict_counts_for_the_incumbent_that_it_is_of() {
    let beside = |keeps_another: bool| {
        let mut records = vec![Record::Conflicted { experiment: ExperimentId(2), conflict: "both".into() }];
        records.push(Record::TrialStarted(TrialStart::new(ExperimentId(2), 2, Side::Incumbent)));
        if keeps_another {
            records.extend([
                staged(ExperimentId(3), Some("better"), "e"),
                started(ExperimentId(3), 1),
                measured(ExperimentId(3), 1),
                decision(ExperimentId(3), Some("best")),
                Record::Adopted { experiment: ExperimentId(3) },
            ]);
        }
        records.push(Record::TrialMeasured(TrialResult::new(
            ExperimentId(2),
            2,
            Side::Incumbent,
            Outcome::Completed(Default::default()),
            Ok(Measurement::new(Score::new(1.0).unwrap())),
        )));
        beside_a_keep(records).unwrap().open(ExperimentId(2)).unwrap().incumbent.len()
    };
    assert_eq!((beside(false), beside(true)), (1, 0));
}

#[test]
fn only_the_latest_logs_stay_in_memory() {
    let mut journal = Journal::in_memory();
    let mut state =
        replay(vec![started(ExperimentId(1), 1), measured(ExperimentId(1), 1), decision(ExperimentId(1), None)])
            .unwrap();
    for experiment in 2..100 {
        let log = crate::sandbox::RunLog { tail: "x".repeat(1000), ..Default::default() };
        for record in [
            staged(ExperimentId(experiment), None, &experiment.to_string()),
            started(ExperimentId(experiment), 1),
            Record::TrialMeasured(TrialResult::new(
                ExperimentId(experiment),
                1,
                Side::Candidate,
                Outcome::TimedOut { log },
                Err("late".into()),
            )),
            Record::Decided({
                let mut decision = Decision::new(ExperimentId(experiment), Status::Crash);
                decision.reason = "late".into();
                decision
            }),
        ] {
            state.apply(&journal.append(record).unwrap()).unwrap();
        }
    }
    let tails = state.experiments.iter().filter(|e| e.outcome.as_ref().is_some_and(|o| !o.log().tail.is_empty()));
    assert_eq!(tails.count(), LOGS_IN_MEMORY);
}

#[test]
fn the_place_of_a_test_stays_while_others_are_decided_beside_it() {
    let place = |records: Vec<Record>, id: u32| {
        let state = replay(records).unwrap();
        let evidence = state.evidence(state.open(ExperimentId(id)).unwrap());
        (evidence.tested, evidence.kept)
    };
    let screened = |id, name| vec![staged(id, Some(TO), name), started(id, 1), measured(id, 1)];
    let tested = |id| vec![started(id, 2), measured(id, 2)];
    let two =
        [vec![started(ExperimentId(1), 1), measured(ExperimentId(1), 1)], screened(ExperimentId(2), "c")].concat();
    // As long as neither is tested, each would be the first.
    assert_eq!((place(two.clone(), 1), place(two.clone(), 2)), ((0, 0), (0, 0)));
    // Side by side they have different places, by the order in which they began, whatever ends first.
    let both = [two, tested(ExperimentId(2)), tested(ExperimentId(1))].concat();
    assert_eq!((place(both.clone(), 2), place(both.clone(), 1)), ((0, 0), (1, 0)));
    let one =
        [both, vec![decision(ExperimentId(2), Some("kept too")), Record::Adopted { experiment: ExperimentId(2) }]]
            .concat();
    assert_eq!(place(one.clone(), 1), (1, 0), "a keep in the middle of the test does not change its level");
    // What begins afterwards knows of both.
    let next = [
        one,
        vec![staged(ExperimentId(3), Some("kept too"), "d"), started(ExperimentId(3), 1), measured(ExperimentId(3), 1)],
    ]
    .concat();
    assert_eq!(place(next, 3), (2, 1));
}

#[test]
fn a_test_that_is_taken_back_or_abandoned_has_its_place_all_the_same() {
    let place = |records: &[Record], id: u32| {
        let state = replay(records.to_vec()).unwrap();
        state.evidence(state.open(ExperimentId(id)).unwrap()).tested
    };
    let screened = |id, name| vec![staged(id, Some(TO), name), started(id, 1), measured(id, 1)];
    let back = Record::TrialCancelled { experiment: ExperimentId(1), trial: 2, reason: "the run ended".into() };
    // The run ends in the middle of a test and goes on; meanwhile another one begins.
    let mut records = [
        vec![started(ExperimentId(1), 1), measured(ExperimentId(1), 1), started(ExperimentId(1), 2), back],
        screened(ExperimentId(2), "c"),
    ]
    .concat();
    records.extend([
        started(ExperimentId(2), 2),
        measured(ExperimentId(2), 2),
        started(ExperimentId(1), 3),
        measured(ExperimentId(1), 3),
    ]);
    assert_eq!((place(&records, 1), place(&records, 2)), (0, 1), "a restart gives no second first place");
    // A crash in the middle decides nothing by the test, which has used its level up nevertheless.
    records.push(Record::Decided(Decision::new(ExperimentId(2), Status::Crash)));
    records.extend(screened(ExperimentId(3), "d"));
    assert_eq!(place(&records, 3), 2);
}

#[test]
fn a_health_check_teaches_the_noise() {
    let check = |score: f64| Record::HealthChecked {
        failure: None,
        measurement: Some(Measurement::new(Score::new(score).unwrap())),
        reference: None,
    };
    let noise = |records| replay(records).unwrap().noise;
    assert_eq!(noise(vec![]).sigma(), None, "the baseline was measured once");
    let learnt = noise(vec![check(1.2), check(0.9)]);
    assert_eq!(learnt.degrees(), 2);
    assert!((learnt.sigma().unwrap() - (0.14f64 / 6.0).sqrt()).abs() < 1e-9, "{learnt:?}");
    // What looks like a shift of the machine is not taken for noise, which would hide it.
    assert_eq!(noise(vec![check(1.2), check(0.9), check(1000.0), check(1000.1)]), learnt);
}

#[test]
fn a_check_that_differs_refutes_exactness_unless_the_next_ones_agree_with_it() {
    let check = |score: f64| Record::HealthChecked {
        failure: None,
        measurement: Some(Measurement::new(Score::new(score).unwrap())),
        reference: None,
    };
    let after = |scores: &[f64]| replay(scores.iter().map(|score| check(*score)).collect()).unwrap();
    let first = after(&[]).incumbent.unwrap().arm.mean().unwrap().get();
    let exact = [first; 4];
    assert_eq!(after(&exact).noise.sigma(), Some(0.0));
    // A pass rate that was equal five times by luck: the sixth differs, the seventh does not.
    let lucky = after(&[&exact[..], &[first + 0.01, first]].concat());
    assert!(lucky.noise.sigma().unwrap() > 0.0 && lucky.noise.degrees() == 6, "{:?}", lucky.noise);
    // A count of instructions after the update of a library: all that follow agree, and teach no noise.
    let shifted = after(&[&exact[..], &[first + 7.0; 2]].concat());
    assert_eq!((shifted.noise.sigma(), shifted.noise.degrees()), (Some(0.0), 4));
}
