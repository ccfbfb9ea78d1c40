//! Proposers take turns by what they bring for what they cost.

use crate::fixture::{Measure, constant, run_lab};
use async_trait::async_trait;
use autoresearch_agents::Portfolio;
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

/// Refused proposals count as turns: who proposes nothing new does not go on forever.
#[tokio::test]
async fn who_is_refused_is_asked_less() {
    struct Refused;
    #[async_trait]
    impl Proposer for Refused {
        async fn propose(&mut self, _: &Context<'_>) -> Result<Proposal, ProposerError> {
            Ok(Proposal::new(Patch::replace("train.rs", "nowhere", "here"), "nothing"))
        }
    }
    let members: Vec<(String, Box<dyn Proposer>)> =
        vec![("refused".into(), Box::new(Refused)), ("good".into(), steps("GAIN", 2, 0.01, 1000))];
    let (_, _, state) = run_lab(SOURCE, MEASURE, Portfolio::new(0, members), 40).await;
    assert!((1..20).contains(&state.rejections.len()), "{}", state.rejections.len());
    assert!(state.rejections.iter().all(|rejection| rejection.proposer == "refused"));
}
