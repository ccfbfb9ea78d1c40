//! Promises of a search with several workers, over random tapes, interruptions and power cuts.
//!
//! Effects add up, so that a change is worth the same wherever it is made: then what is kept, and the final score, must not
//! depend on the number of workers, on the order of trials, nor on interruptions. Changes of the same region cannot be merged,
//! and of redundant changes only the first one helps; with those only what holds in any case is checked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use autoresearch_core::Side;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::journal::{Entry, Record};
use autoresearch_core::internal::verify;
use autoresearch_core::testkit::{Fate, Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const BASELINE: f64 = 50.0;
/// Longest trial, in milliseconds.
const PACE: u64 = 40;

#[derive(Debug, Clone)]
struct Plan {
    script: Vec<Step>,
    workers: Workers,
    rule: Rule,
    screening: bool,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Strict,
    /// Like `Strict`, but asks for both to be measured again before it keeps.
    Confirm,
    /// Decides like `Strict` once it has seen that the machine has no noise.
    NoiseAware,
}

impl Ratchet for Rule {
    fn judge(&self, evidence: &Evidence) -> Verdict {
        match self {
            Rule::Strict => Strict.judge(evidence),
            Rule::Confirm => match Strict.judge(evidence) {
                Verdict::Keep(_) if evidence.candidate.measurements.len() < 2 => {
                    Verdict::Measure(vec![Side::Incumbent, Side::Candidate])
                }
                verdict => verdict,
            },
            Rule::NoiseAware => NoiseAware::default().judge(evidence),
        }
    }

    fn reference(&self, evidence: &Evidence) -> usize {
        match self {
            Rule::NoiseAware => NoiseAware::default().reference(evidence),
            _ => evidence.candidate.measurements.len(),
        }
    }

    fn fresh_seeds(&self) -> bool {
        matches!(self, Rule::NoiseAware)
    }
}

#[derive(Debug, Clone)]
enum Happening {
    /// The search is asked to stop at this operation.
    Cancel(usize),
    /// The power is cut at this operation, and this share of what was not durable has reached the disk.
    PowerCut(usize, f64),
    /// The disk is full from this operation on.
    DiskFull(usize),
    /// The search continues with other workers.
    Workers(Workers),
}

fn workers() -> impl Strategy<Value = Workers> {
    (1..6usize, any::<bool>(), 0..5usize).prop_map(|(count, ahead, builders)| {
        let mut workers = Workers::new(count);
        (workers.ahead, workers.builders) = (ahead, builders);
        workers
    })
}

fn step(adds_up: bool) -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        // Whole numbers, so that sums are exact in any order.
        8 => (-6..7i32).prop_map(|s| Fate::Score(f64::from(s))),
        1 => Just(Fate::Crash),
        1 => Just(Fate::Timeout),
        1 => (-6..7i32).prop_map(|s| Fate::Trouble(f64::from(s))),
    ];
    let name = || prop::option::weighted(0.4, 0..3u32).prop_map(move |name| name.filter(|_| !adds_up));
    (fate, prop::bool::weighted(0.07), name(), name()).prop_map(|(fate, rejected, region, redundant)| {
        let mut step = Step::new(fate).lines(1);
        (step.refused, step.region, step.redundant) = (rejected, region, redundant);
        step
    })
}

fn plan(adds_up: bool) -> impl Strategy<Value = Plan> {
    let rule = prop::sample::select(vec![Rule::Strict, Rule::Confirm, Rule::NoiseAware]);
    (prop::collection::vec(step(adds_up), 0..40), workers(), rule, prop::bool::weighted(0.3))
        .prop_map(|(script, workers, rule, screening)| Plan { script, workers, rule, screening })
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (1..120usize).prop_map(Happening::Cancel),
        4 => (1..120usize, 0.0..=1.0f64).prop_map(|(at, share)| Happening::PowerCut(at, share)),
        1 => (1..120usize).prop_map(Happening::DiskFull),
        1 => workers().prop_map(Happening::Workers),
    ]
}

/// Runs `future` under a clock that jumps over waits, and lets trials end in the order of their lengths.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

fn lab(plan: &Plan, workers: &Workers, machine: &Machine) -> Result<Lab<Step>, LabError> {
    let mut settings = Settings::new("t", Duration::from_secs(60));
    settings.workers = workers.clone();
    settings.loss_limit = 1_000_000;
    // Crashes of the tape never count as faults of the machine.
    settings.suspicious_crashes = usize::MAX;
    settings.remeasure_every = matches!(plan.rule, Rule::NoiseAware).then_some(3);
    settings.screening = plan.screening.then(|| Screening::new([0.2]));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower it.").unwrap();
    let script = Box::new(Script::new(plan.script.iter().cloned()));
    Lab::builder(machine.sandbox(), script, metric)
        .ratchet(Arc::new(plan.rule))
        .program(program)
        .settings(settings)
        .open_journal(machine.journal()?)
        .build()
}

/// Plays one history to its end.
fn history(plan: &Plan, happenings: &[Happening]) -> (State, Vec<Entry>, Machine) {
    let machine = Machine::new(Step::score(BASELINE));
    machine.add_up(PACE);
    let mut workers = plan.workers.clone();
    for happening in happenings {
        let cancel = Cancel::new();
        let mut share = 1.0;
        match happening {
            Happening::Cancel(at) => machine.cancel_in(*at, &cancel),
            Happening::PowerCut(at, reached) => {
                machine.cut_power_in(*at);
                share = *reached;
            }
            Happening::DiskFull(at) => machine.fill_disk_in(*at),
            Happening::Workers(others) => workers = others.clone(),
        }
        let came = lab(plan, &workers, &machine).and_then(|mut lab| block_on(lab.run(&cancel)));
        match (happening, came) {
            (_, Ok(_)) => {}
            (Happening::PowerCut(..), Err(_)) => assert!(machine.is_dead()),
            (Happening::DiskFull(_), Err(LabError::Journal(error))) if error.is_disk_full() => {}
            (_, Err(error)) => panic!("nothing is in the way: {error}"),
        }
        machine.restart(share);
        // The durable journal is sound at any time.
        let entries = machine.journal().expect("what is durable is sound").entries().to_vec();
        sound(plan, &entries, &machine);
    }
    let mut lab = lab(plan, &workers, &machine).unwrap();
    let reason = block_on(lab.run(&Cancel::new()));
    let reason = reason.expect("nothing is in the way");
    assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
    let state = lab.state().clone();
    drop(lab);
    let entries = machine.journal().unwrap().entries().to_vec();
    assert_eq!(sound(plan, &entries, &machine), state, "the journal is the truth");
    (state, entries, machine)
}

/// Checks the properties that hold of every journal at any time. Returns the state.
fn sound(plan: &Plan, entries: &[Entry], machine: &Machine) -> State {
    let state = State::replay(entries).expect("the records do not contradict each other");
    assert_eq!(verify::journal(entries), []);
    let mut runs: BTreeMap<(ExperimentId, usize), usize> = BTreeMap::new();
    let mut candidates: BTreeMap<ExperimentId, usize> = BTreeMap::new();
    for entry in entries {
        match &entry.record {
            Record::Rebased { experiment, .. } => *candidates.entry(*experiment).or_default() += 1,
            Record::TrialMeasured(trial) if trial.side == Side::Candidate && trial.fidelity == 1.0 => {
                let candidate = candidates.get(&trial.experiment).copied().unwrap_or(0);
                *runs.entry((trial.experiment, candidate)).or_default() += 1;
            }
            _ => {}
        }
    }
    assert_rungs_are_the_incumbents(entries);
    if matches!(plan.rule, Rule::Strict) {
        assert!(runs.values().all(|runs| *runs == 1), "nothing is run twice: {runs:?}");
    }
    // Every link of the lineage is measured on the one before it, is as good as measured, and is better.
    let mut before: Option<&Experiment> = None;
    for kept in state.experiments.iter().filter(|experiment| experiment.status == Status::Keep) {
        let truth = machine.truth(&kept.candidate.revision);
        assert!(truth.is_some() && kept.score().map(Score::get) == truth, "{} is not what it was kept for", kept.id);
        if let Some(before) = before {
            let parent = kept.parent.as_ref();
            let follows = parent == Some(before.revision()) || parent == Some(&before.candidate.revision);
            assert!(follows || kept.conflict.is_some(), "{} does not follow {}", kept.id, before.id);
            assert!(kept.score() < before.score(), "the incumbent never gets worse");
            assert_eq!(kept.before, before.score());
        }
        before = Some(kept);
    }
    assert_eq!(state.incumbent.as_ref().map(|incumbent| incumbent.experiment), before.map(|kept| kept.id));
    let outside = machine.incumbent();
    match &state.unadopted {
        None => assert_eq!(outside, state.incumbent.as_ref().map(|incumbent| incumbent.revision.clone())),
        Some((from, to)) => assert!(outside == *from || outside.as_ref() == Some(to)),
    }
    // Every proposal is there once, as an experiment or as a rejected proposal.
    let decided =
        state.experiments.iter().chain(state.pending()).filter(|e| e.id > ExperimentId(0)).map(|e| &e.description);
    let all: Vec<&String> = decided.chain(state.rejections.iter().map(|rejection| &rejection.description)).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "no proposal is made twice");
    assert_eq!(state.cost.tokens as usize, all.len(), "none is paid twice in the books");
    state
}

/// Checks that a measurement of the incumbent on a rung is of the incumbent as it is: later candidates are compared with it.
fn assert_rungs_are_the_incumbents(entries: &[Entry]) {
    let mut incumbent = None;
    let mut started = BTreeMap::new();
    for entry in entries {
        match &entry.record {
            Record::TrialStarted(trial) => drop(started.insert((trial.experiment, trial.trial), incumbent)),
            Record::Decided(decision) if decision.status == Status::Keep => incumbent = Some(decision.experiment),
            Record::TrialMeasured(trial) if trial.side == Side::Incumbent && trial.fidelity < 1.0 => {
                let of = started[&(trial.experiment, trial.trial)];
                assert_eq!(of, incumbent, "trial {} of experiment {}", trial.trial, trial.experiment);
            }
            _ => {}
        }
    }
}

/// Checks the end of a history. Returns the number of trials that were cancelled.
fn check(plan: &Plan, happenings: &[Happening]) -> usize {
    let (state, entries, _) = history(plan, happenings);
    let made = state.finished() + state.rejections.len();
    assert_eq!(made, plan.script.len(), "nothing is lost");
    for experiment in &state.experiments[1..] {
        let number: usize = experiment.description.trim_start_matches("step ").parse().unwrap();
        let step = &plan.script[number];
        let expected = match step.fate {
            Fate::Score(effect) | Fate::Trouble(effect) if effect < 0.0 => Status::Keep,
            Fate::Score(_) | Fate::Trouble(_) => Status::Discard,
            _ => Status::Crash,
        };
        if plan.script.iter().all(|step| step.region.is_none() && step.redundant.is_none()) {
            assert_eq!(experiment.status, expected, "step {number}, {step:?}: {}", experiment.reason);
        }
    }
    entries.iter().filter(|entry| is_cancelled(&entry.record)).count()
}

fn is_cancelled(record: &Record) -> bool {
    matches!(record, Record::TrialCancelled { reason, .. } if reason.contains("its base is no longer"))
}

/// `AUTORESEARCH_HISTORIES=100000` for a longer look.
#[test]
fn workers_kills_and_luck_change_nothing_about_what_is_kept() {
    let wanted = std::env::var("AUTORESEARCH_HISTORIES").ok().and_then(|n| n.parse().ok());
    let wanted: u32 = wanted.unwrap_or(if test_fixtures::thorough() { 1500 } else { 150 });
    let [histories, happened, withdrawn] = [0; 3].map(AtomicUsize::new);
    let mut violations = Vec::new();
    for adds_up in [true, false] {
        let config = Config { cases: wanted / 2, failure_persistence: None, ..Config::default() };
        let all = (plan(adds_up), prop::collection::vec(happening(), 0..8));
        let result = TestRunner::new(config).run(&all, |(plan, happenings)| {
            withdrawn.fetch_add(check(&plan, &happenings), Ordering::Relaxed);
            histories.fetch_add(1, Ordering::Relaxed);
            happened.fetch_add(happenings.len(), Ordering::Relaxed);
            Ok(())
        });
        violations.extend(result.err());
    }
    let [histories, happened, withdrawn] = [histories, happened, withdrawn].map(AtomicUsize::into_inner);
    let count = violations.len();
    println!("evidence parallel-histories histories {histories} interruptions {happened} violations {count}");
    // Each is the smallest one of its kind that was found.
    violations.iter().for_each(|violation| println!("{violation}"));
    assert!(violations.is_empty(), "they are told above");
    assert!(withdrawn > 0, "no run was taken back");
}

/// After 10 s the first proposal is kept. After 12 s a trial of the second starts, which has the first as its base and the same
/// effect; after 23 s a trial of the third, which has both. After 24 s the second proves to gain nothing on the first.
#[test]
fn a_trial_whose_base_was_not_kept_is_cancelled() {
    for builders in [0, 3] {
        let machine = Machine::new(Step::score(BASELINE));
        machine.add_up(0);
        let seconds = Duration::from_secs;
        let script = vec![
            Step::score(-1.0).redundant(1).takes(seconds(10)),
            Step::score(-1.0).redundant(1).takes(seconds(12)),
            Step::score(-2.0).takes(seconds(23)),
        ];
        let mut workers = Workers::new(3);
        workers.builders = builders;
        let plan = Plan { script, workers, rule: Rule::Strict, screening: false };
        let took = block_on(async {
            let began = tokio::time::Instant::now();
            lab(&plan, &plan.workers, &machine).unwrap().run(&Cancel::new()).await.unwrap();
            began.elapsed()
        });
        assert_eq!(took.as_secs(), 24 + 23, "the third begins again at once");
        let entries = machine.journal().unwrap().entries().to_vec();
        let state = sound(&plan, &entries, &machine);
        assert_eq!(state.incumbent.as_ref().unwrap().arm.mean().unwrap().get(), BASELINE - 3.0);
        let third = &state.experiments[3];
        assert_eq!((third.status, third.rebased.len(), third.arm.measurements.len()), (Status::Keep, 2, 1));
        let withdrawn = entries.iter().filter(|entry| is_cancelled(&entry.record));
        assert_eq!(withdrawn.count(), 1);
    }
}

/// Notes the worker of each trial.
struct Watched {
    machine: Machine,
    /// The share of the budget, and the worker.
    seen: std::sync::Mutex<Vec<(f64, Option<u32>)>>,
}

#[async_trait::async_trait]
impl Sandbox<Step> for Watched {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.machine.sandbox().baseline().await
    }

    async fn stage(
        &self,
        id: ExperimentId,
        parent: &Revision,
        step: &Step,
        text: &str,
    ) -> Result<Candidate, StageError> {
        self.machine.sandbox().stage(id, parent, step, text).await
    }

    async fn rebase(&self, rebase: Rebase<'_, Step>) -> Result<Rebased, SandboxError> {
        self.machine.sandbox().rebase(rebase).await
    }

    async fn build(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        assert_eq!(trial.worker, None, "no worker's devices are used ahead");
        self.machine.sandbox().build(candidate, trial, cancel).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        self.seen.lock().unwrap().push((trial.fidelity, trial.worker));
        self.machine.sandbox().run(candidate, trial, cancel).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.machine.sandbox().adopt(from, to).await
    }
}

fn classes(names: &[&str], builders: usize) -> Workers {
    let mut workers = Workers::new(names.len());
    workers.classes = names.iter().map(ToString::to_string).collect();
    workers.builders = builders;
    workers
}

#[test]
fn trials_on_a_rung_run_on_their_class_and_others_on_the_first_worker_s() {
    for builders in [0, 2] {
        let machine = Machine::new(Step::score(BASELINE));
        machine.add_up(PACE);
        let sandbox = Arc::new(Watched { machine: machine.clone(), seen: Default::default() });
        let mut settings = Settings::new("t", Duration::from_secs(60));
        settings.workers = classes(&["big", "small", "small"], builders);
        let mut screening = Screening::new([0.2]);
        screening.class = Some("small".into());
        settings.screening = Some(screening);
        let steps = [-1.0, 2.0, -2.0, 3.0, -1.0, 1.0, -3.0, 1.0].map(Step::score);
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let (script, program) = (Box::new(Script::new(steps)), Program::parse("Lower it.").unwrap());
        let journal = machine.journal().unwrap();
        let mut lab = Lab::builder(sandbox.clone(), script, metric)
            .ratchet(Arc::new(Strict))
            .program(program)
            .settings(settings)
            .open_journal(journal)
            .build()
            .unwrap();
        block_on(lab.run(&Cancel::new())).unwrap();
        assert_eq!(lab.state().incumbent.as_ref().unwrap().arm.mean().unwrap().get(), BASELINE - 7.0);
        drop(lab);
        let seen = sandbox.seen.lock().unwrap().clone();
        assert!(seen.iter().all(|(fidelity, worker)| (*worker == Some(0)) == (*fidelity == 1.0)), "{seen:?}");
        let of = |worker| seen.iter().filter(|(_, by)| *by == Some(worker)).count();
        assert!((0..3).all(|worker| of(worker) > 0), "each of them works: {seen:?}");
        for entry in machine.journal().unwrap().entries() {
            if let Record::TrialStarted(start) = &entry.record {
                assert_eq!(start.class, if start.fidelity < 1.0 { "small" } else { "big" });
            }
        }
    }
}

#[test]
fn a_run_of_no_experiments_measures_its_baseline() {
    for workers in [Workers::default(), Workers::new(1), Workers::new(3), classes(&["a"], 0)] {
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let sandbox = Machine::new(Step::score(BASELINE)).sandbox();
        let mut settings = Settings::new("t", Duration::from_secs(60));
        (settings.workers, settings.stop) = (workers.clone(), Stop::after(0));
        let script = Box::new(Script::new([Step::score(-1.0)]));
        let mut lab =
            Lab::builder(sandbox, script, metric).ratchet(Arc::new(Strict)).settings(settings).build().unwrap();
        assert_eq!(block_on(lab.run(&Cancel::new())).unwrap(), StopReason::Experiments(0), "{workers:?}");
        let scores: Vec<_> = lab.state().experiments.iter().map(|experiment| experiment.score()).collect();
        assert_eq!(scores, [Score::new(BASELINE)], "{workers:?}");
    }
}

#[test]
fn workers_that_cannot_work_are_named() {
    let why = |change: &dyn Fn(&mut Settings)| {
        let machine = Machine::new(Step::score(BASELINE));
        let mut settings = Settings::new("t", Duration::from_secs(60));
        change(&mut settings);
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let (script, program) = (Box::new(Script::new([])), Program::parse("Lower it.").unwrap());
        let journal = machine.journal().unwrap();
        let lab = Lab::builder(machine.sandbox(), script, metric)
            .ratchet(Arc::new(Strict))
            .program(program)
            .settings(settings)
            .open_journal(journal)
            .build();
        lab.err().unwrap().to_string()
    };
    let screened = |class: &str| {
        let mut screening = Screening::new([0.2]);
        screening.class = Some(class.into());
        screening
    };
    for (words, why) in [
        ("no workers", why(&|settings| settings.workers.classes.clear())),
        ("no worker is of the class `l4`", why(&|settings| settings.screening = Some(screened("l4")))),
        ("nothing runs on the class `l4`", why(&|settings| settings.workers = classes(&["h100", "l4"], 0))),
        (
            "they need one worker",
            why(&|settings| {
                settings.workers = Workers::new(2);
                settings.excursion = Some(ExcursionRule { after: 1, steps: 1, tolerance: 1.0 });
            }),
        ),
    ] {
        assert!(why.contains(words), "{why}");
    }
}
