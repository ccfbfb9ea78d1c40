//! What goes on in the lab, for displays, logs and reports. Events are the lab's only output.

use std::time::Duration;

use crate::metric::Score;
use crate::sandbox::Phase;
use crate::state::{Experiment, State};
use crate::stop::StopReason;

/// Something happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The work begins, or goes on after an interruption.
    Began {
        /// What is known already.
        state: &'a State,
    },
    /// The proposer is at work.
    Proposing {
        /// For this experiment.
        experiment: u32,
    },
    /// A proposal became an experiment, which waits for its first run.
    Proposed {
        /// Its number.
        experiment: u32,
    },
    /// A proposal was refused; no experiment was spent.
    Refused {
        /// What it was.
        description: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The proposer or the machinery failed and is tried again.
    Retrying {
        /// What went wrong.
        error: &'a str,
        /// After this pause.
        pause: Duration,
    },
    /// Experiment after experiment crashes: the incumbent, which ran before, is run again.
    Checking {
        /// So many crashed in a row.
        crashes: usize,
    },
    /// The incumbent was measured again.
    Remeasured {
        /// Its score this time.
        score: Score,
        /// By how much the machine has shifted, if it has: from now on only scores since then are compared.
        shift: Option<f64>,
    },
    /// The incumbent itself does not run any more: the machine is at fault. No experiment is spent until it runs again.
    Paused {
        /// Why it gave no number.
        why: &'a str,
        /// Until it is tried again.
        pause: Duration,
    },
    /// An experiment is staged.
    Staged {
        /// Its number.
        experiment: u32,
        /// What it changes.
        description: &'a str,
    },
    /// A run of an experiment begins, or its build ahead of the run. Not told of runs that belong to no experiment.
    Running {
        /// Of this experiment.
        experiment: u32,
        /// On this worker, from 0; `None` while it is built ahead.
        worker: Option<u32>,
    },
    /// A run of an experiment leaves its worker: it ended. The experiment may run again, or still run on others.
    Rested {
        /// This experiment.
        experiment: u32,
        /// The worker; `None` if it was built ahead and does not run.
        worker: Option<u32>,
    },
    /// An experiment's change was made to another parent, since the incumbent moved.
    Rebased {
        /// This experiment.
        experiment: u32,
        /// The experiment that it stands on now, or whose change it conflicts with.
        onto: u32,
        /// Whether it was found better than its old parent, and is measured again for that.
        better: bool,
        /// Why it could not be, if it could not: both sides changed the same.
        conflict: Option<&'a str>,
    },
    /// A phase of a run begins.
    Phase {
        /// Of this experiment.
        experiment: u32,
        /// On this worker, from 0; `None` while it is built ahead.
        worker: Option<u32>,
        /// Which.
        phase: Phase,
    },
    /// A new line of output.
    Line {
        /// Of this experiment.
        experiment: u32,
        /// On this worker, from 0; `None` while it is built ahead.
        worker: Option<u32>,
        /// The line.
        line: &'a str,
    },
    /// An experiment is decided, and carried out if it is kept.
    Decided {
        /// The experiment.
        experiment: &'a Experiment,
        /// Everything so far, this experiment included.
        state: &'a State,
    },
    /// The work ends in an orderly way.
    Stopped {
        /// Why.
        reason: &'a StopReason,
        /// Everything so far.
        state: &'a State,
    },
}

/// Listens to the lab. It is called from the lab's task and from those of running experiments: be quick, do not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}
