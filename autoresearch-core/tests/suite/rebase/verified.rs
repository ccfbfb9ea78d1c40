//! What `verify` says of a repository in which a candidate was moved.

use autoresearch_core::Side;
use autoresearch_core::internal::journal::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use autoresearch_core::internal::verify;
use autoresearch_core::*;

use super::{Place, rebase, stage, with, write};

/// The records of a run with three experiments in flight: the first is kept, and the second is moved onto that.
struct Night {
    place: Place,
    records: Vec<Record>,
}

fn intent(experiment: u32, parent: Option<&Revision>, candidate: &Candidate) -> Record {
    Record::Staged(StagedExperiment::new(experiment, parent.cloned(), candidate.clone()))
}

fn measured(experiment: u32, attempt: u32, score: f64) -> [Record; 2] {
    let (side, fidelity) = (Side::Candidate, 1.0);
    let result = Ok(Measurement::new(Score::new(score).unwrap()));
    let outcome = Outcome::Completed(RunLog::default());
    [
        Record::TrialStarted({
            let mut start = TrialStart::new(experiment, attempt, side);
            start.fidelity = fidelity;
            start
        }),
        Record::TrialMeasured({
            let mut ended = TrialResult::new(experiment, attempt, side, outcome, result);
            ended.fidelity = fidelity;
            ended
        }),
    ]
}

fn decided(experiment: u32, to: Option<&Revision>) -> Record {
    let (status, to) = (if to.is_some() { Status::Keep } else { Status::Discard }, to.cloned());
    Record::Decided({
        let mut decision = Decision::new(experiment, status);
        decision.kept_as = to;
        decision
    })
}

impl Night {
    async fn new() -> Night {
        let place = Place::new();
        let (sandbox, base) = (place.sandbox(), place.head());
        let start = sandbox.baseline().await.unwrap();
        let one = stage(&sandbox, 1, &base, &write("src/a.txt", with(&[(2, "one")]))).await;
        let two = stage(&sandbox, 2, &base, &write("src/a.txt", with(&[(8, "two")]))).await;
        let three = stage(&sandbox, 3, &base, &write("src/a.txt", with(&[(14, "three")]))).await;
        let moved = rebase(&sandbox, (2, 1), &two, &base, &one.revision).await.unwrap();
        let kept = sandbox.commit(&one, Some(&base), "kept").await.unwrap();
        sandbox.adopt(None, &base).await.unwrap();
        sandbox.adopt(Some(&base), &kept).await.unwrap();
        let header = Record::Started({
            let mut header = RunHeader::new("test", "score", Direction::Minimise);
            header.base = Some(base.clone());
            header
        });
        let mut records = vec![header, intent(0, None, &start)];
        records.extend(measured(0, 1, 5.0));
        records.extend([decided(0, Some(&base)), Record::Adopted { experiment: 0 }]);
        for (experiment, candidate) in [(1, &one), (2, &two), (3, &three)] {
            records.push(intent(experiment, Some(&base), candidate));
            records.extend(measured(experiment, 1, 4.0));
        }
        records.extend([decided(1, Some(&kept)), Record::Adopted { experiment: 1 }]);
        records.push(Record::Rebased { experiment: 2, parent: one.revision, candidate: moved, in_merge_queue: true });
        Night { place, records }
    }

    fn violations(&self) -> Vec<String> {
        let mut journal = Journal::in_memory();
        let entries: Vec<_> = self.records.iter().map(|record| journal.append(record.clone()).unwrap()).collect();
        let journal = verify::journal(&entries);
        let repository = verify::repository(&State::replay(&entries).unwrap(), &self.place.lineage()).unwrap();
        journal.iter().chain(&repository).map(ToString::to_string).collect()
    }

    #[track_caller]
    fn breaks(&self, words: &[&str]) {
        let found = self.violations();
        assert!(found.len() == 1 && words.iter().all(|word| found[0].contains(word)), "{words:?}: {found:#?}");
    }

    fn pin(&self, name: &str, to: &str) {
        self.place.git(&["update-ref", &format!("refs/autoresearch/test/exp/{name}"), to]);
    }

    fn unpin(&self, name: &str) {
        self.place.git(&["update-ref", "-d", &format!("refs/autoresearch/test/exp/{name}")]);
    }
}

#[tokio::test]
async fn every_candidate_of_a_moved_experiment_is_pinned_and_follows_its_own_parent() {
    let mut night = Night::new().await;
    assert_eq!(night.violations(), [""; 0]);
    let pins = night.place.pins();
    night.unpin("2.1");
    night.breaks(&["experiment 2 after its rebase 1 is not pinned", &pins["2.1"]]);
    night.pin("2.1", &pins["2"]);
    night.breaks(&["exp/2.1 is at", "but the candidate of experiment 2 after its rebase 1 is"]);
    night.pin("2.1", &pins["2.1"]);
    night.pin("2", &pins["2.1"]);
    night.breaks(&["exp/2 is at", "but the candidate of experiment 2 is"]);
    night.pin("2", &pins["2"]);

    // What an open experiment is moved to next is journaled only when it is pinned; nothing else may lie there.
    night.pin("2.2", &pins["1"]);
    night.pin("3.1", &pins["1"]);
    assert_eq!(night.violations(), [""; 0]);
    for name in ["2.3", "3.2", "1.1", "5", "4.1"] {
        night.pin(name, &pins["1"]);
        night.breaks(&[&format!("exp/{name} belongs to no experiment")]);
        night.unpin(name);
    }
    // Moved, it was found to be the same as another, and discarded: the pin stays.
    night.records.push(decided(3, None));
    assert_eq!(night.violations(), [""; 0]);
    night.unpin("2.2");

    // Kept, it follows the incumbent before it, with the files that were measured.
    let sandbox = night.place.sandbox();
    let moved = Candidate::new(pins["2.1"].clone());
    let incumbent = Revision(night.place.git(&["rev-parse", "autoresearch/test"]));
    let kept = sandbox.commit(&moved, Some(&incumbent), "kept too").await.unwrap();
    sandbox.adopt(Some(&incumbent), &kept).await.unwrap();
    night.records.extend(measured(2, 2, 3.0));
    night.records.extend([decided(2, Some(&kept)), Record::Adopted { experiment: 2 }]);
    assert_eq!(night.violations(), [""; 0]);
    night.pin("2.2", &pins["1"]);
    night.breaks(&["exp/2.2 belongs to no experiment"]);
}

#[tokio::test]
async fn a_rebased_commit_that_follows_something_else_is_noticed() {
    let mut night = Night::new().await;
    let Some(Record::Rebased { candidate, .. }) = night.records.last_mut() else { panic!() };
    let (who, tree) = (["-c", "user.name=u", "-c", "user.email=u@x"], format!("{}^{{tree}}", candidate.revision));
    let other = night.place.git(&[&who[..], &["commit-tree", "-m", "other", "-p", "main", &tree]].concat());
    candidate.revision = Revision(other.clone());
    night.pin("2.1", &other);
    night.breaks(&["experiment 2 after its rebase 1", "does not follow its parent in the journal"]);
}
