use super::*;
use crate::journal::{Journal, RunHeader, StagedExperiment, TrialStart};
use crate::metric::{Direction, Measurement, Score};
use crate::proposal::CANCELLED;
use crate::sandbox::{Candidate, RunLog};

fn started() -> Record {
    Record::Started({
        let mut header = RunHeader::new("t", "score", Direction::Minimise);
        header.seed = 1;
        header
    })
}

fn revision(name: &str) -> Revision {
    Revision(name.into())
}

fn staged(experiment: ExperimentId, parent: Option<&str>) -> Record {
    let name = format!("c{experiment}");
    Record::Staged({
        let mut staged = StagedExperiment::new(
            experiment,
            parent.map(revision),
            Candidate { revision: revision(&name), fingerprint: name.clone(), added_lines: 0 },
        );
        staged.description = name;
        staged.cost = Cost { tokens: 10, dollars: 0.1, calls: 1 };
        staged
    })
}

fn trial_started(experiment: ExperimentId, trial: u32) -> Record {
    Record::TrialStarted({
        let mut start = TrialStart::new(experiment, trial, Side::Candidate);
        start.seed = 1;
        start
    })
}

fn measured(experiment: ExperimentId, trial: u32, score: Option<f64>) -> Record {
    let measurement = |score| Measurement::new(Score::new(score).unwrap());
    Record::TrialMeasured(TrialResult::new(
        experiment,
        trial,
        Side::Candidate,
        Outcome::Completed(RunLog::default()),
        score.map(measurement).ok_or("score is NaN, which is not a finite number".into()),
    ))
}

fn decision(experiment: ExperimentId, status: Status) -> Record {
    let to = (status == Status::Keep).then(|| revision(&format!("k{experiment}")));
    Record::Decided({
        let mut decision = Decision::new(experiment, status);
        decision.kept_as = to;
        decision
    })
}

fn rejected() -> Record {
    Record::Rejected {
        description: String::new(),
        reason: String::new(),
        change: serde_json::Value::Null,
        cost: Cost { tokens: 1, dollars: 0.7, calls: 2 },
        proposer: String::new(),
    }
}

const FIRST: usize = 6; // The record that begins experiment 1.

/// A baseline with 5, a keep with 4, a rejected proposal, a crash, a discard with 4.5, and a stop.
fn run() -> Vec<Record> {
    vec![
        started(),
        staged(ExperimentId(0), None),
        trial_started(ExperimentId(0), 1),
        measured(ExperimentId(0), 1, Some(5.0)),
        decision(ExperimentId(0), Status::Keep),
        Record::Adopted { experiment: ExperimentId(0) },
        staged(ExperimentId(1), Some("k0")),
        trial_started(ExperimentId(1), 1),
        measured(ExperimentId(1), 1, Some(4.0)),
        decision(ExperimentId(1), Status::Keep),
        Record::Adopted { experiment: ExperimentId(1) },
        rejected(),
        staged(ExperimentId(2), Some("k1")),
        trial_started(ExperimentId(2), 1),
        measured(ExperimentId(2), 1, None),
        decision(ExperimentId(2), Status::Crash),
        staged(ExperimentId(3), Some("k1")),
        trial_started(ExperimentId(3), 1),
        measured(ExperimentId(3), 1, Some(4.5)),
        decision(ExperimentId(3), Status::Discard),
        Record::Stopped { reason: "enough".into() },
    ]
}

fn entries(records: Vec<Record>) -> Vec<Entry> {
    let mut journal = Journal::in_memory();
    records.into_iter().map(|record| journal.append(record).unwrap()).collect()
}

/// Asserts that the run has exactly one violation after an edit: at this record, with these words.
#[track_caller]
fn breaks(seq: u64, words: &str, edit: impl FnOnce(&mut Vec<Record>)) {
    let mut records = run();
    edit(&mut records);
    let found = journal(&entries(records));
    let shown: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 1, "{shown:#?}");
    assert!(found[0].seq == Some(seq) && found[0].what.contains(words), "{shown:#?}");
}

#[test]
fn every_beginning_of_a_run_is_sound() {
    for length in 0..=run().len() {
        let found = journal(&entries(run()[..length].to_vec()));
        assert_eq!(found, [], "the first {length} records");
    }
}

#[test]
fn a_run_begins_with_its_start_and_begins_once() {
    breaks(0, "begins with one record", |records| drop(records.remove(0)));
    let mut twice = entries(run());
    let at = twice.iter().position(|entry| matches!(entry.record, Record::Decided(_))).unwrap() + 1;
    twice.insert(at, Entry { record: started(), ..twice[at].clone() });
    twice.iter_mut().zip(0..).for_each(|(entry, seq)| entry.seq = seq);
    let found = journal(&twice);
    assert!(found.len() == 1 && found[0].what.contains("begins with one record"), "{found:?}");
    assert_eq!(found[0].seq, Some(at as u64));
}

#[test]
fn a_missing_number_is_noticed_and_nothing_is_judged_after_it() {
    let mut broken = entries(run());
    broken.remove(8);
    let found = journal(&broken);
    assert!(found.len() == 1 && found[0].to_string() == "record 9: record 8 was expected here", "{found:?}");
}

#[test]
fn a_clock_that_was_set_back_is_a_note_and_no_violation() {
    let mut odd = entries(run());
    assert!(notes(&odd).is_empty());
    odd[4].at = (std::time::SystemTime::from(odd[3].at) - std::time::Duration::from_secs(3600)).into();
    assert!(journal(&odd).is_empty());
    let found = notes(&odd);
    assert!(found.len() == 1 && found[0].contains("before record 4"), "{found:?}");
}

#[test]
fn an_experiment_is_decided_once() {
    breaks(10, "is not open", |records| records.insert(10, decision(ExperimentId(1), Status::Keep)));
    // A number that is not the next one, and one that is given already.
    breaks(12, "begins out of turn", |records| records[12] = staged(ExperimentId(3), Some("k1")));
    breaks(12, "begins out of turn", |records| records[12] = staged(ExperimentId(1), Some("k1")));
    breaks(7, "begins out of turn", |records| records.insert(7, staged(ExperimentId(1), Some("k0"))));
}

#[test]
fn several_experiments_are_open_and_decided_in_any_order() {
    // The first stays open to the end, and the others have the baseline as their parent.
    let mut open = run();
    (open[12], open[16]) = (staged(ExperimentId(2), Some("k0")), staged(ExperimentId(3), Some("k0")));
    open.drain(9..11);
    assert_eq!(journal(&entries(open.clone())), []);
    // It is decided last, and kept as a change of the incumbent.
    open.splice(18..18, [decision(ExperimentId(1), Status::Keep), Record::Adopted { experiment: ExperimentId(1) }]);
    assert_eq!(journal(&entries(open)), []);
    // A change of a former incumbent cannot be kept as it is.
    breaks(18, "no change of the incumbent", |records| {
        records[16] = staged(ExperimentId(3), Some("k0"));
        records[18] = measured(ExperimentId(3), 1, Some(3.5));
        records.splice(19..20, [decision(ExperimentId(3), Status::Keep)]);
        records.remove(11);
    });
}

#[test]
fn a_keep_is_not_worse_than_the_incumbent_before_it() {
    breaks(9, "worse than 5", |records| records[8] = measured(ExperimentId(1), 1, Some(5.1)));
    let mut equal = run();
    equal[8] = measured(ExperimentId(1), 1, Some(5.0));
    assert!(journal(&entries(equal)).is_empty(), "less code for the same score");
    // In the other direction the better score is the worse one.
    breaks(9, "worse than 5", |records| {
        let Record::Started(RunHeader { direction, .. }) = &mut records[0] else { panic!() };
        *direction = Direction::Maximise;
    });
}

#[test]
fn the_incumbent_is_what_all_its_measurements_say() {
    // Measured again for experiment 1, the baseline turns out to be better than what replaces it.
    breaks(11, "worse than 3.5", |records| {
        let again = Record::TrialStarted({
            let mut start = TrialStart::new(ExperimentId(1), 2, Side::Incumbent);
            start.seed = 2;
            start
        });
        let mut score = measured(ExperimentId(1), 2, Some(2.0));
        let Record::TrialMeasured(TrialResult { side, .. }) = &mut score else { panic!() };
        *side = Side::Incumbent;
        records.splice(9..9, [again, score]);
    });
}

#[test]
fn an_imported_run_is_not_judged() {
    let table = "a\t1.5\t1\tkeep\tbaseline\nb\t1.6\t1\tkeep\tsimpler\nc\t\t1\tcrash\twider\nd\t\t1\tdiscard\tugly\n";
    let records = crate::import::parse(table, None).records("t", Direction::Minimise);
    assert_eq!(journal(&entries(records)), []);
}

#[test]
fn what_gave_no_number_is_never_kept() {
    breaks(9, "kept without a measurement", |records| records[8] = measured(ExperimentId(1), 1, None));
    breaks(8, "kept without a measurement", |records| drop(records.remove(8)));
    breaks(11, "its last run gave no number", |records| {
        records.splice(9..9, [trial_started(ExperimentId(1), 2), measured(ExperimentId(1), 2, None)]);
    });
    breaks(10, "before its last trial ended", |records| records.insert(9, trial_started(ExperimentId(1), 2)));
    for outcome in [
        Outcome::Crashed { message: "it ended with exit code 1".into(), log: RunLog::default() },
        Outcome::TimedOut { log: RunLog::default() },
        Outcome::OutOfMemory { log: RunLog::default() },
    ] {
        breaks(8, "has a number, but", |records| {
            let Record::TrialMeasured(TrialResult { outcome: ended, .. }) = &mut records[8] else { panic!() };
            *ended = outcome;
        });
    }
}

#[test]
fn runs_are_counted_without_gaps() {
    breaks(7, "trial 2 follows trial 0", |records| records[7] = trial_started(ExperimentId(1), 2));
    breaks(8, "is not in flight", |records| records[8] = measured(ExperimentId(1), 2, Some(4.0)));
    // A trial that was lost with the lab is no gap, and neither is one that failed before the lab died.
    let mut lost = run();
    let again = [
        trial_started(ExperimentId(1), 2),
        measured(ExperimentId(1), 2, None),
        trial_started(ExperimentId(1), 3),
        measured(ExperimentId(1), 3, Some(4.0)),
    ];
    lost.splice(
        7..9,
        [vec![trial_started(ExperimentId(1), 1), Record::Resumed { attached: vec![] }], again.to_vec()].concat(),
    );
    assert_eq!(journal(&entries(lost)), []);
}

#[test]
fn a_keep_is_carried_out_before_the_search_goes_on() {
    breaks(5, "begins out of turn", |records| drop(records.remove(5)));
    breaks(5, "before the last keep was carried out", |records| records.insert(5, rejected()));
    // A run that ends in the middle of a keep may have paid for a proposal beside it.
    let mut records = run();
    let mut cut = rejected();
    let Record::Rejected { description, .. } = &mut cut else { panic!() };
    *description = CANCELLED.into();
    records.insert(5, cut);
    assert_eq!(journal(&entries(records)), []);
    breaks(16, "without a decision", |records| records.insert(16, Record::Adopted { experiment: ExperimentId(2) }));
}

#[test]
fn an_experiment_starts_from_what_was_kept() {
    let never = "starts from no state that was ever kept";
    breaks(FIRST as u64, never, |records| records[FIRST] = staged(ExperimentId(1), Some("c0")));
    breaks(FIRST as u64, never, |records| records[FIRST] = staged(ExperimentId(1), None));
    // A parent is neither a candidate that was discarded nor the candidate behind a keep.
    breaks(16, never, |records| records[16] = staged(ExperimentId(3), Some("k2")));
    breaks(12, never, |records| records[12] = staged(ExperimentId(2), Some("c1")));
    // The incumbent may have moved while the proposal was made.
    let mut late = run();
    late[12] = staged(ExperimentId(2), Some("k0"));
    assert_eq!(journal(&entries(late)), []);
}

#[test]
fn a_baseline_is_kept() {
    let mut records = run()[..4].to_vec();
    records.push(decision(ExperimentId(0), Status::Discard));
    let found = journal(&entries(records));
    assert!(found.len() == 1 && found[0].what.contains("the baseline was not kept"), "{found:?}");
}

#[test]
fn costs_can_be_added_up() {
    for (tokens, calls, dollars, words) in [
        (0, 0, f64::NAN, "NaN dollars"),
        (0, 0, -1.0, "less than nothing"),
        (u64::MAX, 0, 0.0, "tokens cannot be added up"),
        (0, u64::MAX, 0.0, "calls cannot be added up"),
    ] {
        breaks(11, words, |records| {
            let Record::Rejected { cost, .. } = &mut records[11] else { panic!() };
            *cost = Cost { tokens, dollars, calls };
        });
    }
}

#[test]
fn a_crash_leaves_one_torn_line_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut journal = Journal::open(&path).unwrap();
    run().into_iter().for_each(|record| drop(journal.append(record).unwrap()));
    drop(journal);
    let whole = std::fs::read_to_string(&path).unwrap();
    let two = whole.replace("\"seq\":19", "\"seq\":91").replace("\"seq\":20", "\"seq\":02");
    for (text, lost) in [(whole.clone(), Some(0)), (whole[..whole.len() - 9].to_owned(), Some(1)), (two, None)] {
        std::fs::write(&path, text).unwrap();
        let read = Journal::read_all(&path).unwrap();
        match lost {
            Some(lost) => assert_eq!((read.entries.len() + lost, read.is_torn), (run().len(), lost > 0)),
            None => {
                // No crash leaves two: nothing goes on from here without a person.
                assert_eq!((read.foreign.len(), read.is_torn), (2, false));
                assert!(matches!(Journal::open(&path).unwrap_err().fault(), JournalFault::Foreign { count: 2, .. }));
            }
        }
    }
}

#[test]
fn a_table_is_the_journals_or_lacks_the_last_decision() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.tsv");
    let state = |length: usize| State::replay(&entries(run()[..length].to_vec())).unwrap();
    let all = run().len();
    assert_eq!(results(&state(1), &path), Ok(View::Behind), "before the first table");
    assert!(results(&state(all), &path).unwrap_err().what.contains("cannot be read"));

    results::write(&path, &state(FIRST)).unwrap();
    assert_eq!(results(&state(FIRST), &path), Ok(View::Whole));
    assert_eq!(results(&state(10), &path), Ok(View::Behind), "decided and not carried out");
    assert_eq!(results(&state(11), &path), Ok(View::Behind));
    // The next experiment may have been open when this one was decided.
    assert_eq!(results(&state(13), &path), Ok(View::Behind));
    let late = results(&state(16), &path).unwrap_err();
    assert!(late.what.contains("line 3 is ``") && late.what.contains("4.000000\t"), "{late}");

    results::write(&path, &state(all)).unwrap();
    assert_eq!(results(&state(all), &path), Ok(View::Whole));
    let text = std::fs::read_to_string(&path).unwrap();
    for (edited, words) in [
        (text.replace("4.000000", "3.000000"), "line 3 is `k1\t3.000000"),
        (text.clone() + "more\n", "line 6 is `more`"),
        (text.trim_end().to_owned(), "line 6 is `missing`"),
        (String::new(), "line 1 is ``"),
    ] {
        std::fs::write(&path, edited).unwrap();
        let found = results(&state(all), &path).unwrap_err();
        assert!(found.what.contains(words) && found.what.ends_with("the next run writes it anew"), "{found}");
    }
}
