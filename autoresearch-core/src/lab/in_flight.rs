//! The local state of one call of `Lab::run`: workers, slots, futures, and open experiments. It is lost in a crash;
//! everything durable is in the journal.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::completions::{Answer, Backoff, Completion, Completions};
use super::settings::Workers;
use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Revision, Trial};
use crate::stop::StopReason;

/// The wait after the first failure; doubled with each further one in a row, up to a minute.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Time within which everything in flight must end after it is cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// Returns the wait after this many failures in a row.
pub(super) fn backoff_after(failures: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_BACKOFF)
}

/// A trial of an experiment in flight.
pub(super) struct TrialInFlight {
    pub(super) phase: Phase,
    pub(super) side: Side,
    pub(super) candidate: Candidate,
    pub(super) trial: Trial,
    pub(super) lease: Lease,
    /// Cancels this trial alone.
    pub(super) cancel: Cancel,
}

/// The slot, and the worker if it has one, that a trial holds as long as it is in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) slot: usize,
    pub(super) worker: Option<usize>,
}

/// The phase of a trial in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being built ahead.
    Building,
    /// It is built and waits for a worker.
    Built,
    /// It is on a worker.
    Running,
}

/// The local state of an open experiment.
#[derive(Default)]
pub(super) struct ExperimentInFlight {
    /// Its trials in flight, the oldest first.
    pub(super) trials: Vec<TrialInFlight>,
    /// True while it waits after a failure of the sandbox.
    pub(super) backs_off: bool,
    /// The trials that the rule asked for and that are not started.
    pub(super) requested: VecDeque<Side>,
    /// Number of measurements when the rule asked.
    pub(super) measurements_at_request: Option<usize>,
    /// True once this process has started a trial of it.
    pub(super) was_tried: bool,
    /// Failures of the sandbox in a row, in this process.
    pub(super) failures: u32,
    /// The end of the merge queue that it contradicts. It waits until that is decided.
    pub(super) contradicts: Option<Revision>,
}

impl ExperimentInFlight {
    /// True if it neither runs nor waits after a failure, so that its next step can be taken.
    pub(super) fn is_idle(&self) -> bool {
        self.trials.is_empty() && !self.backs_off
    }

    /// True if another trial of this side may start beside those in flight.
    pub(super) fn may_start(&self, side: Side) -> bool {
        !self.backs_off && self.trials.iter().all(|trial| trial.side == side && trial.trial.fidelity == 1.0)
    }

    /// Remembers the trials that the rule asked for, and the number of measurements at that time.
    pub(super) fn request(&mut self, sides: Vec<Side>, measurements: usize) {
        (self.requested, self.measurements_at_request) = (sides.into(), Some(measurements));
    }

    /// Removes a trial from those in flight.
    pub(super) fn remove(&mut self, number: u32) -> Option<TrialInFlight> {
        let at = self.trials.iter().position(|trial| trial.trial.number == number)?;
        Some(self.trials.remove(at))
    }
}

/// The local state of the proposer.
#[derive(Default)]
pub(super) struct ProposerInFlight {
    /// True while it is being asked, or waits after a failure.
    pub(super) is_busy: bool,
    /// Failed calls in a row.
    pub(super) failures: u32,
    /// Proposals rejected in a row, and the texts of the last ones.
    pub(super) rejections: u32,
    pub(super) last_rejections: VecDeque<String>,
    /// Failures of the sandbox to stage a proposal, in a row.
    pub(super) staging_failures: u32,
    /// Reason why it is not asked again before there is a new result, if so.
    pub(super) exhausted: Option<StopReason>,
    /// Number of decided experiments when it was asked last.
    pub(super) known: usize,
    /// Seconds of its last call.
    pub(super) pace: f64,
}

/// A health check in flight.
pub(super) enum HealthCheck {
    /// The last check failed; the next one follows after a wait.
    BackingOff,
    /// The check starts as soon as a worker is free.
    Due,
    /// The check runs, to see whether the machine is at fault.
    Suspecting(Lease),
    /// The incumbent is measured again, to see whether the machine has shifted.
    Measuring {
        /// Held while it runs.
        lease: Option<Lease>,
        /// The experiment that made the incumbent.
        incumbent: ExperimentId,
        /// Its scores before.
        before: Vec<f64>,
        /// Its scores since.
        now: Vec<f64>,
    },
}

/// The workers, the slots, and everything in flight.
pub(super) struct InFlight<C> {
    /// Cancels everything in flight.
    pub(super) cancel: Cancel,
    pub(super) experiments: HashMap<ExperimentId, ExperimentInFlight>,
    pub(super) proposer: ProposerInFlight,
    pub(super) health_check: Option<HealthCheck>,
    started: Instant,
    workers: Workers,
    busy: Vec<bool>,
    /// The last revision in each slot, and whether the slot is leased.
    slots: Vec<(Option<Revision>, bool)>,
    completions: Completions<C>,
    /// Number of the completions that are pauses of the proposer or of the machine.
    pauses: usize,
}

impl<C: Send + 'static> InFlight<C> {
    pub(super) fn new(workers: Workers, cancel: Cancel) -> InFlight<C> {
        InFlight {
            cancel,
            experiments: HashMap::new(),
            proposer: ProposerInFlight::default(),
            health_check: None,
            started: Instant::now(),
            busy: vec![false; workers.classes.len()],
            slots: vec![(None, false); workers.slots()],
            workers,
            completions: Completions::new(),
            pauses: 0,
        }
    }

    /// Returns the time since the call of `Lab::run` began, by a monotonic clock.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the local state of the experiment with this number.
    pub(super) fn experiment(&mut self, id: ExperimentId) -> &mut ExperimentInFlight {
        self.experiments.entry(id).or_default()
    }

    /// Forgets a decided experiment, and lets an exhausted proposer be asked again.
    pub(super) fn forget(&mut self, experiment: ExperimentId) {
        self.experiments.remove(&experiment);
        self.proposer.exhausted = None;
    }

    /// Awaits a future beside the others.
    pub(super) fn await_completion(&mut self, future: impl Future<Output = Completion<C>> + Send + 'static) {
        self.completions.add(future);
    }

    /// Waits for the next completion; `None` if nothing is awaited.
    pub(super) async fn next_completion(&mut self) -> Option<Completion<C>> {
        self.completions.next().await
    }

    /// True if nothing is awaited.
    pub(super) fn is_quiet(&self) -> bool {
        self.completions.len() == 0
    }

    /// True if nothing is awaited but the end of pauses after failures that are no experiment's.
    pub(super) fn only_pauses(&self) -> bool {
        self.completions.len() == self.pauses
    }

    /// Cancels everything and awaits its end for some seconds. Returns what the proposer answered meanwhile.
    pub(super) async fn cancel_all(&mut self) -> Vec<Answer<C>> {
        self.cancel.cancel();
        let mut answers = Vec::new();
        let ended = async {
            while let Some(completion) = self.completions.next().await {
                if let Completion::Proposed(answer) = completion {
                    answers.push(answer);
                }
            }
        };
        // Futures that do not end are dropped.
        let _ = tokio::time::timeout(CANCEL_GRACE, ended).await;
        answers
    }

    /// Starts a wait after a failure.
    pub(super) fn back_off(&mut self, backoff: Backoff, pause: Duration) {
        match backoff {
            Backoff::Proposer => self.proposer.is_busy = true,
            Backoff::Machine => self.health_check = Some(HealthCheck::BackingOff),
            Backoff::Experiment(experiment) => self.experiment(experiment).backs_off = true,
        }
        self.pauses += usize::from(!matches!(backoff, Backoff::Experiment(_)));
        let cancel = self.cancel.clone();
        self.await_completion(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => {}
            }
            Completion::BackedOff(backoff)
        });
    }

    /// Ends a wait after a failure.
    pub(super) fn end_backoff(&mut self, backoff: Backoff) {
        self.pauses -= usize::from(!matches!(backoff, Backoff::Experiment(_)));
        match backoff {
            Backoff::Proposer => self.proposer.is_busy = false,
            Backoff::Machine => self.health_check = Some(HealthCheck::Due),
            Backoff::Experiment(experiment) => self.experiment(experiment).backs_off = false,
        }
    }

    /// Finds a free worker of this class.
    fn free_worker(&self, class: &str) -> Option<usize> {
        let mut free = self.workers.classes.iter().zip(&self.busy).enumerate();
        free.find(|(_, (offered, busy))| *offered == class && !**busy).map(|(at, _)| at)
    }

    /// Counts the workers without a trial.
    pub(super) fn idle_workers(&self) -> usize {
        self.busy.iter().filter(|busy| !**busy).count()
    }

    /// Counts the trials that are built, or being built, ahead.
    fn ahead(&self) -> usize {
        let trials = self.experiments.values().flat_map(|experiment| &experiment.trials);
        trials.filter(|trial| trial.phase != Phase::Running).count()
    }

    /// True if another trial of this class could start now.
    pub(super) fn has_room(&self, class: &str) -> bool {
        match self.workers.builders {
            0 => self.free_worker(class).is_some(),
            builders => self.ahead() < builders,
        }
    }

    /// Leases a slot to build `candidate` in, ahead of its trial.
    pub(super) fn lease_ahead(&mut self, candidate: &Revision) -> Option<Lease> {
        if self.ahead() >= self.workers.builders {
            return None;
        }
        let slot = self.free_slot(candidate, 0)?;
        Some(self.hold(Lease { slot, worker: None }, candidate))
    }

    /// Leases a slot and a worker of this class to build and run `candidate`.
    pub(super) fn lease(&mut self, candidate: &Revision, class: &str) -> Option<Lease> {
        let worker = self.free_worker(class)?;
        let slot = if self.workers.builders == 0 { worker } else { self.free_slot(candidate, worker)? };
        Some(self.hold(Lease { slot, worker: Some(worker) }, candidate))
    }

    /// Leases the slot that a trial of an earlier process has, and a worker of this class if one is free.
    pub(super) fn lease_again(&mut self, slot: usize, candidate: &Revision, class: &str) -> Lease {
        let is_free = |worker: usize| {
            self.workers.classes.get(worker).is_some_and(|offered| offered == class) && !self.busy[worker]
        };
        // Without builds ahead a worker and its slot have the same number.
        let worker = match self.workers.builders == 0 && is_free(slot) {
            true => Some(slot),
            false => self.free_worker(class),
        };
        self.hold(Lease { slot, worker }, candidate)
    }

    /// Finds a free slot: the one that holds the candidate already, since nothing has to be built there; else the preferred
    /// one; else the first.
    fn free_slot(&self, candidate: &Revision, preferred: usize) -> Option<usize> {
        let mut free = self.slots.iter().enumerate().filter(|(_, (_, leased))| !leased);
        let held = free.clone().find(|(_, (held, _))| held.as_ref() == Some(candidate));
        let preferred = free.clone().find(|(at, _)| *at == preferred);
        held.or(preferred).or_else(|| free.next()).map(|(at, _)| at)
    }

    fn hold(&mut self, lease: Lease, candidate: &Revision) -> Lease {
        if let Some(slot) = self.slots.get_mut(lease.slot) {
            *slot = (Some(candidate.clone()), true);
        }
        self.set_busy(lease.worker, true);
        lease
    }

    fn set_busy(&mut self, worker: Option<usize>, is_busy: bool) {
        if let Some(busy) = worker.and_then(|worker| self.busy.get_mut(worker)) {
            *busy = is_busy;
        }
    }

    /// Adds a worker of this class to the lease of a built trial, if one is free.
    pub(super) fn add_worker(&mut self, lease: &mut Lease, class: &str) -> bool {
        lease.worker = self.free_worker(class);
        self.set_busy(lease.worker, true);
        lease.worker.is_some()
    }

    pub(super) fn release(&mut self, lease: Lease) {
        if let Some((_, leased)) = self.slots.get_mut(lease.slot) {
            *leased = false;
        }
        self.set_busy(lease.worker, false);
    }
}
