//! Proposers take turns by what they bring for what they cost.

use crate::fixture::{Measure, TRAINER, constant, run_lab, run_parallel_lab, trained};
use async_trait::async_trait;
use autoresearch_agents::{KnobProposer, Portfolio};
use autoresearch_core::*;

const SOURCE: &str = "const GAIN: i64 = 1;\nconst NOISE: i64 = 1;\n";
const MEASURE: Measure = |source| Ok(1000.0 - constant(source, "GAIN"));

/// Changes a constant by a step as often as it is allowed to.
struct Steps {
    name: &'static str,
    step: i64,
    cost: f64,
    most: usize,
}

#[async_trait]
impl Proposer for Steps {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let Steps { name, step, cost, most } = *self;
        let number = context.proposals() as i64;
        let mine = context.experiments.iter().filter(|e| e.description.starts_with(&format!("{name} {step}"))).count();
        if mine >= most {
            return Err(ProposerError::Exhausted("that was all".into()));
        }
        let source = &context.files["train.rs"];
        let old = constant(source, name) as i64;
        let new = if name == "GAIN" { old + step } else { number + 2 };
        let line = |value: i64| format!("const {name}: i64 = {value};");
        let proposal =
            Proposal::new(Patch::replace("train.rs", line(old), line(new)), format!("{name} {step} {number}"));
        Ok(proposal.at_cost(Cost { dollars: cost, ..Cost::default() }))
    }
}

fn steps(name: &'static str, step: i64, cost: f64, most: usize) -> Box<dyn Proposer> {
    Box::new(Steps { name, step, cost, most })
}

fn turns(state: &State, name: &str) -> usize {
    state.experiments.iter().filter(|experiment| experiment.proposer == name).count()
}

fn portfolio(seed: u64) -> Portfolio {
    let members = vec![
        ("useless".into(), steps("NOISE", 0, 0.01, 1000)),
        ("good".into(), steps("GAIN", 2, 0.01, 1000)),
        ("dear".into(), steps("GAIN", 4, 1.0, 1000)),
        ("mute".into(), steps("GAIN", 0, 0.0, 0)),
    ];
    Portfolio::new(seed, members)
}

#[tokio::test]
async fn who_gains_most_for_its_cost_is_asked_most() {
    let (_, _, state) = run_lab(SOURCE, MEASURE, portfolio(1), 100).await;
    let asked = ["good", "useless", "dear", "mute"].map(|name| turns(&state, name));
    println!("evidence portfolio good {} useless {} dear {} mute {}", asked[0], asked[1], asked[2], asked[3]);
    assert!(asked[0] > 60 && asked[1] >= 2 && asked[2] >= 2 && asked[3] == 0, "{asked:?}");
}

#[tokio::test]
async fn the_same_seed_and_history_give_the_same_turns() {
    let told = |state: State| state.experiments.into_iter().map(|e| (e.proposer, e.description)).collect::<Vec<_>>();
    let (_, _, whole) = run_lab(SOURCE, MEASURE, portfolio(1), 30).await;
    let (_, _, part) = run_lab(SOURCE, MEASURE, portfolio(1), 17).await;
    let (_, _, other) = run_lab(SOURCE, MEASURE, portfolio(2), 30).await;
    let whole = told(whole);
    assert!(whole.starts_with(&told(part)));
    assert_ne!(whole, told(other));
}

#[tokio::test]
async fn a_portfolio_is_exhausted_when_all_are() {
    let members = vec![("a".into(), steps("GAIN", 2, 0.0, 3)), ("b".into(), steps("NOISE", 0, 0.0, 4))];
    let (reason, _, state) = run_lab(SOURCE, MEASURE, Portfolio::new(0, members), 100).await;
    assert_eq!((turns(&state, "a"), turns(&state, "b")), (3, 4));
    assert_eq!(reason, StopReason::Exhausted("a: that was all; b: that was all".into()).clone());
}

/// Rejected proposals count as turns of their member.
#[tokio::test]
async fn a_member_that_is_rejected_is_asked_less() {
    struct Rejected;
    #[async_trait]
    impl Proposer for Rejected {
        async fn propose(&mut self, _: &Context<'_>) -> Result<Proposal, ProposerError> {
            Ok(Proposal::new(Patch::replace("train.rs", "nowhere", "here"), "nothing"))
        }
    }
    let members: Vec<(String, Box<dyn Proposer>)> =
        vec![("rejected".into(), Box::new(Rejected)), ("good".into(), steps("GAIN", 2, 0.01, 1000))];
    let (_, _, state) = run_lab(SOURCE, MEASURE, Portfolio::new(0, members), 40).await;
    assert!((1..20).contains(&state.rejections.len()), "{}", state.rejections.len());
    assert!(state.rejections.iter().all(|rejection| rejection.proposer == "rejected"));
}

/// Makes two drafts at a time, of which the second comes to nothing.
struct HalfUseful(KnobProposer);

#[async_trait]
impl Proposer for HalfUseful {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        self.0.propose(context).await
    }

    async fn propose_wave(&mut self, context: &Context<'_>, _: usize) -> Result<Wave, ProposerError> {
        let cost = |dollars| Cost { tokens: 10, dollars, calls: 1 };
        let proposal = self.0.propose(context).await?.at_cost(cost(0.25));
        Ok(vec![Ok(proposal), Err(RejectedDraft::new("edits run.py", "run.py may not be changed", cost(0.5)))])
    }
}

#[tokio::test]
async fn a_rejected_draft_of_a_wave_is_journaled_beside_the_proposals_with_its_own_cost() {
    let member = Box::new(HalfUseful(KnobProposer::new(1))) as Box<dyn Proposer>;
    let portfolio = Portfolio::new(0, vec![("half".into(), member)]);
    let (_, state) = run_parallel_lab(TRAINER, trained, portfolio, 4, 2).await;
    assert!(state.experiments.iter().skip(1).all(|experiment| experiment.cost.dollars == 0.25));
    let drafts: Vec<_> = state.rejections.iter().filter(|draft| draft.description == "edits run.py").collect();
    assert!(drafts.len() >= 4, "{:?}", state.rejections);
    for draft in drafts {
        assert_eq!((draft.cost.dollars, draft.proposer.as_str()), (0.5, "half"));
        assert_eq!(draft.reason, "run.py may not be changed");
    }
}

/// Answers with more than it was asked for, and with the same twice.
struct Overeager(KnobProposer, Option<Patch>);

#[async_trait]
impl Proposer for Overeager {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        self.0.propose(context).await
    }

    async fn propose_wave(&mut self, context: &Context<'_>, most: usize) -> Result<Wave, ProposerError> {
        let paid = |patch: &Patch, what: &str| {
            Ok(Proposal::new(patch.clone(), what).at_cost(Cost { tokens: 1, dollars: 0.125, calls: 1 }))
        };
        let patch = self.0.propose(context).await?.change;
        let before = self.1.replace(patch.clone()).unwrap_or_else(|| patch.clone());
        let mut wave = vec![paid(&patch, "new"), paid(&patch, "twice"), paid(&before, "before")];
        wave.extend((0..most).map(|_| paid(&patch, "too many")));
        Ok(wave)
    }
}

#[tokio::test(start_paused = true)]
async fn proposals_that_the_lab_turns_down_keep_their_record_and_their_cost() {
    let (_, state) = run_parallel_lab(TRAINER, trained, Overeager(KnobProposer::new(1), None), 4, 2).await;
    let told = |what: &str| state.rejections.iter().filter(|draft| draft.description == what).count();
    assert!(told("twice") + told("before") + told("too many") >= 4, "{:?}", state.rejections);
    let words = ["it is the same as", "more proposals came than were asked for"];
    assert!(words.iter().all(|words| state.rejections.iter().any(|draft| draft.reason.contains(words))), "{state:?}");
    let made = state.experiments.len() - 1 + state.open.len() + state.rejections.len();
    assert!((state.cost.dollars - 0.125 * made as f64).abs() < 1e-9, "every dollar has its record: {:?}", state.cost);
    assert_eq!(state.cost.calls, made as u64);
}

/// Pays for every second wave in vain.
struct InVain(KnobProposer, bool);

#[async_trait]
impl Proposer for InVain {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        self.0.propose(context).await
    }

    async fn propose_wave(&mut self, context: &Context<'_>, _: usize) -> Result<Wave, ProposerError> {
        self.1 = !self.1;
        let cost = |dollars| Cost { tokens: 1, dollars, calls: 1 };
        match self.1 {
            true => Err(RejectedDraft::new("edits a forbidden file", "run.py may not be changed", cost(0.5)).into()),
            false => Ok(vec![Ok(self.0.propose(context).await?.at_cost(cost(0.25)))]),
        }
    }
}

#[tokio::test]
async fn a_wave_of_nothing_but_a_forbidden_edit_is_journaled_with_its_cost() {
    let (_, state) = run_parallel_lab(TRAINER, trained, InVain(KnobProposer::new(1), false), 3, 2).await;
    let vain = state.rejections.iter().filter(|draft| draft.description == "edits a forbidden file").count();
    let tried = state.experiments.len() - 1 + state.open.len();
    let others = state.rejections.len() - vain;
    assert!(vain >= 3 && state.rejections.iter().any(|draft| draft.reason == "run.py may not be changed"));
    let paid = 0.5 * vain as f64 + 0.25 * (tried + others) as f64;
    assert!((state.cost.dollars - paid).abs() < 1e-9, "{:?} of {paid}", state.cost);
}
