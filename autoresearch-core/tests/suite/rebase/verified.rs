//! `verify` over a repository in which a candidate was rebased.

use autoresearch_core::Side;
use autoresearch_core::internal::journal::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use autoresearch_core::internal::verify;
use autoresearch_core::*;

use super::{Fixture, rebase, stage, with, write};

/// The records of a run with three experiments in flight: the first is kept, and the second is rebased onto it.
struct RebasedRun {
    fixture: Fixture,
    records: Vec<Record>,
}

fn staged(experiment: u32, parent: Option<&Revision>, candidate: &Candidate) -> Record {
    Record::Staged(StagedExperiment::new(ExperimentId(experiment), parent.cloned(), candidate.clone()))
}

fn measured(experiment: u32, trial: u32, score: f64) -> [Record; 2] {
    let (side, fidelity) = (Side::Candidate, 1.0);
    let result = Ok(Measurement::new(Score::new(score).unwrap()));
    let outcome = Outcome::Completed(RunLog::default());
    [
        Record::TrialStarted({
            let mut start = TrialStart::new(ExperimentId(experiment), trial, side);
            start.fidelity = fidelity;
            start
        }),
        Record::TrialMeasured({
            let mut ended = TrialResult::new(ExperimentId(experiment), trial, side, outcome, result);
            ended.fidelity = fidelity;
            ended
        }),
    ]
}

fn decided(experiment: u32, to: Option<&Revision>) -> Record {
    let (status, to) = (if to.is_some() { Status::Keep } else { Status::Discard }, to.cloned());
    Record::Decided({
        let mut decision = Decision::new(ExperimentId(experiment), status);
        decision.kept_as = to;
        decision
    })
}

impl RebasedRun {
    async fn new() -> RebasedRun {
        let fixture = Fixture::new();
        let (sandbox, base) = (fixture.sandbox(), fixture.head());
        let start = sandbox.baseline().await.unwrap();
        let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(2, "one")]))).await;
        let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(8, "two")]))).await;
        let three = stage(&sandbox, 3, &base, &write("src/a.txt", with(&[(14, "three")]))).await;
        let rebased = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
        let kept = sandbox.commit(&one, Some(&base), "kept").await.unwrap();
        sandbox.adopt(None, &base).await.unwrap();
        sandbox.adopt(Some(&base), &kept).await.unwrap();
        let header = Record::Started({
            let mut header = RunHeader::new("test", "score", Direction::Minimise);
            header.base = Some(base.clone());
            header
        });
        let mut records = vec![header, staged(0, None, &start)];
        records.extend(measured(0, 1, 5.0));
        records.extend([decided(0, Some(&base)), Record::Adopted { experiment: ExperimentId(0) }]);
        for (experiment, candidate) in [(1, &one), (2, &two), (3, &three)] {
            records.push(staged(experiment, Some(&base), candidate));
            records.extend(measured(experiment, 1, 4.0));
        }
        records.extend([decided(1, Some(&kept)), Record::Adopted { experiment: ExperimentId(1) }]);
        records.push(Record::Rebased {
            experiment: ExperimentId(2),
            parent: one.revision,
            candidate: rebased,
            in_merge_queue: true,
        });
        RebasedRun { fixture, records }
    }

    fn violations(&self) -> Vec<String> {
        let mut journal = Journal::in_memory();
        let entries: Vec<_> = self.records.iter().map(|record| journal.append(record.clone()).unwrap()).collect();
        let journal = verify::journal(&entries);
        let repository = verify::repository(&State::replay(&entries).unwrap(), &self.fixture.lineage()).unwrap();
        journal.iter().chain(&repository).map(ToString::to_string).collect()
    }

    #[track_caller]
    fn breaks(&self, words: &[&str]) {
        let found = self.violations();
        assert!(found.len() == 1 && words.iter().all(|word| found[0].contains(word)), "{words:?}: {found:#?}");
    }

    fn pin(&self, name: &str, to: &str) {
        self.fixture.git(&["update-ref", &format!("refs/autoresearch/test/exp/{name}"), to]);
    }

    fn unpin(&self, name: &str) {
        self.fixture.git(&["update-ref", "-d", &format!("refs/autoresearch/test/exp/{name}")]);
    }
}

#[tokio::test]
async fn every_candidate_of_a_rebased_experiment_is_pinned_and_follows_its_own_parent() {
    let mut run = RebasedRun::new().await;
    assert_eq!(run.violations(), [""; 0]);
    let pins = run.fixture.pins();
    run.unpin("2.1");
    run.breaks(&["experiment 2 after its rebase 1 is not pinned", &pins["2.1"]]);
    run.pin("2.1", &pins["2"]);
    run.breaks(&["exp/2.1 is at", "but the candidate of experiment 2 after its rebase 1 is"]);
    run.pin("2.1", &pins["2.1"]);
    run.pin("2", &pins["2.1"]);
    run.breaks(&["exp/2 is at", "but the candidate of experiment 2 is"]);
    run.pin("2", &pins["2"]);

    // The next rebase of an open experiment is pinned before it is journaled; no other name may have a pin.
    run.pin("2.2", &pins["1"]);
    run.pin("3.1", &pins["1"]);
    assert_eq!(run.violations(), [""; 0]);
    for name in ["2.3", "3.2", "1.1", "5", "4.1"] {
        run.pin(name, &pins["1"]);
        run.breaks(&[&format!("exp/{name} belongs to no experiment")]);
        run.unpin(name);
    }
    // Rebased, it was found to equal another, and was discarded: the pin stays.
    run.records.push(decided(3, None));
    assert_eq!(run.violations(), [""; 0]);
    run.unpin("2.2");

    // Kept, it follows the incumbent before it, with the measured files.
    let sandbox = run.fixture.sandbox();
    let rebased = Candidate::new(pins["2.1"].clone());
    let incumbent = Revision(run.fixture.git(&["rev-parse", "autoresearch/test"]));
    let kept = sandbox.commit(&rebased, Some(&incumbent), "kept too").await.unwrap();
    sandbox.adopt(Some(&incumbent), &kept).await.unwrap();
    run.records.extend(measured(2, 2, 3.0));
    run.records.extend([decided(2, Some(&kept)), Record::Adopted { experiment: ExperimentId(2) }]);
    assert_eq!(run.violations(), [""; 0]);
    run.pin("2.2", &pins["1"]);
    run.breaks(&["exp/2.2 belongs to no experiment"]);
}

#[tokio::test]
async fn a_rebased_commit_that_follows_something_else_is_noticed() {
    let mut run = RebasedRun::new().await;
    let Some(Record::Rebased { candidate, .. }) = run.records.last_mut() else { panic!() };
    let (who, tree) = (["-c", "user.name=u", "-c", "user.email=u@x"], format!("{}^{{tree}}", candidate.revision));
    let other = run.fixture.git(&[&who[..], &["commit-tree", "-m", "other", "-p", "main", &tree]].concat());
    candidate.revision = Revision(other.clone());
    run.pin("2.1", &other);
    run.breaks(&["experiment 2 after its rebase 1", "does not follow its parent in the journal"]);
}
