//! Ratchet search: a [`Proposer`] changes something, a [`Sandbox`] runs it under a fixed budget, a [`Metric`] reads one
//! number, and a [`Ratchet`] keeps the change only if it is really better. Everything else is reverted and remembered.
//!
//! The [`Lab`] is the loop over these four traits; the [`Journal`] is the truth it can always be continued from.
//! This crate is light: no network, no machine-learning library, and it never prints (subscribe an [`Observer`]).
//!
//! The modules stand in the order in which an experiment flows through them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod program;

pub mod proposer;

pub mod change;

pub mod cancel;
pub mod git;
pub mod process;
pub mod sandbox;
pub mod slot;
pub mod workspace;

pub mod metric;

pub mod ratchet;

pub mod journal;
pub mod results;
pub mod state;

pub mod lab;
pub mod stop;

pub mod observer;

pub use cancel::Cancel;
pub use change::{EditablePaths, FileEdit, Patch, PatchError};
pub use journal::{Journal, JournalError};
pub use lab::{Lab, LabError};
pub use metric::{Direction, LogMetric, Measurement, Metric, MetricError, Score};
pub use observer::{Event, Observer};
pub use program::{Program, ProgramError};
pub use proposer::{Context, Cost, Proposal, Proposer, ProposerError};
pub use ratchet::{Arm, Evidence, MinGain, Ratchet, Strict, Verdict};
pub use sandbox::{
    Budget, Candidate, Outcome, Phase, Progress, Revision, RunLog, Sandbox, SandboxError, StageError, Trial,
};
pub use state::{Experiment, State, Status};
pub use stop::{Stop, StopReason};
pub use workspace::CommandSandbox;
