use std::time::{Duration, SystemTime};

use autoresearch_core::internal::journal::{Moment, Record};
use autoresearch_core::{Direction, ExperimentId, Journal, Score, State};

use super::fixtures::{example, records, replay, staged, trial_started};
use super::*;

#[test]
fn every_experiment_has_its_line() {
    let lines: Vec<String> = {
        let state = example();
        state.experiments.iter().map(|e| line(&state, e)).collect()
    };
    assert!(
        lines[0].starts_with("Experiment 000 | ") && lines[0].ends_with("; baseline; 1.500000; baseline; KEPT"),
        "{}",
        lines[0]
    );
    assert!(lines[1].ends_with("; LR 0.1 -> 0.2; 1.500000 -> 1.400000; -0.100000; KEPT"), "{}", lines[1]);
    assert!(lines[2].ends_with("; a | b; 1.400000 -> 1.450000; +0.050000; discarded"), "{}", lines[2]);
    assert!(lines[3].ends_with("; DEPTH 4 -> 40; ended with exit code 1; no number; CRASHED"), "{}", lines[3]);
}

#[test]
fn the_report_counts_and_escapes() {
    let text = markdown(&example(), &[], "Lower val_bpb", "progress.svg");
    let tag = example().header.as_ref().map_or_else(String::new, |header| header.tag.clone());
    assert!(markdown(&example(), &[], &tag, "progress.svg").starts_with(&format!("# {tag}\n")));
    assert!(
        text.contains(
            "3 experiments: 1 kept, 1 discarded, 1 crashed; 0 proposals rejected; val_bpb 1.500000 -> 1.400000, -6.67%"
        ),
        "{text}"
    );
    assert!(text.contains("| a \\| b |"), "{text}");
    assert!(text.contains("- 003 DEPTH 4 -> 40: ended with exit code 1"), "{text}");
    assert!(terminal(&State::default()).contains("0 experiments"));
}

#[test]
fn the_noise_is_told_of_a_run_that_kept_nothing_too() {
    let mut made = records(&[("baseline", Some(1.5)), ("worse", Some(1.6))]);
    assert!(!terminal(&replay(made.clone())).contains("One trial"));
    made.extend((1..).zip([1.49, 1.51, 1.5, 1.48]).map(|(seed, score)| Record::Audited {
        experiment: ExperimentId(0),
        seed,
        score: Score::new(score).unwrap(),
    }));
    let text = terminal(&replay(made));
    assert!(
        text.contains("One trial differs from another of the same code by") && !text.contains("| keep |"),
        "{text}"
    );
}

#[test]
fn a_suspend_is_told() {
    let mut state = example();
    assert!(!markdown(&state, &[], "t", "p").contains("suspended"));
    state.suspended = Duration::from_secs(7380);
    for text in [markdown(&state, &[], "t", "p"), terminal(&state)] {
        assert!(text.contains("; the machine was suspended for 2h 03m, which no limit counts"), "{text}");
    }
}

#[test]
fn a_run_lasts_until_it_stops_and_not_until_it_is_audited() {
    let mut made = records(&[("baseline", Some(1.5))]);
    made.extend([staged(1, "interrupted"), trial_started(1, 1), Record::Stopped { reason: "interrupted".into() }]);
    let mut journal = Journal::in_memory();
    let mut entries: Vec<_> = made.into_iter().map(|record| journal.append(record).unwrap()).collect();
    let audited = Record::Audited { experiment: ExperimentId(0), seed: 1, score: Score::new(1.5).unwrap() };
    entries.push(journal.append(audited).unwrap());
    for (number, entry) in (0..).zip(&mut entries) {
        entry.at = Moment::from(SystemTime::UNIX_EPOCH + Duration::from_secs(10 * number));
    }
    // The third of ten records starts the baseline's trial, and the ninth says that the run has stopped.
    let text = terminal(&State::replay(&entries).unwrap());
    assert!(entries.len() == 10 && text.contains("\n1m 00s in all: "), "{text}");
}

#[test]
fn a_decision_against_strict_improvement_is_named() {
    assert!(
        !markdown(&example(), &[], "t", "p").contains(deviations::TITLE)
            && !terminal(&example()).contains(deviations::TITLE)
    );
    let table =
        "a\t1.5\t1\tkeep\tbaseline\nb\t1.6\t1\tkeep\tsimpler\nc\t1.2\t1\tkeep\twider\nd\t1.1\t1\tdiscard\tugly\n";
    let mut journal = Journal::in_memory();
    let records = autoresearch_core::internal::import::parse(table, None).records("t", Direction::Minimise);
    let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
    let state = State::replay(&entries).unwrap();
    let list = "- 001 simpler: 1.500000 -> 1.600000, KEPT (worse by 0.100000)\n\
                - 003 ugly: 1.200000 -> 1.100000, discarded (better by 0.100000)\n";
    for text in [markdown(&state, &[], "t", "p"), terminal(&state)] {
        assert!(text.contains(deviations::TITLE) && text.contains(list), "{text}");
        assert!(!text.contains("in all:") && !text.contains("git log"), "nothing is said that is not known: {text}");
    }
    let text = markdown(&state, &[], "t", "p");
    assert!(text.contains("- 0.400000: wider") && !text.contains("0.100000: simpler"), "a loss is no gain: {text}");
}

#[test]
fn durations_are_short() {
    let text = [5, 65, 3600 * 8 + 12 * 60].map(|s| duration(Duration::from_secs(s)));
    assert_eq!(text, ["5s", "1m 05s", "8h 12m"]);
}
