//! Random scripts, rules and settings of a search, and what may happen to it.

use std::sync::Arc;

use autoresearch_core::testkit::{Fate, Step};
use autoresearch_core::*;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

/// Lost trials after which an experiment counts as crashed here.
pub(super) const LOST_TRIALS: u32 = 3;

/// Script, rule and settings of one history.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) script: Arc<[Step]>,
    pub(super) direction: Direction,
    pub(super) rule: Rule,
    /// Difference between trials of the same code on a rung.
    pub(super) jitter: f64,
    pub(super) screening: Option<Screening>,
    pub(super) excursion: Option<ExcursionRule>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Strict,
    MinGain,
    /// Like `Strict`, but asks for both to be measured again before it keeps.
    Confirm,
    /// Like `Confirm`, with a baseline measured twice; of a kept candidate only the last of three trials counts.
    Audit,
    /// Decides as `Strict` does on a machine without noise, by more trials.
    NoiseAware,
}

pub(super) const MIN_GAIN: f64 = 3.0;
pub(super) const BASELINE: f64 = 50.0;

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
pub(super) enum Happening {
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
