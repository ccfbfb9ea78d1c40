//! A recorded run goes again as it went.

use crate::fixture::{Measure, TRAINER, constant, run_lab, trained};
use async_trait::async_trait;
use autoresearch_agents::design::{Factorial, analyses};
use autoresearch_agents::{DesignProposer, KnobProposer, ReplayError, ReplayProposer};
use autoresearch_core::internal::import;
use autoresearch_core::*;

/// Crashes where the model is too large.
const MEASURE: Measure = |source| match constant(source, "WIDTH") >= 768.0 {
    true => Err("out of memory".into()),
    false => trained(source),
};

/// Proposes each idea of another one twice; every fourth one cannot be applied, and every seventh draft comes to nothing.
struct Stubborn(KnobProposer, Option<Proposal>);

#[async_trait]
impl Proposer for Stubborn {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        if context.proposals() % 7 == 2 {
            let cost = Cost { tokens: 5, dollars: 0.5, calls: 1 };
            return Err(RejectedDraft::new("idea 1", "the model declined", cost).into());
        }
        if let Some(again) = self.1.take() {
            return Ok(again);
        }
        let proposal = self.0.propose(context).await?;
        self.1 = Some(proposal.clone());
        match context.proposals() % 4 {
            3 => Ok(Proposal::new(Patch::replace("train.rs", "nowhere", "here"), "no such text")),
            _ => Ok(proposal),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_replayed_over_the_same_sandbox_decides_the_same() {
    let (_, entries, recorded) = run_lab(TRAINER, MEASURE, Stubborn(KnobProposer::new(1), None), 40).await;
    let crashes = recorded.experiments.iter().filter(|e| e.status == Status::Crash).count();
    assert!(crashes > 0 && recorded.rejections.len() > 10, "{crashes} {}", recorded.rejections.len());
    let drafts = recorded.rejections.iter().filter(|rejection| rejection.change.is_null()).count();
    assert!(drafts > 3 && recorded.cost.calls as usize == drafts, "{drafts}");

    let replay = ReplayProposer::new(&entries).unwrap();
    let (reason, _, again) = run_lab(TRAINER, MEASURE, replay.clone(), 1000).await;
    assert!(matches!(reason, StopReason::Exhausted(_)), "{reason}");
    let told = |state: &State| -> Vec<_> {
        let told =
            |e: &Experiment| (e.description.clone(), e.hypothesis.clone(), e.change.clone(), e.status, e.score());
        state.experiments.iter().map(told).collect()
    };
    assert_eq!(told(&recorded), told(&again));
    let told = |state: &State| -> Vec<_> {
        state.rejections.iter().map(|r| (r.description.clone(), r.reason.clone(), r.experiment)).collect()
    };
    assert_eq!(told(&recorded), told(&again));
    assert_eq!(recorded.incumbent.as_ref().map(|i| &i.arm), again.incumbent.as_ref().map(|i| &i.arm));
    assert_eq!(again.cost, Cost::default(), "they were paid for in the recorded run");
    println!(
        "evidence replay experiments {} refused {} decisions_otherwise 0",
        again.finished(),
        again.rejections.len()
    );
}

#[tokio::test]
async fn a_design_that_is_replayed_has_the_same_effects() {
    let levels = |one: &str, other: &str| vec![one.to_owned(), other.to_owned()];
    let factors = vec![("MATRIX_LR".to_owned(), levels("0.02", "0.04")), ("DEPTH".to_owned(), levels("6", "8"))];
    let design = Factorial::new("pair", factors, &[]).unwrap();
    let (_, entries, recorded) = run_lab(TRAINER, MEASURE, DesignProposer::new(design, 1), 20).await;
    let (_, _, again) = run_lab(TRAINER, MEASURE, ReplayProposer::<Patch>::new(&entries).unwrap(), 20).await;
    let effects = |state: &State| format!("{:?}", analyses(state));
    assert!(!analyses(&recorded).is_empty());
    assert_eq!(effects(&recorded), effects(&again));
}

#[tokio::test]
async fn an_imported_table_cannot_be_replayed() {
    let table = import::parse("commit\tval_bpb\tstatus\na\t1.0\tkeep\nb\t0.9\tkeep\n", None);
    let mut journal = Journal::in_memory();
    let records = table.records("x", Direction::Minimise).into_iter();
    let entries: Vec<_> = records.map(|record| journal.append(record).unwrap()).collect();
    assert!(matches!(ReplayProposer::<Patch>::new(&entries), Err(ReplayError::NoChange { .. })));
    assert!(matches!(ReplayProposer::<Patch>::new(&entries[..4]), Err(ReplayError::Empty)));
}
