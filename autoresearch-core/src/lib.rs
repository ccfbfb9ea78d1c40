//! Ratchet search: a [`Proposer`] changes something, a [`Sandbox`] runs it under a fixed budget, a [`Metric`] reads one
//! number, and a [`Ratchet`] keeps the change only if it is really better. Everything else is reverted and remembered.
//!
//! The [`Lab`] is the loop over these four traits; the [`Journal`] is the truth it can always be continued from.
//! This crate is light: no network, no machine-learning library, and it never prints (subscribe an [`Observer`]).
//!
//! A search of one's own needs a proposer and a sandbox; here, for the number whose square is closest to two. Code in a git
//! repository needs no sandbox of its own: that is [`CommandSandbox`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use async_trait::async_trait;
//! use autoresearch_core::*;
//!
//! /// Steps that shrink, to and fro.
//! struct Steps;
//!
//! #[async_trait]
//! impl Proposer<f64> for Steps {
//!     async fn propose(&mut self, context: &Context<'_, f64>) -> Result<Proposal<f64>, ProposerError> {
//!         let change = (-0.8f64).powi(context.proposals() as i32);
//!         Ok(Proposal { change, description: format!("add {change}"), hypothesis: String::new(), cost: Cost::default() })
//!     }
//! }
//!
//! /// A state is a number, and its own name.
//! struct Numbers;
//!
//! #[async_trait]
//! impl Sandbox<f64> for Numbers {
//!     async fn baseline(&self) -> Result<Candidate, StageError> {
//!         self.stage(0, &Revision("0".into()), &0.0, "").await
//!     }
//!
//!     async fn stage(&self, _: u32, parent: &Revision, change: &f64, _: &str) -> Result<Candidate, StageError> {
//!         let parent: f64 = parent.0.parse().map_err(|_| StageError::Rejected("no number".into()))?;
//!         let name = (parent + change).to_string();
//!         Ok(Candidate { revision: Revision(name.clone()), fingerprint: name, added_lines: 0 })
//!     }
//!
//!     async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
//!         let x: f64 = candidate.revision.0.parse().unwrap_or(f64::NAN);
//!         Ok(Outcome::Completed(RunLog { tail: format!("error: {}", (x * x - 2.0).abs()), ..RunLog::default() }))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = Settings::new("root", Duration::from_secs(1));
//! settings.stop = Stop::after(60);
//! let program = Program::parse("Find the square root of two.")?;
//! let metric = Arc::new(LogMetric::new("error", Direction::Minimise));
//! let journal = (Journal::in_memory(), vec![]);
//! let mut lab = Lab::new(program, Box::new(Steps), Arc::new(Numbers), metric, Arc::new(Strict), settings, journal)?;
//! tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(lab.run(&Cancel::new()))?;
//!
//! let best = lab.state().incumbent.as_ref().ok_or("no baseline")?;
//! assert!((best.revision.0.parse::<f64>()? - 2f64.sqrt()).abs() < 1e-3);
//! # Ok(())
//! # }
//! ```
//!
//! The modules stand in the order in which an experiment flows through them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod program;

pub mod proposer;

pub mod change;

pub mod cancel;
mod crash;
pub mod git;
pub mod process;
pub mod sandbox;
pub mod slot;
pub mod workspace;

pub mod metric;

pub mod ratchet;

pub mod import;
pub mod journal;
pub mod results;
pub mod state;
pub mod verify;

pub mod lab;
pub mod stop;

pub mod observer;

#[cfg(feature = "testkit")]
pub mod testkit;

pub use cancel::Cancel;
pub use change::{EditablePaths, FileEdit, Patch, PatchError};
pub use journal::{Journal, JournalError};
pub use lab::{Lab, LabError, Settings};
pub use metric::{Direction, LogMetric, Measurement, Metric, MetricError, Score};
pub use observer::{Event, Observer};
pub use program::{Program, ProgramError};
pub use proposer::{Context, Cost, Proposal, Proposer, ProposerError};
pub use ratchet::{Arm, Constrained, Evidence, Limit, MinGain, Ratchet, Strict, Verdict};
pub use sandbox::{
    Budget, Candidate, Outcome, Phase, Progress, Revision, RunLog, Sandbox, SandboxError, StageError, Trial,
};
pub use state::{Experiment, State, Status};
pub use stop::{Stop, StopReason};
pub use workspace::CommandSandbox;
