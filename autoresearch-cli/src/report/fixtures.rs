//! States and records for the tests of reports.

use autoresearch_core::journal::Record;
use autoresearch_core::ratchet::Side;
use autoresearch_core::{
    Candidate, Cost, Direction, Journal, Measurement, Outcome, Revision, RunLog, Score, State, Status,
};

/// A small run: baseline, a keep, a discard, a crash.
pub fn example() -> State {
    run_of(&[("baseline", Some(1.5)), ("LR 0.1 -> 0.2", Some(1.4)), ("a | b", Some(1.45)), ("DEPTH 4 -> 40", None)])
}

/// A run of these descriptions and scores, under the strict rule.
pub fn run_of(experiments: &[(&str, Option<f64>)]) -> State {
    let mut journal = Journal::in_memory();
    let append = |record| journal.append(record).unwrap();
    State::replay(&records(experiments).into_iter().map(append).collect::<Vec<_>>()).unwrap()
}

/// The records of such a run.
pub fn records(experiments: &[(&str, Option<f64>)]) -> Vec<Record> {
    let mut records = vec![];
    let mut add = |record| records.push(record);
    add(Record::Started {
        tag: "test".into(),
        base: None,
        metric: "val_bpb".into(),
        direction: Direction::Minimise,
        policy: "p".into(),
        seed: 1,
        rule: String::new(),
    });
    let mut best = f64::INFINITY;
    for (number, (description, score)) in experiments.iter().enumerate() {
        let experiment = number as u32;
        let revision = Revision(format!("{:07x}", 0xabc0000 + number));
        let candidate = Candidate { revision: revision.clone(), fingerprint: revision.0.clone(), added_lines: 0 };
        add(Record::Staged {
            experiment,
            parent: None,
            candidate,
            description: (*description).into(),
            hypothesis: String::new(),
            change: serde_json::Value::Null,
            cost: Cost::default(),
            proposer: String::new(),
            design: None,
            remaining: None,
        });
        add(Record::TrialStarted {
            experiment,
            attempt: 1,
            side: Side::Candidate,
            seed: 1,
            fidelity: 1.0,
            class: String::new(),
        });
        let result = score.map(|s| Measurement::new(Score::new(s).unwrap())).ok_or("it crashed".to_owned());
        let keep = score.is_some_and(|s| s < best);
        best = best.min(score.unwrap_or(best));
        add(Record::TrialMeasured {
            experiment,
            attempt: 1,
            side: Side::Candidate,
            fidelity: 1.0,
            outcome: Outcome::Completed(RunLog::default()),
            result,
        });
        let status = if keep {
            Status::Keep
        } else if score.is_some() {
            Status::Discard
        } else {
            Status::Crash
        };
        let reason = if status == Status::Crash { "ended with exit code 1" } else { "" };
        add(Record::Decided {
            experiment,
            status,
            reason: reason.into(),
            to: keep.then_some(revision),
            reference: None,
            alpha: None,
            excursion: None,
        });
        if keep {
            add(Record::Adopted { experiment });
        }
    }
    records
}
