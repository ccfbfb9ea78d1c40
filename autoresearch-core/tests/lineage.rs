//! A run that was recorded overnight, 126 experiments of karpathy/autoresearch on an H100 (branch exp/H100/mar8; its descriptions are
//! left out here): the lab decides as that run did.
//!
//! Its rule is that of its `program.md`: lower is kept, unless the gain is not worth the change. The run kept gains from
//! 0.000031 on and discarded one of 0.000028 as flat, so the least gain is set between the two. Under strict improvement
//! that one row would have been a keep, and the report names it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::testkit::{Script, SimulatedMachine, Step};
use autoresearch_core::*;

const TABLE: &str = include_str!("data/h100-mar8.tsv");
const WORTH_IT: f64 = 0.00003;

fn steps() -> Vec<Step> {
    let imported = import::parse(TABLE, None);
    assert_eq!((imported.rows.len(), imported.problems.len()), (126, 0));
    imported.rows.iter().map(|row| row.score.map_or(Step::crash(), |score| Step::score(score.get()))).collect()
}

/// What the lab makes of it under a rule.
async fn search(rule: Arc<dyn Ratchet>) -> State {
    let steps = steps();
    let machine = SimulatedMachine::new(steps[0].clone());
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let settings = Settings::new("mar8", Duration::from_secs(300));
    let (script, program) = (Script::new(steps.into_iter().skip(1)), Program::parse("Lower it.").unwrap());
    let journal = machine.journal().unwrap();
    let mut lab = Lab::new(program, Box::new(script), machine.sandbox(), metric, rule, settings, journal).unwrap();
    lab.run(&Cancel::new()).await.unwrap();
    lab.state().clone()
}

#[tokio::test]
async fn the_lab_decides_as_the_recorded_run_did() {
    let recorded: Vec<Status> = import::parse(TABLE, None).rows.iter().map(|row| row.status).collect();
    let state = search(Arc::new(MinGain::new(WORTH_IT).unwrap())).await;
    let decided: Vec<Status> = state.experiments.iter().map(|experiment| experiment.status).collect();
    let otherwise = recorded.iter().zip(&decided).filter(|(recorded, decided)| recorded != decided).count();
    let count = |status| decided.iter().filter(|decided| **decided == status).count();
    let last = state.incumbent.as_ref().unwrap().arm.mean().unwrap();

    // The one row where the run was not strict, from the table as it was recorded.
    let mut journal = Journal::in_memory();
    let records = import::parse(TABLE, None).records("mar8", Direction::Minimise);
    let entries: Vec<_> = records.into_iter().map(|record| journal.append(record).unwrap()).collect();
    let imported = State::replay(&entries).unwrap();
    let deviations = results::deviations(&imported);
    // The header is the table's first line.
    let rows: Vec<u32> = deviations.iter().map(|deviation| deviation.experiment.id + 2).collect();
    println!(
        "evidence recorded-lineage rows {} decided_otherwise {otherwise} keeps {} discards {} crashes {} final {last} strict_row {}",
        decided.len(),
        count(Status::Keep),
        count(Status::Discard),
        count(Status::Crash),
        rows[0]
    );
    assert_eq!((decided.len(), otherwise, last.get()), (126, 0, 0.969686));
    assert_eq!((count(Status::Keep), count(Status::Discard), count(Status::Crash)), (23, 102, 1));
    assert_eq!(rows, [34]);
}

#[tokio::test]
async fn strict_improvement_decides_one_row_otherwise_and_ends_at_the_same_number() {
    let recorded: Vec<Status> = import::parse(TABLE, None).rows.iter().map(|row| row.status).collect();
    let state = search(Arc::new(Strict)).await;
    let otherwise: Vec<usize> = (0..126).filter(|at| state.experiments[*at].status != recorded[*at]).collect();
    assert_eq!(otherwise, [32], "experiment 32 stands in row 34");
    assert_eq!(state.incumbent.unwrap().arm.mean().unwrap().get(), 0.969686);
}
