//! Who works where: the workers with their devices, the places to build and run in, and what is in flight.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::Workers;
use crate::cancel::Cancel;
use crate::proposer::{ProposerError, Wave};
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome, Revision, SandboxError, Trial};

/// What the lab waited for has happened.
pub(super) enum Done<C> {
    /// The proposer has answered, for the files of this revision, after so long.
    Proposed { parent: Revision, result: Result<Wave<C>, ProposerError>, took: Duration },
    /// A build ahead of a run has ended; with the way in which it failed, if it did.
    Built { experiment: u32, attempt: u32, result: Result<Option<Outcome>, SandboxError> },
    /// A run of an experiment has ended.
    Ran { experiment: u32, attempt: u32, result: Result<Outcome, SandboxError> },
    /// A run of the incumbent that belongs to no experiment has ended.
    Checked { result: Result<Outcome, SandboxError> },
    /// A pause is over.
    Rested(Rest),
}

/// Who pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Proposer,
    Machine,
    Experiment(u32),
}

/// A run of an experiment that is under way.
pub(super) struct Run {
    pub(super) phase: Phase,
    pub(super) side: Side,
    pub(super) candidate: Candidate,
    pub(super) trial: Trial,
    pub(super) place: Place,
    /// Stops this run alone.
    pub(super) cancel: Cancel,
}

/// What a run holds while it goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) worker: Option<usize>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is built ahead.
    Building,
    /// It is built and waits for a worker.
    Built,
    /// It runs.
    Running,
}

/// What is known of an experiment beside the journal, as long as this harness lives.
#[derive(Default)]
pub(super) struct Flight {
    /// What goes on, the oldest first. Without any, what comes next is to be found out.
    pub(super) runs: Vec<Run>,
    /// Whether it pauses, after our machinery failed.
    pub(super) rests: bool,
    /// What the rule asked for and has not begun.
    pub(super) wanted: VecDeque<Side>,
    /// How many measurements there were when it asked.
    pub(super) asked: Option<usize>,
    /// Whether something of it ran under this harness.
    pub(super) ran: bool,
    /// How often in a row our machinery failed.
    pub(super) failures: u32,
}

impl Flight {
    /// Whether what comes next can be decided.
    pub(super) fn is_idle(&self) -> bool {
        self.runs.is_empty() && !self.rests
    }

    /// Whether another run of this side may begin beside those that go on: what the rule asked for at once.
    pub(super) fn may_begin(&self, side: Side) -> bool {
        !self.rests && self.runs.iter().all(|run| run.side == side && run.trial.fidelity == 1.0)
    }
}

type Waiting<C> = FuturesUnordered<Pin<Box<dyn Future<Output = Done<C>> + Send>>>;

/// The workers, the slots, and everything in flight.
pub(super) struct Bench<C> {
    workers: Workers,
    busy: Vec<bool>,
    /// What each slot held last, and whether it is taken.
    slots: Vec<(Option<Revision>, bool)>,
    pub(super) flights: HashMap<u32, Flight>,
    waiting: Waiting<C>,
}

impl<C> Bench<C> {
    pub(super) fn new(workers: Workers) -> Bench<C> {
        let (busy, slots) = (vec![false; workers.classes.len()], vec![(None, false); workers.slots()]);
        Bench { workers, busy, slots, flights: HashMap::new(), waiting: FuturesUnordered::new() }
    }

    pub(super) fn wait_for(&mut self, future: impl Future<Output = Done<C>> + Send + 'static) {
        self.waiting.push(Box::pin(future));
    }

    /// Whether nothing is waited for.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next thing that happens; `None` if nothing is waited for.
    pub(super) async fn next(&mut self) -> Option<Done<C>> {
        self.waiting.next().await
    }

    /// A free worker of this class.
    pub(super) fn free_worker(&self, class: &str) -> Option<usize> {
        let mut free = self.workers.classes.iter().zip(&self.busy).enumerate();
        free.find(|(_, (of, busy))| *of == class && !**busy).map(|(at, _)| at)
    }

    /// How many workers do nothing.
    pub(super) fn idle_workers(&self) -> usize {
        self.busy.iter().filter(|busy| !**busy).count()
    }

    /// A place to build `candidate` in, ahead of its run.
    pub(super) fn place_ahead(&mut self, candidate: &Revision) -> Option<Place> {
        if self.ahead() >= self.workers.builders {
            return None;
        }
        let slot = self.free_slot(candidate, 0)?;
        Some(self.take(Place { slot, worker: None }, candidate))
    }

    /// How many experiments are built or being built ahead of their run.
    fn ahead(&self) -> usize {
        self.flights.values().flat_map(|flight| &flight.runs).filter(|run| run.phase != Phase::Running).count()
    }

    /// Whether there is a place for another run of this class.
    pub(super) fn has_room(&self, class: &str) -> bool {
        match self.workers.builders {
            0 => self.free_worker(class).is_some(),
            builders => self.ahead() < builders,
        }
    }

    /// A place to build and run `candidate` in with a worker of this class.
    pub(super) fn place(&mut self, candidate: &Revision, class: &str) -> Option<Place> {
        let worker = self.free_worker(class)?;
        let slot = if self.workers.builders == 0 { worker } else { self.free_slot(candidate, worker)? };
        Some(self.take(Place { slot, worker: Some(worker) }, candidate))
    }

    /// A free slot: the one that holds the candidate already, if there is one, since nothing must be built there; else this
    /// one, else the first.
    fn free_slot(&self, candidate: &Revision, rather: usize) -> Option<usize> {
        let mut free = self.slots.iter().enumerate().filter(|(_, (_, taken))| !taken);
        let held = free.clone().find(|(_, (held, _))| held.as_ref() == Some(candidate));
        let rather = free.clone().find(|(at, _)| *at == rather);
        held.or(rather).or_else(|| free.next()).map(|(at, _)| at)
    }

    fn take(&mut self, place: Place, candidate: &Revision) -> Place {
        self.slots[place.slot] = (Some(candidate.clone()), true);
        if let Some(worker) = place.worker {
            self.busy[worker] = true;
        }
        place
    }

    /// Gives a built run a worker of this class, if one is free.
    pub(super) fn employ(&mut self, place: &mut Place, class: &str) -> bool {
        place.worker = self.free_worker(class);
        if let Some(worker) = place.worker {
            self.busy[worker] = true;
        }
        place.worker.is_some()
    }

    pub(super) fn release(&mut self, place: Place) {
        self.slots[place.slot].1 = false;
        if let Some(worker) = place.worker {
            self.busy[worker] = false;
        }
    }
}
