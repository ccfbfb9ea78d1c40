//! States and records for the tests of reports.

use autoresearch_core::Side;
use autoresearch_core::internal::journal::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use autoresearch_core::{
    Candidate, Direction, ExperimentId, Journal, Measurement, Outcome, Revision, RunLog, Score, State, Status,
};

/// A small run: baseline, a keep, a discard, a crash.
pub fn example() -> State {
    run_of(&[("baseline", Some(1.5)), ("LR 0.1 -> 0.2", Some(1.4)), ("a | b", Some(1.45)), ("DEPTH 4 -> 40", None)])
}

/// A run of these descriptions and scores, under the strict rule.
pub fn run_of(experiments: &[(&str, Option<f64>)]) -> State {
    replay(records(experiments))
}

/// The state that these records add up to.
pub fn replay(records: Vec<Record>) -> State {
    let mut journal = Journal::in_memory();
    let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
    State::replay(&entries).unwrap()
}

/// The first record of a run that minimises `val_bpb`.
pub fn started() -> Record {
    Record::Started(RunHeader::new("test", "val_bpb", Direction::Minimise))
}

/// The record of an experiment whose candidate has a revision of its own.
pub fn staged(experiment: u32, description: &str) -> Record {
    let mut staged = StagedExperiment::new(ExperimentId(experiment), None, Candidate::new(revision(experiment).0));
    staged.description = description.into();
    Record::Staged(staged)
}

/// The revision of an experiment's candidate.
pub fn revision(experiment: u32) -> Revision {
    Revision(format!("{:07x}", 0x0abc_0000 + experiment))
}

/// The start of a trial of a candidate on the full budget.
pub fn trial_started(experiment: u32, trial: u32) -> Record {
    Record::TrialStarted(TrialStart::new(ExperimentId(experiment), trial, Side::Candidate))
}

/// A measurement of this score and nothing else.
pub fn measurement(score: f64) -> Measurement {
    Measurement::new(Score::new(score).unwrap())
}

/// The decision on an experiment; a keep makes its candidate the incumbent.
pub fn decided(experiment: u32, status: Status, reason: &str) -> Record {
    let mut decision = Decision::new(ExperimentId(experiment), status);
    decision.reason = reason.into();
    decision.kept_as = (status == Status::Keep).then(|| revision(experiment));
    Record::Decided(decision)
}

/// The records of such a run.
pub fn records(experiments: &[(&str, Option<f64>)]) -> Vec<Record> {
    let mut records = vec![started()];
    let mut best = f64::INFINITY;
    for (experiment, (description, score)) in (0..).zip(experiments) {
        let result = score.map(measurement).ok_or("it crashed".to_owned());
        let (status, reason) = match score {
            Some(score) if *score < best => (Status::Keep, ""),
            Some(_) => (Status::Discard, ""),
            None => (Status::Crash, "ended with exit code 1"),
        };
        best = best.min(score.unwrap_or(best));
        let outcome = Outcome::Completed(RunLog::default());
        records.extend([
            staged(experiment, description),
            trial_started(experiment, 1),
            Record::TrialMeasured(TrialResult::new(ExperimentId(experiment), 1, Side::Candidate, outcome, result)),
            decided(experiment, status, reason),
        ]);
        if status == Status::Keep {
            records.push(Record::Adopted { experiment: ExperimentId(experiment) });
        }
    }
    records
}
