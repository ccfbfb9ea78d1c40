//! Proposers in trouble, and careless ones: they are asked again, slowed down, and never paid without an end.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::{Settings, verify};
use autoresearch_core::testkit::{SimulatedMachine as Machine, Step};
use autoresearch_core::*;

use super::{Heard, lab};

/// Fails for an hour, then proposes once.
struct Overloaded(u32);

#[async_trait]
impl Proposer<Step> for Overloaded {
    async fn propose(&mut self, context: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        self.0 += 1;
        match (self.0, context.proposals()) {
            (0..60, _) => Err(ProposerError::Transient("overloaded".into())),
            (_, 0) => Ok(Proposal::new(Step::score(1.0), "at last")),
            _ => Err(ProposerError::Exhausted("there was one proposal".into())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proposer_in_trouble_is_asked_again_however_long() {
    let machine = Machine::new(Step::score(50.0));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let (program, settings) = (Program::parse("Lower it.").unwrap(), Settings::new("t", Duration::from_secs(1)));
    let journal = machine.journal().unwrap();
    let proposer = Box::new(Overloaded(0));
    let mut lab = Lab::builder(machine.sandbox(), proposer, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    let began = tokio::time::Instant::now();
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().experiments.len(), 2);
    assert!(began.elapsed() > Duration::from_secs(50 * 60), "with pauses of up to a minute");
}
#[tokio::test(start_paused = true)]
async fn a_proposer_that_repeats_itself_is_slowed_down_and_the_run_ends() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut lab = lab(0..0, vec![Step::refused(); 1004], &heard);
    let began = tokio::time::Instant::now();
    let reason = lab.run(&Cancel::new()).await.unwrap();
    assert_eq!((lab.state().rejections.len(), lab.state().experiments.len()), (20, 1));
    let StopReason::Rejected { count: 20, last } = &reason else { panic!("{reason}") };
    assert_eq!(last.lines().count(), 3, "{last}");
    assert!(last.contains("step 19: the step says so"), "{last}");
    // From the third on each is followed by a wait that doubles, up to a minute.
    assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4 + 8 + 16 + 32 + 11 * 60);
    // It may be asked again, and counts from the beginning.
    lab.run(&Cancel::new()).await.unwrap();
    assert_eq!(lab.state().rejections.len(), 40);
}

/// Is paid for proposals that come to nothing: for so many in a wave, with so many unpaid failures between the waves.
struct Costly {
    in_a_wave: usize,
    failures: usize,
    calls: usize,
}

#[async_trait]
impl Proposer<Step> for Costly {
    async fn propose(&mut self, _: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        Err(ProposerError::Exhausted("not asked".into()))
    }

    async fn propose_wave(&mut self, _: &Context<'_, Step>, _: usize) -> Result<Wave<Step>, ProposerError> {
        self.calls += 1;
        if !self.calls.is_multiple_of(self.failures + 1) {
            return Err(ProposerError::Transient("the server is busy".into()));
        }
        let cost = Cost { dollars: 1.0, calls: 1, ..Cost::default() };
        Ok((0..self.in_a_wave).map(|_| Err(RejectedDraft::new("a draft", "the answer was cut", cost))).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_waves_and_failures_by_turns_end_as_well() {
    for (in_a_wave, failures, dollars) in [(1, 1, 20.0), (1, 3, 20.0), (5, 0, 20.0), (7, 2, 21.0)] {
        let machine = Machine::new(Step::score(50.0));
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let proposer = Box::new(Costly { in_a_wave, failures, calls: 0 });
        let lab = Lab::builder(machine.sandbox(), proposer, metric).ratchet(Arc::new(Strict));
        let mut lab = lab.open_journal(machine.journal().unwrap()).build().unwrap();
        let began = tokio::time::Instant::now();
        let reason = lab.run(&Cancel::new()).await.unwrap();
        assert!(matches!(reason, StopReason::Rejected { .. }), "{reason}");
        assert_eq!(lab.state().cost.dollars, dollars, "{in_a_wave} in a wave, {failures} failures between");
        assert!(began.elapsed() > Duration::from_secs(5), "with waits: {:?}", began.elapsed());
    }
}

/// Answers with more than it is asked for, with nothing, and with what nobody can store.
struct Careless;

#[async_trait]
impl Proposer<Step> for Careless {
    async fn propose(&mut self, _: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        Err(ProposerError::Exhausted("not asked".into()))
    }

    async fn propose_wave(&mut self, context: &Context<'_, Step>, _: usize) -> Result<Wave<Step>, ProposerError> {
        let cost = Cost { dollars: f64::NAN, ..Cost::default() };
        let proposal =
            |score: f64| Ok(Proposal::new(Step::score(score), "a\0b\u{1b}[31m\nc").because("x\0y").at_cost(cost));
        match (context.proposals(), context.experiments.len()) {
            (0, 1) => Ok(vec![proposal(40.0), proposal(39.0), proposal(38.0)]),
            (3, 2) => Ok(vec![]),
            _ => Err(ProposerError::Exhausted("that was all".into())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn careless_answers_are_cleaned_and_counted() {
    let machine = Machine::new(Step::score(50.0));
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let lab = Lab::builder(machine.sandbox(), Box::new(Careless), metric).ratchet(Arc::new(Strict));
    let mut lab = lab.open_journal(machine.journal().unwrap()).build().unwrap();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
    };
    // An empty wave counts as a failure of the proposer, after which it is asked again and again.
    let cancel = Cancel::new();
    let (reason, ()) = tokio::join!(lab.run(&cancel), async {
        stop.await;
        cancel.cancel();
    });
    assert_eq!(reason.unwrap(), StopReason::Cancelled);
    let state = lab.state();
    let kept = &state.experiments[1];
    assert_eq!((kept.description.as_str(), kept.hypothesis.as_str(), kept.cost.dollars), ("a b c", "x y", 0.0));
    let reasons: Vec<&str> = state.rejections.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert!(reasons.len() == 2 && reasons.iter().all(|reason| reason.contains("more proposals came")), "{reasons:?}");
    drop(lab);
    machine.restart(1.0);
    assert_eq!(verify::journal(machine.journal().unwrap().entries()), []);
}
