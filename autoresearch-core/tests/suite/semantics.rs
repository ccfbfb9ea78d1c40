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

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::{Purpose, Settings, purpose};
use autoresearch_core::testkit::{Fate, Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;
use autoresearch_core::{Noise, Side};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

/// Lost trials after which an experiment counts as crashed here.
const LOST_TRIALS: u32 = 3;

/// Script, rule and settings of one history.
#[derive(Debug, Clone)]
struct Plan {
    script: Arc<[Step]>,
    direction: Direction,
    rule: Rule,
    /// Difference between trials of the same code on a rung.
    jitter: f64,
    screening: Option<Screening>,
    excursion: Option<ExcursionRule>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Strict,
    MinGain,
    /// Like `Strict`, but asks for both to be measured again before it keeps.
    Confirm,
    /// Like `Confirm`, with a baseline measured twice; of a kept candidate only the last of three trials counts.
    Audit,
    /// Decides as `Strict` does on a machine without noise, by more trials.
    NoiseAware,
}

const MIN_GAIN: f64 = 3.0;
const BASELINE: f64 = 50.0;

impl Ratchet for Rule {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        match self {
            Rule::Strict => Strict.judge(evidence),
            Rule::MinGain => MinGain::new(MIN_GAIN).unwrap().judge(evidence),
            Rule::Confirm => match Strict.judge(evidence) {
                Verdict::Keep(_) if evidence.candidate.measurements.len() < 2 => {
                    Verdict::Measure(vec![Side::Incumbent, Side::Candidate])
                }
                verdict => verdict,
            },
            Rule::Audit => match (Strict.judge(evidence), evidence.candidate.measurements.len()) {
                (Verdict::Keep(_), 1) if evidence.incumbent.measurements.is_empty() => {
                    Verdict::Measure(vec![Side::Candidate])
                }
                (Verdict::Keep(_), 1) => Verdict::Measure(vec![Side::Incumbent, Side::Candidate]),
                (Verdict::Keep(_), 2) => Verdict::Measure(vec![Side::Candidate]),
                (verdict, _) => verdict,
            },
            Rule::NoiseAware => NoiseAware::default().judge(evidence),
        }
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        match self {
            Rule::Audit => 1,
            Rule::NoiseAware => NoiseAware::default().reference(evidence),
            _ => evidence.candidate.measurements.len(),
        }
    }

    fn fresh_seeds(&self) -> bool {
        matches!(self, Rule::NoiseAware)
    }
}

/// An event in a search.
#[derive(Debug, Clone)]
enum Happening {
    /// The search runs undisturbed for this number of experiments.
    Work(usize),
    /// The search is asked to stop at this operation.
    Cancel(usize),
    /// The power is cut at this operation, and this share of what was not durable has reached the disk.
    PowerCut(usize, f64),
    /// The disk is full from this operation on.
    DiskFull(usize),
    /// The power is cut in the middle of a line: these bytes follow what is durable.
    TornTail(Vec<u8>),
    /// The lab is started anew.
    Restart,
    /// A second lab tries to continue the same run.
    SecondWriter,
    /// Somebody moves the incumbent; and moves it back, when the search has refused to go on.
    Meddle,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        // Few different scores, so that ties are common.
        8 => (0..60i32).prop_map(|s| Fate::Score(f64::from(s))),
        1 => prop::sample::select(vec!["NaN", "inf", "-inf", "none", "1e999"]).prop_map(|s| Fate::Prints(s.into())),
        1 => Just(Fate::Crash),
        1 => Just(Fate::Timeout),
        1 => Just(Fate::OutOfMemory),
        1 => (0..60i32).prop_map(|s| Fate::Trouble(f64::from(s))),
    ];
    let short = prop::option::weighted(0.3, (0..60i32).prop_map(f64::from));
    (fate, -2..3i64, prop::option::weighted(0.2, 0..4u32), prop::bool::weighted(0.07), short).prop_map(
        |(fate, lines, twin, rejected, short)| {
            let mut step = Step::new(fate).lines(lines);
            step.short = short;
            let mut step = twin.map_or(step.clone(), |name| step.twin(name));
            step.refused = rejected;
            step
        },
    )
}

fn screening() -> impl Strategy<Value = Screening> {
    let rungs = prop::sample::select(vec![vec![0.2], vec![0.2, 0.5], vec![0.1, 0.25, 0.5]]);
    (rungs, prop::sample::select(vec![0.0, 5.0]), 0..4u32).prop_map(|(rungs, allowance, control)| {
        let mut screening = Screening::new(rungs);
        (screening.allowance, screening.control) = (allowance, control);
        screening
    })
}

fn excursion() -> impl Strategy<Value = ExcursionRule> {
    let tolerance = prop::sample::select(vec![0.0, 4.0, 20.0]);
    (0..4usize, 1..4usize, tolerance).prop_map(|(after, steps, tolerance)| ExcursionRule { after, steps, tolerance })
}

impl ReferenceStateMachine for Plan {
    type State = Plan;
    type Transition = Happening;

    fn init_state() -> BoxedStrategy<Plan> {
        let direction = prop::sample::select(vec![Direction::Minimise, Direction::Maximise]);
        let rule =
            prop::sample::select(vec![Rule::Strict, Rule::MinGain, Rule::Confirm, Rule::Audit, Rule::NoiseAware]);
        let jitter = prop::sample::select(vec![0.0, 1.0, 4.0]);
        let settings = (jitter, prop::option::of(screening()), prop::option::weighted(0.4, excursion()));
        (prop::collection::vec(step(), 0..40), direction, rule, settings)
            .prop_map(|(script, direction, rule, (jitter, screening, excursion))| Plan {
                script: script.into(),
                direction,
                rule,
                jitter,
                screening,
                excursion,
            })
            .boxed()
    }

    fn transitions(_: &Plan) -> BoxedStrategy<Happening> {
        prop_oneof![
            4 => (1..4usize).prop_map(Happening::Work),
            2 => (1..30usize).prop_map(Happening::Cancel),
            4 => (1..30usize, 0.0..=1.0f64).prop_map(|(at, share)| Happening::PowerCut(at, share)),
            1 => (1..30usize).prop_map(Happening::DiskFull),
            // One line, as it was being written.
            1 => prop::collection::vec(any::<u8>().prop_filter("a line end", |b| *b != b'\n'), 1..60)
                .prop_map(Happening::TornTail),
            1 => Just(Happening::Restart),
            1 => Just(Happening::SecondWriter),
            1 => Just(Happening::Meddle),
        ]
        .boxed()
    }

    fn apply(plan: Plan, _: &Happening) -> Plan {
        plan
    }
}

/// A search, its machine, and its lab while that lives.
struct Search {
    plan: Plan,
    machine: Machine,
    lab: Option<Lab<Step>>,
}

/// The machine's sandbox, which also checks that every step is on the disk before the next is taken.
struct Watched(Machine);

impl Watched {
    fn journal_has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.durable()).contains(text)
    }
}

#[async_trait]
impl Sandbox<Step> for Watched {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.0.sandbox().baseline().await
    }

    async fn stage(&self, id: u32, parent: &Revision, step: &Step, text: &str) -> Result<Candidate, StageError> {
        self.0.sandbox().stage(id, parent, step, text).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let (id, number) = (trial.experiment, trial.number);
        let announced = format!("\"type\":\"trial_started\",\"experiment\":{id},\"trial\":{number},");
        assert!(
            purpose(trial) != Purpose::Search || self.0.is_dead() || self.journal_has(&announced),
            "a run is announced before it begins"
        );
        self.0.sandbox().run(candidate, trial, cancel).await
    }

    async fn recover(&self) -> Result<(), SandboxError> {
        self.0.sandbox().recover().await
    }

    async fn commit(
        &self,
        candidate: &Candidate,
        incumbent: Option<&Revision>,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        self.0.sandbox().commit(candidate, incumbent, message).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        let decided = format!("\"kept_as\":\"{to}\"");
        assert!(self.0.is_dead() || self.journal_has(&decided), "the incumbent moves after the durable decision");
        self.0.sandbox().adopt(from, to).await
    }
}

/// Runs `future` under a clock that jumps over waits, so that backoff costs a test nothing.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

impl Search {
    fn new(plan: &Plan) -> Search {
        let machine = Machine::new(Step::score(BASELINE));
        machine.shake_short_runs(plan.jitter);
        Search { plan: plan.clone(), machine, lab: None }
    }

    /// The living lab, or a new one.
    fn lab(&mut self) -> Result<&mut Lab<Step>, LabError> {
        if self.lab.is_none() {
            let journal = self.machine.journal()?;
            let mut settings = Settings::new("t", Duration::from_secs(1));
            settings.loss_limit = LOST_TRIALS;
            settings.remeasure_every = matches!(self.plan.rule, Rule::Audit | Rule::NoiseAware).then_some(2);
            (settings.screening, settings.excursion) = (self.plan.screening.clone(), self.plan.excursion);
            let metric = Arc::new(LogMetric::new("score", self.plan.direction));
            let program = Program::parse("Find a better one.").unwrap();
            let proposer = Box::new(Script::new(self.plan.script.iter().cloned()));
            let (sandbox, rule) = (Arc::new(Watched(self.machine.clone())), Arc::new(self.plan.rule));
            let lab = Lab::builder(sandbox, proposer, metric)
                .ratchet(rule)
                .program(program)
                .settings(settings)
                .open_journal(journal)
                .build()?;
            let machine = self.machine.clone();
            self.lab = Some(lab.observed_by(Arc::new(move |event: &Event<'_>| {
                if let Event::Decided { experiment, .. } = event {
                    let durable = machine.durable();
                    let text = String::from_utf8_lossy(&durable);
                    let decisions = text.matches("\"type\":\"decided\"").count();
                    assert!(decisions > experiment.id as usize, "a decision is told when it is durable");
                }
            })));
        }
        Ok(self.lab.as_mut().unwrap())
    }

    /// Searches for `more` experiments.
    fn work(&mut self, more: usize, cancel: &Cancel) -> Result<StopReason, LabError> {
        let lab = self.lab()?;
        let stop = Stop::after(lab.state().finished() + more);
        lab.set_stop(stop);
        block_on(lab.run(cancel))
    }

    fn restart(&mut self, share: f64) {
        self.lab = None;
        self.machine.restart(share);
    }

    /// State replayed from the durable part of the journal, checked against the model.
    fn replayed(&self) -> State {
        let journal = self.machine.journal().expect("what is durable is sound");
        let state = State::replay(journal.entries()).expect("the records do not contradict each other");
        check(&self.plan, &state);
        state
    }
}

/// The model's account of screening.
struct Rungs<'a> {
    plan: &'a Plan,
    /// Score that the incumbent prints on a rung, without the jitter.
    incumbent: f64,
    /// By rung: the number of incumbents that ran on it, and whether the present one did.
    ran: Vec<(u32, bool)>,
    failed: u32,
}

impl Rungs<'_> {
    fn replace(&mut self, incumbent: f64) {
        self.incumbent = incumbent;
        self.ran.iter_mut().for_each(|(_, today)| *today = false);
    }

    /// True if a candidate that prints `score` on the rungs is promoted; `extra` is allowed for an excursion.
    fn promotes(&mut self, screening: &Screening, score: f64, extra: f64) -> bool {
        // Two trials of each incumbent on each rung, the second one with jitter.
        let mean = self.incumbent + self.plan.jitter / 2.0;
        let behind = if self.plan.direction == Direction::Minimise { score - mean } else { mean - score };
        for (count, today) in &mut self.ran {
            *count += u32::from(!std::mem::replace(today, true));
            let noise = (0..*count).fold(Noise::default(), |noise, _| noise.with(&[0.0, self.plan.jitter]));
            // The probabilities beyond one and two standard deviations.
            let [near, far] = [0.158_655_253_931_457_05, 0.022_750_131_948_179_21].map(|beyond| {
                let error = noise.sigma().unwrap() * 1.5f64.sqrt();
                screening.allowance + extra + if error > 0.0 { error * noise.quantile(beyond) } else { 0.0 }
            });
            if behind <= near {
                return true;
            }
            if behind > far {
                break;
            }
        }
        self.failed += 1;
        screening.control > 0 && self.failed.is_multiple_of(screening.control)
    }
}

/// Checks the state against the model, a straightforward account of the script.
fn check(plan: &Plan, state: &State) {
    let mut experiments = state.experiments.iter();
    let Some(baseline) = experiments.next() else { return };
    assert_eq!((baseline.id, baseline.status), (0, Status::Keep));
    let mut best = BASELINE;
    let (mut kept, mut rejected) = (baseline, 0);
    let mut twins = Vec::new();
    let mut done = 1;
    let ran = plan.screening.iter().flat_map(|screening| &screening.rungs).map(|_| (0, false)).collect();
    let mut rungs = Rungs { plan, incumbent: BASELINE, ran, failed: 0 };
    // The side line's end, the lines that it adds and the experiments on it; and the excursions before it.
    let (mut side, mut excursions): (Option<(&Experiment, i64, usize)>, usize) = (None, 0);
    let mut since = 0;
    let mut vanished = false;
    for step in &*plan.script {
        if step.refused || step.twin.is_some_and(|twin| twins.contains(&twin)) {
            rejected += 1;
            continue;
        }
        let Some(experiment) = experiments.next() else { break };
        let parent = side.map_or(kept.revision(), |(end, ..)| &end.candidate.revision);
        assert_eq!((experiment.id, experiment.parent.as_ref()), (done, Some(parent)));
        done += 1;
        twins.extend(step.twin);
        // An interruption may show in one way: trials were lost too often.
        let lost = experiment.reason.contains("died");
        vanished |= lost;
        let full = match step.fate {
            Fate::Score(score) | Fate::Trouble(score) => Some(score),
            _ => None,
        };
        let on_excursion = |rule: &ExcursionRule| side.is_some() || since >= rule.after;
        let excursion = plan.excursion.filter(on_excursion);
        let promoted = match (&plan.screening, step.short.or(full)) {
            // Its trials on rungs are not known then.
            (Some(_), _) if vanished => experiment.score().is_some(),
            (Some(screening), Some(score)) => {
                rungs.promotes(screening, score, excursion.map_or(0.0, |rule| rule.tolerance))
            }
            _ => true,
        };
        let score = full.filter(|_| !lost);
        if !lost {
            let full = score.filter(|_| promoted);
            assert_eq!(experiment.score().map(Score::get), full, "short runs are no measurements");
        }
        let lines = step.added_lines + side.map_or(0, |(_, lines, _)| lines);
        let gain = score.map(|score| if plan.direction == Direction::Minimise { best - score } else { score - best });
        let expected = match gain {
            _ if !promoted && vanished => experiment.status,
            _ if !promoted => Status::Discard,
            None => Status::Crash,
            Some(gain) if matches!(plan.rule, Rule::MinGain) && gain > MIN_GAIN => Status::Keep,
            Some(gain) if !matches!(plan.rule, Rule::MinGain) && gain > 0.0 => Status::Keep,
            Some(gain) if gain >= 0.0 && lines < 0 => Status::Keep,
            Some(_) => Status::Discard,
        };
        assert_eq!(experiment.status, expected, "{step:?} against {best} by {:?}: {}", plan.rule, experiment.reason);
        let near = |rule: &ExcursionRule| promoted && gain.is_some_and(|gain| gain >= -rule.tolerance);
        let sacrifice = expected == Status::Discard && excursion.as_ref().is_some_and(near);
        since += 1;
        side = match side {
            _ if expected == Status::Keep => {
                (best, kept) = (score.unwrap(), experiment);
                rungs.replace(step.short.unwrap_or(best));
                excursions += usize::from(side.is_some());
                since = 0;
                None
            }
            Some((_, _, tried)) if plan.excursion.is_some_and(|rule| tried + 1 >= rule.steps) => {
                excursions += 1;
                since = 0;
                None
            }
            Some((_, _, tried)) if sacrifice => Some((experiment, lines, tried + 1)),
            Some((end, lines, tried)) => Some((end, lines, tried + 1)),
            None => sacrifice.then_some((experiment, lines, 0)),
        };
    }
    assert_eq!(state.side_line.as_ref().map(|line| &line.tip), side.map(|(end, ..)| &end.candidate.revision));
    assert_eq!(state.excursions.len(), excursions);
    assert!(experiments.next().is_none(), "no experiment without a proposal");
    assert!(state.rejections.len() <= rejected, "only proposals that cannot be run are rejected");
    let incumbent = state.incumbent.as_ref().unwrap();
    assert_eq!((&incumbent.revision, incumbent.experiment), (kept.revision(), kept.id));
    assert_eq!(incumbent.arm.mean().unwrap().get(), best);
}

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
            open.experiment.id == 0 || open.lost <= LOST_TRIALS
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
