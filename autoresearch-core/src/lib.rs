#![doc = include_str!("../README.md")]
//!
//! The modules stand in the order in which an experiment flows through them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod program;

pub mod proposal;
pub mod proposer;
pub mod text;

pub mod change;

pub mod cancel;
mod failpoint;
pub mod machine;
mod revision;
pub mod sandbox;

#[cfg(feature = "git")]
pub mod git;

#[cfg(feature = "command")]
pub mod command;

pub mod metric;

pub mod ratchet;

pub mod audit;
pub mod import;
pub mod journal;
pub mod policy;
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
#[cfg(feature = "command")]
pub use command::{CommandSandbox, Device, Executor, LocalExecutor, process};
pub use journal::{Journal, JournalError};
pub use lab::{Change, ExcursionRule, Lab, LabBuilder, LabError, Screening, Settings, Workers};
pub use machine::MachineId;
pub use metric::{Direction, ItemMetric, LogMetric, Measurement, Metric, MetricError, Score, Timing};
pub use observer::{Event, Observer};
pub use policy::{Difference, Policy};
pub use program::{Program, ProgramError};
pub use proposal::{Cost, Design, Proposal};
pub use proposer::{Context, Proposer, ProposerError, RejectedDraft, Wave};
pub use ratchet::{
    Arm, Constrained, Disclosure, Evidence, Ladder, Limit, MinGain, NoiseAware, Paired, Ratchet, Sequential, Side,
    Strict, Verdict,
};
pub use sandbox::{
    AdoptedRevision, Budget, Candidate, Outcome, Phase, Progress, Purpose, Rebase, Rebased, Revision, RunLog, Sandbox,
    SandboxError, StageError, Trial,
};
pub use state::{Experiment, State, Status};
pub use stop::{Stop, StopReason};
