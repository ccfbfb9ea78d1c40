//! For tests: a machine in memory that can die, run full and be restarted; a proposer that follows a script; faults on
//! demand; and the conformance suites that an implementer of a trait runs over it.
//!
//! ```
//! use std::sync::Arc;
//! use autoresearch_core::testkit::{Machine, Script, Step};
//! use autoresearch_core::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let machine = Machine::new(Step::score(5.0));
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
mod script;

pub use faults::{Faulty, FaultyProposer};
pub use machine::Machine;
pub use script::{Fate, Script, Step};
