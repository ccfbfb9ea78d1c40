//! Help for tests of one's own rules, sandboxes, proposers and metrics.
//!
//! | part | for |
//! |---|---|
//! | [`ratchet`] | property tests of a rule of acceptance |
//! | [`simulate`] | the false keeps and the power of a rule, on runs whose truth is known |
//! | [`conformance`] | the promises of the four traits, checked on any implementation |
//! | [`SimulatedMachine`] | a sandbox and a disk in memory that can die, run full and be restarted |
//! | [`Script`], [`Step`] | a proposer of changes whose fate is known |
//! | [`Faulty`], [`FaultyProposer`] | failures of any sandbox and any proposer, now and then |
//!
//! ```
//! use std::sync::Arc;
//! use autoresearch_core::testkit::{Script, SimulatedMachine, Step};
//! use autoresearch_core::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let machine = SimulatedMachine::new(Step::score(5.0));
//! let script = Script::new([Step::score(4.0), Step::crash(), Step::score(4.5)]);
//! let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
//! let lab = Lab::builder(machine.sandbox(), Box::new(script), metric).ratchet(Arc::new(Strict));
//! let mut lab = lab.open_journal(machine.journal()?).build()?;
//! tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(lab.run(&Cancel::new()))?;
//!
//! let decisions: Vec<Status> = lab.state().experiments.iter().map(|experiment| experiment.status).collect();
//! assert_eq!(decisions, [Status::Keep, Status::Keep, Status::Crash, Status::Discard]);
//! # Ok(())
//! # }
//! ```
// A failed check of a test is a panic, here as in any test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod conformance;
mod faults;
mod machine;
#[cfg(feature = "command")]
mod queue_executor;
pub mod ratchet;
mod script;
mod search;
pub mod simulate;

pub use faults::{Faulty, FaultyProposer};
pub use machine::SimulatedMachine;
#[cfg(feature = "command")]
pub use queue_executor::{QueueExecutor, QueueRunner};
pub use script::{Fate, Script, Step};
