//! The names that a program with parts of its own types: the traits, the types in their signatures, the rules, and the lab.
//!
//! ```
//! use autoresearch_core::prelude::*;
//!
//! let metric = LogMetric::new("score", Direction::Minimise);
//! assert_eq!(metric.name(), "score");
//! ```

#[doc(no_inline)]
pub use crate::{
    AdoptedRevision, Arm, Budget, Cancel, Candidate, Constrained, Context, Direction, Event, Evidence, Experiment,
    ExperimentId, Lab, Ladder, LogMetric, Measurement, Metric, MetricError, MinGain, NoiseAware, Observer, Outcome,
    Paired, Program, Proposal, Proposer, ProposerError, Ratchet, Revision, RunLog, Sandbox, SandboxError, Score,
    Sequential, Side, StageError, Status, Stop, Strict, Trial, Verdict,
};
#[cfg(feature = "command")]
#[doc(no_inline)]
pub use crate::{CommandSandbox, Commands, EditablePaths, FileEdit, Patch};
