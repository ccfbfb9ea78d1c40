//! The merge queue: how an open experiment's base relates to the incumbent, which may move while several are in flight.
//!
//! Candidates that were found better than a base that is not the incumbent any more are rebased onto the incumbent, each
//! further one onto the one before it, and all are measured again at the same time: the second together with the change of
//! the first. The second is judged when the first is kept, and rebased again when the first is not. So every link of the
//! lineage is measured, and no keep waits for the trials of another.

use super::{Incumbent, OpenExperiment, State};
use crate::experiment_id::ExperimentId;
use crate::ratchet::Arm;
use crate::sandbox::Revision;

/// The relation of an open experiment's base to the incumbent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseStatus {
    /// The base is the incumbent, or the end of a side line: the experiment can be judged and kept. An experiment in conflict
    /// counts as current, too.
    Current,
    /// The base is the candidate of the experiment with this number, which is not decided.
    QueuedBehind(ExperimentId),
    /// The base is a former incumbent, or a candidate that was not kept.
    Stale,
}

impl Incumbent {
    /// True if `revision` names this incumbent, as the candidate that ran or as the commit that it was kept as.
    pub(super) fn is(&self, revision: &Revision) -> bool {
        self.revision == *revision || self.candidate.revision == *revision
    }
}

impl State {
    /// Finds the open experiment of this number.
    #[doc(hidden)]
    pub fn open(&self, experiment: ExperimentId) -> Option<&OpenExperiment> {
        self.open.iter().find(|open| open.experiment.id == experiment)
    }

    /// Iterates over the experiments that are staged and not decided, oldest first.
    #[doc(hidden)]
    pub fn pending(&self) -> impl Iterator<Item = &super::Experiment> {
        self.open.iter().map(|open| &open.experiment)
    }

    /// Determines how an open experiment's base relates to the incumbent.
    #[doc(hidden)]
    pub fn base_status(&self, open: &OpenExperiment) -> BaseStatus {
        let Some(parent) = &open.experiment.parent else { return BaseStatus::Current };
        let current = open.experiment.conflict.is_some()
            || self.proposal_base() == Some(parent)
            || self.incumbent.as_ref().is_some_and(|incumbent| incumbent.is(parent));
        if current {
            return BaseStatus::Current;
        }
        match self.open.iter().find(|other| other.experiment.candidate.revision == *parent) {
            Some(other) => BaseStatus::QueuedBehind(other.experiment.id),
            None => BaseStatus::Stale,
        }
    }

    /// Finds the end of the merge queue, onto which the next better candidate is rebased. It is the incumbent if the queue is
    /// empty, and `None` before the baseline is kept.
    #[doc(hidden)]
    pub fn queue_end(&self) -> Option<&Revision> {
        let incumbent = self.incumbent.as_ref()?;
        let mut end = &incumbent.revision;
        let follows = |open: &&OpenExperiment, base: &Revision| {
            let parent = open.experiment.parent.as_ref();
            let is_base = |parent: &Revision| parent == base || (*base == incumbent.revision && incumbent.is(parent));
            open.in_merge_queue && open.experiment.conflict.is_none() && parent.is_some_and(is_base)
        };
        // Each step goes to another experiment, as a candidate is never its own ancestor.
        for _ in &self.open {
            match self.open.iter().find(|open| follows(open, end)) {
                Some(open) => end = &open.experiment.candidate.revision,
                None => break,
            }
        }
        Some(end)
    }

    /// True if an experiment that is found better now has to join the merge queue, since better ones are being measured on the
    /// incumbent already. Adopting it before them would make their trials useless.
    #[doc(hidden)]
    pub fn has_to_queue(&self, open: &OpenExperiment) -> bool {
        let incumbent = self.incumbent.as_ref().map(|incumbent| &incumbent.revision);
        !open.in_merge_queue && open.experiment.conflict.is_none() && self.queue_end() != incumbent
    }

    /// Returns the measurements to compare an open experiment with: those of its base, if that was kept.
    pub(super) fn reference(&self, open: &OpenExperiment) -> Option<&Arm> {
        match (self.base_status(open), &open.experiment.parent) {
            (BaseStatus::Current, _) => self.incumbent.as_ref().map(|incumbent| &incumbent.arm),
            (_, Some(parent)) => self.former.iter().find(|former| former.is(parent)).map(|former| &former.arm),
            (_, None) => None,
        }
    }

    /// True if there are measurements to compare an open experiment with.
    #[doc(hidden)]
    pub fn comparable(&self, open: &OpenExperiment) -> bool {
        self.reference(open).is_some()
    }

    /// Forgets the former incumbents on which no open experiment is based.
    pub(super) fn forget_former(&mut self) {
        let open = &self.open;
        let needed =
            |former: &Incumbent| open.iter().any(|o| o.experiment.parent.as_ref().is_some_and(|p| former.is(p)));
        self.former.retain(needed);
    }
}
