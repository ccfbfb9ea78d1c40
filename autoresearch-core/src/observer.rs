//! Events of the lab, for displays, logs and reports: the lab's only output.

use std::time::Duration;

use crate::experiment_id::ExperimentId;
use crate::metric::Score;
use crate::sandbox::Progress;
use crate::state::{Experiment, State};
use crate::stop::StopReason;

/// An event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run starts, or is resumed after an interruption.
    RunStarted {
        /// The state of the run so far.
        state: &'a State,
    },
    /// The proposer was asked.
    ProposalRequested {
        /// Number of the next experiment.
        experiment: ExperimentId,
    },
    /// The proposer made a proposal, which is not staged yet.
    Proposed {
        /// Its description.
        description: &'a str,
    },
    /// A proposal became an experiment, which waits for its first trial.
    Staged {
        /// Its number.
        experiment: ExperimentId,
        /// Its description.
        description: &'a str,
    },
    /// A proposal was rejected; no experiment was spent.
    Rejected {
        /// Its description.
        description: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// The proposer or the sandbox failed and is tried again.
    Retrying {
        /// The failure.
        error: &'a str,
        /// Time until it is tried again.
        pause: Duration,
    },
    /// A health check started: the incumbent is run again, as the machine may be at fault.
    HealthCheckStarted {
        /// Number of experiments that crashed in a row.
        crashes: usize,
    },
    /// The incumbent was measured again.
    Remeasured {
        /// Its score this time.
        score: Score,
        /// The shift of the machine, in the metric's unit, if there is one: only scores since then are compared.
        shift: Option<f64>,
    },
    /// The incumbent itself does not run any more: the machine is at fault. No experiment is spent until it runs again.
    Paused {
        /// Reason why it gave no number.
        why: &'a str,
        /// Time until it is tried again.
        pause: Duration,
    },
    /// The first trial of an experiment in this process starts.
    ExperimentStarted {
        /// Its number.
        experiment: ExperimentId,
        /// Its description.
        description: &'a str,
    },
    /// A trial of an experiment started, or its build ahead of that. Health checks have an event of their own.
    TrialStarted {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Its worker, from 0; `None` while it is built ahead.
        worker: Option<u32>,
    },
    /// A trial of an experiment ended and left its worker. Others of the experiment may still be in flight.
    TrialEnded {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Its worker; `None` if it was built ahead and does not run.
        worker: Option<u32>,
    },
    /// An experiment's change was applied to another base, since the incumbent moved.
    Rebased {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// The experiment that made its new base, or whose change it conflicts with.
        onto: ExperimentId,
        /// True if it joined the merge queue, since it was better than its old base; it is measured again.
        in_merge_queue: bool,
        /// Both sides of the conflict, if it could not be applied.
        conflict: Option<&'a str>,
    },
    /// A running trial reports: a phase of it starts, or it printed a line.
    Progress {
        /// Number of the experiment.
        experiment: ExperimentId,
        /// Its worker, from 0; `None` while it is built ahead.
        worker: Option<u32>,
        /// The report.
        progress: &'a Progress,
    },
    /// An experiment was decided, and adopted if it is kept.
    Decided {
        /// The experiment.
        experiment: &'a Experiment,
        /// The state of the run, this experiment included.
        state: &'a State,
    },
    /// The run stopped in an orderly way.
    Stopped {
        /// The reason.
        reason: &'a StopReason,
        /// The state of the run.
        state: &'a State,
    },
}

/// A listener to the lab. It is called from the lab's task and from those of trials: be quick, do not block.
///
/// ```
/// use autoresearch_core::{Event, Observer};
/// let print = |event: &Event<'_>| {
///     if let Event::Decided { experiment, .. } = event {
///         println!("{}: {}", experiment.id, experiment.reason);
///     }
/// };
/// fn is_observer(_: &impl Observer) {}
/// is_observer(&print);
/// ```
pub trait Observer: Send + Sync {
    /// Receives an event.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}
