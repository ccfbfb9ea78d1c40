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
//! let settings = Settings::new("test", std::time::Duration::from_secs(1));
//! let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
//! let program = Program::parse("Lower it.")?;
//! let mut lab =
//!     Lab::new(program, Box::new(script), machine.sandbox(), metric, Arc::new(Strict), settings, machine.journal()?)?;
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
mod script;

pub use faults::{Faulty, FaultyProposer};
pub use machine::Machine;
#[cfg(feature = "command")]
pub use queue_executor::{QueueExecutor, QueueRunner};
pub use script::{Fate, Script, Step};
