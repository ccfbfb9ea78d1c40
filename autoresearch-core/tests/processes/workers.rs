//! Runs with several workers in a real repository. Whatever is in flight when the incumbent moves, and whenever the lab is
//! stopped or dies, the lineage is one line of measured revisions, and every candidate is pinned as the journal says.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::Commands;
use autoresearch_core::Side;
use autoresearch_core::Slot;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::journal::{Entry, Record, TrialResult};
use autoresearch_core::internal::verify;
use autoresearch_core::internal::verify::View;
use autoresearch_core::*;

/// Line of the program, and its replacement, of each proposal. The program's score is the sum of the numbers.
const CHANGES: [(&str, &str); 10] = [
    ("a=9", "a=7"),
    ("b=9", "b=8"),
    ("a=9", "a=6"), // Contradicts the first.
    ("c=9", "c=10"),
    ("c=9", "c=5"),
    ("d=9", "exit 3"),
    ("d=9", "d=1"),
    ("b=9", "b=8 # the same score, and the same lines"),
    ("e=9", "e=8"),
    ("a=9", "a=8"),
];

/// A run of the program. The first two changes, both better, wait for each other, 5 s at most: on a machine that is busy one could else
/// be decided before the other begins, and nothing would be in flight when the incumbent moves.
const RUN: &str = r#"
. {built}/program
score=$((a + b + c + d + e))
if [ $score -lt 45 ]; then
    : > $SHARED/began.$$
    for wait in $(seq 100); do
        [ $(ls $SHARED | grep -c began) -ge 2 ] && break
        sleep 0.05
    done
fi
sleep 0.0$((AUTORESEARCH_SEED % 7))
echo score: $score"#;

/// Environment variable with the folder of the run that a lab continues.
const FOLDER: &str = "WORKERS_SUITE_FOLDER";

struct Scripted;

#[async_trait]
impl Proposer for Scripted {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let (from, to) =
            CHANGES.get(context.proposals()).ok_or_else(|| ProposerError::Exhausted("no more proposals".into()))?;
        Ok(Proposal::new(Patch::replace("value.sh", format!("{from}\n"), format!("{to}\n")), format!("{from} to {to}")))
    }
}

/// The same, but the first change is measured while the third, which contradicts it, waits in the merge queue behind the second: each
/// waits for what comes before it. A trial that still builds when the incumbent moves would be cancelled, so the second waits for
/// the others' runs, not for their starts.
const LATE: &str = r#"
. {built}/program
come() {
    looks=0
    while [ $looks -lt 600 ] && ! cat $SHARED/runs $SHARED/../run/journal.jsonl | grep -q "$1"; do
        looks=$((looks + 1))
        sleep 0.05
    done
}
echo "run of $a$b" >> $SHARED/runs
case $a$b in
    98) come 'run of 69'; come 'run of 79' ;;
    69) come '"decided","experiment":2' ;;
    79) come '"rebased","experiment":3' ;;
    68) come '"trial_measured","experiment":1' ;;
esac
echo score: $((a + b + c + d + e))"#;

struct Fixture {
    folder: PathBuf,
    /// A run of the program.
    script: &'static str,
    /// Removes the folder in the end.
    _owned: Option<tempfile::TempDir>,
}

impl Fixture {
    fn new() -> Fixture {
        let owned = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let fixture = Fixture { folder: owned.path().to_owned(), script: RUN, _owned: Some(owned) };
        std::fs::create_dir(fixture.repo()).unwrap();
        let lines = ["a", "b", "c", "d", "e"].map(|name| format!("{name}=9\n# Lines between\n# the others.\n"));
        std::fs::write(fixture.repo().join("value.sh"), lines.concat()).unwrap();
        test_fixtures::init(&fixture.repo());
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.join("repo")
    }

    fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    fn git(&self, arguments: &[&str]) -> String {
        test_fixtures::git(&self.repo(), arguments).trim_end().to_owned()
    }

    fn lineage(&self) -> Lineage {
        Lineage::open(&self.repo(), "test").unwrap()
    }

    fn lab(&self, workers: &Workers) -> Lab<Patch> {
        let sh = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
        let commands = Commands {
            editable: EditablePaths::new(["value.sh"]),
            // All slots write the same file elsewhere: `keeps` gives each trial its own copy.
            build: sh("cp value.sh $SHARED/program"),
            keeps: vec![self.folder.join("shared/program")],
            run: sh(self.script),
            environment: vec![("SHARED".into(), self.folder.join("shared").into())],
            ..Commands::default()
        };
        std::fs::create_dir_all(self.folder.join("shared")).unwrap();
        let slots = (0..workers.slots()).map(|slot| Slot::new(self.folder.join(format!("slot-{slot}"))));
        let logs = self.run().join("logs");
        let sandbox = CommandSandbox::local(&self.repo(), "test", commands, slots, logs).unwrap();
        let mut settings = Settings::new("test", Duration::from_secs(60));
        settings.base = Some(sandbox.base().clone());
        settings.results = Some(self.run().join("results.tsv"));
        settings.loss_limit = 1000;
        settings.workers = workers.clone();
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let journal = Journal::open(&self.run().join("journal.jsonl")).unwrap();
        let program = Program::parse("Lower it.").unwrap();
        Lab::builder(Arc::new(sandbox), Box::new(Scripted), metric)
            .ratchet(Arc::new(Strict))
            .program(program)
            .settings(settings)
            .open_journal(journal)
            .build()
            .unwrap()
    }

    /// Continues the run in another process, to its end or until that process dies at the `at`-th point. Returns the names of
    /// the points that it passed, if it does not die.
    fn go_on_elsewhere(&self, at: Option<usize>) -> (ExitStatus, Vec<String>) {
        let list = self.folder.join("points.txt");
        let mut lab = Command::new(std::env::current_exe().unwrap());
        lab.args(["--exact", "workers::lab_to_be_killed", "--test-threads=1"]).env(FOLDER, &self.folder);
        match at {
            Some(at) => lab.env("AUTORESEARCH_FAIL_AT", at.to_string()),
            None => lab.env("AUTORESEARCH_FAIL_LIST", &list),
        };
        let status = lab.stdout(Stdio::null()).status().unwrap();
        let points = std::fs::read_to_string(&list).unwrap_or_default();
        (status, points.lines().map(str::to_owned).collect())
    }

    fn entries(&self) -> Vec<Entry> {
        let path = self.run().join("journal.jsonl");
        if path.exists() { Journal::read(&path).unwrap() } else { Vec::new() }
    }

    /// Checks the run and its table of results. Returns the state.
    #[track_caller]
    fn sound(&self, what: &str) -> State {
        let state = self.sound_but_for_the_table(what);
        assert_eq!(verify::results(&state, &self.run().join("results.tsv")), Ok(View::Whole), "{what}");
        state
    }

    /// Checks the run without its table, which may lag behind by one decision after the lab has died.
    #[track_caller]
    fn sound_but_for_the_table(&self, what: &str) -> State {
        let entries = self.entries();
        let state = State::replay(&entries).unwrap();
        assert_eq!(verify::journal(&entries), [], "{what}");
        assert_eq!(verify::decisions(&entries, &Strict).1, [], "{what}");
        assert_eq!(verify::repository(&state, &self.lineage()).unwrap(), [], "{what}");
        assert_eq!(verify::fsck(&self.lineage()), Some(vec![]), "{what}");
        assert!(verify::results(&state, &self.run().join("results.tsv")).is_ok(), "{what}");
        assert_eq!(measured_twice(&entries), [], "{what}");
        state
    }

    /// Checks a finished run, whose result depends on nothing that was in flight at once.
    #[track_caller]
    fn assert_finished(&self, what: &str) -> State {
        let state = self.sound(what);
        assert_eq!(
            (state.experiments.len() + state.rejections.len(), state.open.len()),
            (CHANGES.len() + 1, 0),
            "{what}"
        );
        let incumbent = state.incumbent.as_ref().unwrap();
        // The incumbent's score is that of its files.
        let text = self.git(&["show", "autoresearch/test:value.sh"]);
        let numbers = text.lines().filter_map(|line| line.split_once('=')?.1.split(' ').next()?.parse::<u32>().ok());
        assert_eq!(incumbent.arm.mean().unwrap().get(), f64::from(numbers.sum::<u32>()), "{what}");
        // It has every change that contradicts no other.
        for line in ["b=8", "c=5", "d=1", "e=8"] {
            assert!(text.contains(line), "{what}: {line} is missing in {text}");
        }
        assert_eq!(self.git(&["rev-list", "--merges", "autoresearch/test"]), "");
        let kept = state.experiments.iter().filter(|experiment| experiment.status == Status::Keep).count();
        assert_eq!(self.git(&["rev-list", "autoresearch/test"]).lines().count(), kept, "{what}");
        state
    }
}

/// Candidates that were measured more than once, which strict improvement never asks for.
fn measured_twice(entries: &[Entry]) -> Vec<(ExperimentId, usize)> {
    let (mut moves, mut runs) =
        (BTreeMap::<ExperimentId, usize>::new(), BTreeMap::<(ExperimentId, usize), usize>::new());
    for entry in entries {
        match &entry.record {
            Record::Rebased { experiment, .. } => *moves.entry(*experiment).or_default() += 1,
            Record::TrialMeasured(TrialResult { experiment, side: Side::Candidate, .. }) => {
                *runs.entry((*experiment, moves.get(experiment).copied().unwrap_or(0))).or_default() += 1;
            }
            _ => {}
        }
    }
    runs.into_iter().filter(|(_, runs)| *runs > 1).map(|(candidate, _)| candidate).collect()
}

fn three() -> Workers {
    let mut workers = Workers::new(3);
    workers.builders = 1;
    workers
}

#[tokio::test]
async fn what_was_in_flight_when_the_incumbent_moved_is_measured_on_it() {
    for (count, builders) in [(2, 0), (2, 2), (4, 2)] {
        let mut workers = Workers::new(count);
        workers.builders = builders;
        let fixture = Fixture::new();
        let reason = fixture.lab(&workers).run(&Cancel::new()).await.unwrap();
        assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
        let state = fixture.assert_finished(&format!("{count} workers, {builders} builds ahead"));
        let moved = state.experiments.iter().filter(|experiment| !experiment.rebased.is_empty());
        assert!(moved.count() > 0, "nothing was moved");
    }
}

#[tokio::test]
async fn what_contradicts_a_candidate_in_the_merge_queue_takes_nothing_back_that_it_does_not_contradict() {
    let fixture = Fixture { script: LATE, ..Fixture::new() };
    fixture.lab(&Workers::new(3)).run(&Cancel::new()).await.unwrap();
    let state = fixture.assert_finished("the first change is late");
    let place = |experiment: u32| state.experiments.iter().position(|made| made.id == ExperimentId(experiment));
    assert!(place(2) < place(3) && place(3) < place(1), "the third was decided after the second and before the first");
}

#[tokio::test]
async fn a_run_with_several_workers_may_be_stopped_at_any_event() {
    for every in test_fixtures::one_in(2, [3, 7, 11]) {
        let fixture = Fixture::new();
        for round in 1.. {
            let (cancel, seen) = (Cancel::new(), AtomicUsize::new(0));
            let stop = {
                let cancel = cancel.clone();
                // Later each time, so that the run comes to its end.
                let last = every + round / 2;
                move |_: &Event<'_>| {
                    if seen.fetch_add(1, Ordering::Relaxed) == last {
                        cancel.cancel();
                    }
                }
            };
            let reason = fixture.lab(&three()).observed_by(Arc::new(stop)).run(&cancel).await.unwrap();
            if !matches!(reason, StopReason::Cancelled) {
                break;
            }
            fixture.sound(&format!("stopped after {every} events, round {round}"));
        }
        fixture.assert_finished(&format!("stopped after {every} events"));
    }
}

/// The lab of the next test: one run, until somebody kills it.
#[tokio::test]
async fn lab_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let fixture = Fixture { folder: Path::new(&folder).to_owned(), script: RUN, _owned: None };
    fixture.lab(&three()).run(&Cancel::new()).await.unwrap();
}

/// Lets the first lab of a run die at the `at`-th point, and continues the run. Returns whether the lab died: with several
/// workers no two runs pass the same points, and this one may have passed fewer.
fn dies_at(at: usize) -> bool {
    let (fixture, what) = (Fixture::new(), format!("died at point {at}"));
    let (status, _) = fixture.go_on_elsewhere(Some(at));
    let died = status.signal() == Some(9);
    if died {
        fixture.sound_but_for_the_table(&what);
    }
    let acknowledged = fixture.entries();
    let (status, _) = fixture.go_on_elsewhere(None);
    assert!(status.success(), "{what}: {status}");
    assert_eq!(fixture.entries()[..acknowledged.len()], acknowledged, "{what}");
    fixture.assert_finished(&what);
    died
}

#[test]
fn a_lab_of_several_workers_may_die_at_any_write_boundary() {
    let (status, points) = Fixture::new().go_on_elsewhere(None);
    assert!(status.success() && points.len() > 300, "{status}, {} points", points.len());
    let sample = test_fixtures::sampled(points.len(), 30);
    let [next, killed, violations] = [0, 0, 0].map(AtomicUsize::new);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(at) = sample.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match std::panic::catch_unwind(|| dies_at(*at)) {
                        Ok(died) => killed.fetch_add(usize::from(died), Ordering::Relaxed),
                        Err(_) => violations.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    let [killed, violations] = [killed, violations].map(AtomicUsize::into_inner);
    println!("evidence crash-workers points {} kills {killed} violations {violations}", points.len());
    assert!(violations == 0, "{violations} cases are told above");
    assert!(killed > test_fixtures::by_default_or_thorough(6, 300), "only {killed} harnesses died");
}
