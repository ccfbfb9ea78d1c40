//! The cost of a proposal that came to no change is remembered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::testkit::{SimulatedMachine as Machine, Step};
use autoresearch_core::*;

/// A model that declines once, then proposes, and reads the costs of both.
struct Declines;

#[async_trait]
impl Proposer<Step> for Declines {
    async fn propose(&mut self, context: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        let cost = Cost { tokens: 10, dollars: 0.5, calls: 2 };
        assert_eq!(context.spent.tokens, 10 * context.proposals() as u64);
        match context.proposals() {
            0 => Err(RejectedDraft::new("no", "it declined", cost).into()),
            1 => Ok(Proposal { cost, ..Proposal::new(Step::score(4.0), "yes") }),
            _ => Err(ProposerError::Exhausted("enough".into())),
        }
    }
}

#[test]
fn a_draft_without_a_change_is_remembered_with_its_cost() {
    let machine = Machine::new(Step::score(5.0));
    let settings = Settings::new("test", Duration::from_secs(1));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let program = Program::parse("Lower it.").unwrap();
    let journal = machine.journal().unwrap();
    let mut lab = Lab::builder(machine.sandbox(), Box::new(Declines), metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(lab.run(&Cancel::new())).unwrap();

    let state = lab.state().clone();
    drop(lab);
    assert_eq!(state.rejections[0].reason, "it declined");
    assert_eq!((state.finished(), state.cost), (1, Cost { tokens: 20, dollars: 1.0, calls: 4 }));
    let entries = machine.journal().unwrap().entries().to_vec();
    assert_eq!(State::replay(&entries).unwrap().cost, state.cost);
}
