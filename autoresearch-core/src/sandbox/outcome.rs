//! Outcomes: the end of a trial, and its log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::MachineId;

/// The phases of a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The candidate is being built.
    Build,
    /// The candidate is running.
    #[default]
    Run,
    /// The evaluation is running: a command that measures what the run left.
    Evaluation,
    /// A guard is running: a command beside the run that the candidate must pass.
    Guard,
}

/// The log of a trial, however it ended.
///
/// ```
/// use autoresearch_core::{Direction, LogMetric, Metric, Outcome, RunLog};
/// let outcome = Outcome::Completed(RunLog::saying("score: 0.5"));
/// let measurement = LogMetric::new("score", Direction::Maximise).read(&outcome)?;
/// assert_eq!(measurement.score.get(), 0.5);
/// # Ok::<(), autoresearch_core::MetricError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunLog {
    /// The phase in which it ended.
    pub phase: Phase,
    /// The end of its output, some tens of kilobytes at most.
    pub tail: String,
    /// File with the whole output.
    pub path: Option<PathBuf>,
    /// Wall clock of the build.
    pub build: Duration,
    /// Wall clock of the run.
    pub elapsed: Duration,
    /// Wall clock of the evaluation; zero where the run prints its number.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub evaluation: Duration,
    /// The peak resident memory seen, in bytes, of all its processes together.
    pub peak_memory: Option<u64>,
    /// Processor time of all processes of its phase: of the run with all its repeats, or of the build if it ended there.
    #[serde(default)]
    pub cpu: Option<Duration>,
    /// Exit code of the run, if it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Files worth keeping, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, PathBuf>,
    /// Time of each repeat of the run's command, by the lab's clock. Empty where it is run once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// The machine that it ran on, if the sandbox knows. It is journaled with the measurement, where the metric asks for it.
    #[serde(skip)]
    pub machine: Option<MachineId>,
}

/// One of several repeats of a run's command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// Wall clock from its start to its end.
    pub wall: Duration,
    /// Processor time of all its processes, where the system tells.
    pub cpu: Option<Duration>,
}

impl RunLog {
    /// Makes the log of a trial that printed `text`, for sandboxes that run nothing outside.
    pub fn saying(text: impl Into<String>) -> RunLog {
        RunLog { tail: text.into(), ..RunLog::default() }
    }
}

/// The end of a trial. All of these are results about the candidate, not failures of the sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It ended by itself with success.
    Completed(RunLog),
    /// It failed to build, or ended with an error or a signal.
    Crashed {
        /// The end, in one line.
        message: String,
        /// Its log.
        log: RunLog,
    },
    /// It was killed at the end of its budget.
    TimedOut {
        /// Its log.
        log: RunLog,
    },
    /// It ran out of memory.
    OutOfMemory {
        /// Its log.
        log: RunLog,
    },
}

impl Outcome {
    /// Returns the log of the trial.
    pub fn log(&self) -> &RunLog {
        match self {
            Outcome::Completed(log)
            | Outcome::Crashed { log, .. }
            | Outcome::TimedOut { log }
            | Outcome::OutOfMemory { log } => log,
        }
    }

    pub(crate) fn log_mut(&mut self) -> &mut RunLog {
        match self {
            Outcome::Completed(log)
            | Outcome::Crashed { log, .. }
            | Outcome::TimedOut { log }
            | Outcome::OutOfMemory { log } => log,
        }
    }

    /// Returns whether a guard failed, so that the candidate is turned down whatever it measured.
    pub fn failed_guard(&self) -> bool {
        self.log().phase == Phase::Guard && !matches!(self, Outcome::Completed(_))
    }

    /// Describes the end of the trial in one line.
    pub fn describe(&self) -> String {
        let in_phase = match self.log().phase {
            Phase::Build => "the build ",
            Phase::Run => "the run ",
            Phase::Evaluation => "the evaluation ",
            Phase::Guard => "the guard ",
        };
        match self {
            Outcome::Completed(_) => "completed".into(),
            Outcome::Crashed { message, .. } => message.clone(),
            Outcome::TimedOut { log } => {
                let took = match log.phase {
                    Phase::Evaluation => log.evaluation,
                    _ => log.elapsed.max(log.build),
                };
                format!("{in_phase}was killed at its limit after {:.0} s", took.as_secs_f64())
            }
            Outcome::OutOfMemory { .. } => format!("{in_phase}ran out of memory"),
        }
    }
}
