#![doc = include_str!("../README.md")]
//!
//! Everything that a program needs stands at this level; [`prelude`] has what most programs type. Help for tests is in
//! `testkit`, a feature of that name.
//!
//! Items that these pages do not show are shared with the other crates of the workspace, and may change in any release.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

// The modules stand in the order in which an experiment flows through them.
mod program;

mod proposal;
mod proposer;
mod text;

mod change;

mod cancel;
mod experiment_id;
mod failpoint;
mod machine;
mod revision;
mod sandbox;

#[cfg(feature = "git")]
mod git;

#[cfg(feature = "command")]
mod command;

mod metric;

mod ratchet;

// What only the command of this workspace reads is compiled with the parts that it cannot do without.
#[cfg(feature = "command")]
mod audit;
#[cfg(feature = "command")]
mod import;
mod journal;
mod policy;
mod results;
mod state;
#[cfg(feature = "command")]
mod verify;

mod lab;
mod stop;

mod observer;

#[cfg(all(feature = "attacks", target_os = "linux"))]
mod attacks;

#[doc(hidden)]
pub mod internal;
pub mod prelude;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use cancel::Cancel;
pub use change::{EditablePaths, FileEdit, Patch, PatchError};
#[cfg(feature = "command")]
pub use command::{
    CommandSandbox, Commands, Cpus, Device, Evaluation, Executor, Guard, GuardTime, Job, JobEvaluation, JobName,
    JobStatus, JobStep, Limits, LocalExecutor, Provision, Slot, Tree,
};
pub use experiment_id::ExperimentId;
pub use journal::{Journal, JournalError};
pub use lab::{Change, ExcursionRule, Lab, LabBuilder, LabError, Screening, Workers};
pub use machine::MachineId;
pub use metric::{
    Clock, Direction, ItemMetric, LogMetric, Measurement, Metric, MetricError, Score, Statistic, Timing, Which,
};
pub use observer::{Event, Observer};
pub use program::{Program, ProgramError};
pub use proposal::{Cost, Proposal};
pub use proposer::{Context, Proposer, ProposerError, RejectedDraft, Wave};
pub use ratchet::{
    Arm, Comparison, Constrained, Disclosure, Evidence, Ladder, Limit, MinGain, Noise, NoiseAware, NoiseAwareSettings,
    Objective, Paired, Pareto, Ratchet, RuleError, Sequential, SequentialSettings, Side, Strict, Verdict,
};
pub use sandbox::{
    AdoptedRevision, Budget, Candidate, Outcome, Phase, Progress, Rebase, Rebased, ResultFiles, Revision, RunLog,
    Sandbox, SandboxError, StageError, Trial,
};
pub use state::{Experiment, Incumbent, RejectedProposal, State, Status};
pub use stop::{Stop, StopReason};
