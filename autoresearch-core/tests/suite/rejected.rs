//! The cost of a proposal that came to no change is remembered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::{Settings, verify};
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

const COST: Cost = Cost { tokens: 10, dollars: 0.5, calls: 2 };

/// Answers with waves of two, then pays for another one and never ends.
struct Hangs {
    waves: usize,
    is_paid: bool,
}

#[async_trait]
impl Proposer<Step> for Hangs {
    async fn propose(&mut self, _: &Context<'_, Step>) -> Result<Proposal<Step>, ProposerError> {
        Err(ProposerError::Exhausted("not asked".into()))
    }

    async fn propose_wave(&mut self, context: &Context<'_, Step>, _: usize) -> Result<Wave<Step>, ProposerError> {
        if context.proposals() >= 2 * self.waves {
            self.is_paid = true;
            std::future::pending::<()>().await;
        }
        let one = |score: f64| Ok(Proposal::new(Step::score(score), "an idea").at_cost(COST));
        Ok(vec![one(60.0), one(61.0)])
    }

    fn unreported(&mut self) -> Vec<RejectedDraft> {
        let draft = || RejectedDraft::new("cancelled", "the run ended before the proposal was made", COST);
        std::mem::take(&mut self.is_paid).then(draft).into_iter().collect()
    }
}

/// A disk that is full when a candidate is staged, or when it runs.
struct FullDisk {
    machine: Machine,
    at_stage: bool,
}

fn full() -> SandboxError {
    SandboxError::DiskFull { doing: "writing".into() }
}

#[async_trait]
impl Sandbox<Step> for FullDisk {
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
        if self.at_stage {
            return Err(StageError::Failed(full()));
        }
        self.machine.sandbox().stage(id, parent, step, text).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        if !trial.experiment.is_baseline() {
            // The next wave is asked for meanwhile.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Err(full());
        }
        self.machine.sandbox().run(candidate, trial, cancel).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.machine.sandbox().adopt(from, to).await
    }
}

fn hanging(machine: &Machine, sandbox: Arc<dyn Sandbox<Step>>, waves: usize) -> Lab<Step> {
    let mut settings = Settings::new("test", Duration::from_secs(1));
    settings.workers = Workers::new(2);
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let proposer = Box::new(Hangs { waves, is_paid: false });
    let lab = Lab::builder(sandbox, proposer, metric).ratchet(Arc::new(Strict)).settings(settings);
    lab.program(Program::parse("Lower it.").unwrap()).open_journal(machine.journal().unwrap()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_proposal_that_is_cancelled_is_remembered_with_its_cost_each_time() {
    let machine = Machine::new(Step::score(50.0));
    for restart in 1..=3 {
        let mut lab = hanging(&machine, machine.sandbox(), 0);
        let cancel = Cancel::new();
        let (reason, ()) = tokio::join!(lab.run(&cancel), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            cancel.cancel();
        });
        assert_eq!(reason.unwrap(), StopReason::Cancelled);
        assert_eq!(lab.state().cost.calls, 2 * restart);
        drop(lab);
        machine.restart(1.0);
    }
    let entries = machine.journal().unwrap().entries().to_vec();
    assert_eq!(verify::journal(&entries), []);
    let state = State::replay(&entries).unwrap();
    assert!(
        state.rejections.iter().all(|rejection| rejection.description == "cancelled" && rejection.change.is_null())
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_that_ends_the_run_loses_no_cost() {
    // At the stage of a wave of two; in a trial of one, while the next wave is made.
    for (at_stage, calls) in [(true, 4), (false, 6)] {
        let machine = Machine::new(Step::score(50.0));
        let sandbox = Arc::new(FullDisk { machine: machine.clone(), at_stage });
        let mut lab = hanging(&machine, sandbox, 1);
        lab.run(&Cancel::new()).await.unwrap_err();
        assert_eq!(lab.state().cost.calls, calls, "{at_stage}");
        drop(lab);
        assert_eq!(verify::journal(machine.journal().unwrap().entries()), []);
    }
}
