//! Promises of a ratchet search, over random histories: scores, ties, crashes, timeouts, NaN, rejected proposals and
//! duplicates, in both directions, with interruptions, power cuts at any operation, full disks, torn writes, a second writer
//! and somebody who moves the incumbent. The model is an account of the same script in a few lines; the machine is in memory
//! and as strict as a disk: writes that were not synced may be gone.
//!
//! The invariants are those of the write order (`docs/durability.md`). Each protection, taken away, makes a test fail; these
//! are the mutations that `cargo xtask evidence durable-core --only mutations` makes one by one in a copy of the crate:
//!
//! | invariant | protection | what is taken away | seen by |
//! |---|---|---|---|
//! | the incumbent never gets worse | [`Strict`], [`MinGain`] | ties are kept | semantics |
//! | NaN is never kept | [`Score::new`] | any number is a score | semantics |
//! | a crash is never kept | [`Metric::read`] | a trial without a number is judged | semantics |
//! | 1 the incumbent is that of a durable keep | the decision comes first | the incumbent moves before the decision | semantics |
//! | 2 the incumbent is the last keep, or the one before while unadopted | recovery redoes the move | it does not | semantics |
//! | 2 an incumbent that somebody moved stops the search | it is checked when a run is resumed | it is not | semantics |
//! | 3 no acknowledged record is lost | fsync before the next step | no fsync | semantics |
//! | 3 git's files are durable first | libgit2 is told to fsync | it is not told | crash |
//! | 4 checksums are valid | CRC per line | it is not compared | journal |
//! | 4 seq is gapless | the number is checked | it is not | journal |
//! | 5 every candidate resolves | it is pinned before its `Staged` record | it is not pinned | run |
//! | 6 recovery is idempotent, torn tails | the tail is cut off | it is not | semantics |
//! | 7 same inputs, same final incumbent | an open experiment is finished | it is forgotten after its first trial | semantics |
//! | 8 one decision per experiment | replay refuses a second | it does not | state |
//! | 9 lost trials are capped | they are counted | they are not | semantics |
//! | 9 every trial is announced | `TrialStarted` before the trial | it is not written | semantics |
//! | 10 one writer | the lock | it is not taken | journal, semantics |
//! | 10 nothing survives a trial, nor its lab | the supervisor kills what is left, and sees the pipe end | it does not | kill |
//! | 10 what escaped the supervisor is found | the sweep by environment | it finds nothing | kill |
//! | 11 no configuration of a candidate counts | folders do not open tools' files | they do | change |
//! | 12 the user's branch stays | compare-and-swap of one's own ref | the branch moves from anywhere | run |
//! | scores are the same when read back | exact JSON numbers | serde's faster ones | journal |
//! | 13 a full disk is a clean halt | a failed journal writes no more | it goes on writing | journal |
//! | duplicates are not run again | fingerprints | none is known | semantics |
//! | every link is measured | a change of a former incumbent is rebased and measured again | it is kept as it is | parallel |
//! | every link is measured | replay refuses a keep that is no change of the incumbent | it does not | state |
//! | every link is measured | a rebase forgets earlier measurements | it does not | parallel |
//! | trials of another incumbent are not mixed | a trial remembers its incumbent | it does not | parallel |
//! | one trial at a time in a slot and on a worker | both are leased | the slot is not | parallel |
//! | pins of rebases, merges, builds ahead, devices | ten of them, named in `xtask/src/evidence/mutants.rs` | | rebase, slots, workers, verify |
//!
//! Several workers are in `parallel.rs`, over random tapes and machines, and in `workers.rs`, over git.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use autoresearch_core::*;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

mod model;
mod plan;
mod search;

use model::check;
use plan::{Happening, LOST_TRIALS, Plan, Rule};
use search::Search;

impl StateMachineTest for Plan {
    type SystemUnderTest = Search;
    type Reference = Plan;

    fn init_test(plan: &Plan) -> Search {
        Search::new(plan)
    }

    fn apply(mut search: Search, plan: &Plan, happening: Happening) -> Search {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let never = Cancel::new();
        match happening {
            Happening::Work(more) => {
                search.work(more, &never).expect("nothing is in the way");
            }
            Happening::Cancel(at) => {
                let cancel = Cancel::new();
                search.machine.cancel_in(at, &cancel);
                search.work(5, &cancel).expect("an interruption is no error");
            }
            Happening::PowerCut(at, share) => {
                search.machine.cut_power_in(at);
                let result = search.work(5, &never);
                assert!(result.is_ok() || search.machine.is_dead(), "{:?}", result.err());
                search.restart(share);
            }
            Happening::DiskFull(at) => {
                search.machine.fill_disk_in(at);
                if let Err(error) = search.work(5, &never) {
                    assert!(matches!(&error, LabError::Journal(error) if error.is_disk_full()), "{error}");
                    // The lab that failed may be asked again: it must not write into the torn line.
                    assert!(search.work(1, &never).is_err());
                }
                search.restart(1.0);
            }
            Happening::TornTail(bytes) => {
                search.restart(1.0);
                let before = search.replayed();
                search.machine.tear(&bytes);
                assert_eq!(search.replayed(), before, "a torn line was never acknowledged");
            }
            Happening::Restart => search.restart(1.0),
            Happening::SecondWriter => {
                search.work(1, &never).expect("nothing is in the way");
                assert!(search.machine.journal().unwrap_err().is_locked(), "one writer");
            }
            Happening::Meddle => {
                search.work(0, &never).expect("nothing is in the way");
                let state = search.lab().unwrap().state().clone();
                let right = search.machine.meddle(Some(Revision("elsewhere".into())));
                assert!(search.work(1, &never).is_err(), "the search does not go on from somewhere else");
                assert_eq!(search.lab().unwrap().state().experiments.len(), state.experiments.len());
                search.machine.meddle(right);
                search.restart(1.0);
            }
        }
        if let Some(lab) = &search.lab {
            check(plan, lab.state());
        }
        search
    }

    fn check_invariants(search: &Search, plan: &Plan) {
        let state = match &search.lab {
            Some(lab) => lab.state().clone(),
            None => search.replayed(),
        };
        // The incumbent outside is the last keep, or the one before it as long as that is not carried out.
        let (incumbent, machine) = (state.incumbent.as_ref().map(|i| i.revision.clone()), search.machine.incumbent());
        match &state.unadopted {
            None => assert_eq!(machine, incumbent),
            Some((from, to)) => assert!(machine == *from || machine.as_ref() == Some(to), "{machine:?}"),
        }
        let capped = |open: &autoresearch_core::internal::state::OpenExperiment| {
            open.experiment.id.is_baseline() || open.lost <= LOST_TRIALS
        };
        assert!(state.open.iter().all(capped), "lost runs are capped");
        let _ = plan;
    }

    fn teardown(mut search: Search, plan: Plan) {
        // An interrupted search ends like an undisturbed one: nothing lost, nothing done twice.
        search.restart(0.5);
        let reason = search.work(usize::MAX / 2, &Cancel::new()).expect("nothing is in the way");
        assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
        let state = search.lab().unwrap().state().clone();
        search.lab = None;
        assert_eq!(search.replayed(), state, "the journal is the truth");
        let mut peaceful = Search::new(&plan);
        peaceful.work(usize::MAX / 2, &Cancel::new()).unwrap();
        let calm = peaceful.lab().unwrap().state().clone();
        let brief =
            |state: &State| state.experiments.iter().map(|e| (e.description.clone(), e.status)).collect::<Vec<_>>();
        if !state.experiments.iter().any(|experiment| experiment.reason.contains("died")) {
            assert_eq!(brief(&state), brief(&calm));
            assert_eq!(state.rejections.len(), calm.rejections.len());
            let rungs = |state: &State| {
                let mut rungs = state.rungs.clone();
                if matches!(plan.rule, Rule::NoiseAware) {
                    // Its level, and with it the number of fresh trials, follows from the end that each part was told of.
                    rungs.full_runs = 0;
                }
                rungs
            };
            assert_eq!((&state.excursions, rungs(&state)), (&calm.excursions, rungs(&calm)));
            assert_eq!(state.cost, calm.cost, "no proposal is paid twice in the books");
        }
    }
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// `AUTORESEARCH_TRANSITIONS=1000000` for a longer look.
#[test]
fn no_history_breaks_the_ratchet() {
    let wanted = std::env::var("AUTORESEARCH_TRANSITIONS").ok().and_then(|n| n.parse().ok());
    let wanted = wanted.unwrap_or_else(|| test_fixtures::by_default_or_thorough(5_000, 100_000));
    while COUNT.load(Ordering::Relaxed) < wanted {
        let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
        let histories = Plan::sequential_strategy(20..80);
        let result = TestRunner::new(config.clone()).run(&histories, |(plan, happenings, seen)| {
            <Plan as StateMachineTest>::test_sequential(config.clone(), plan, happenings, seen);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
    }
    println!("evidence state-machine transitions {} violations 0", COUNT.load(Ordering::Relaxed));
}
