//! The merge queue: how an open experiment's base relates to the incumbent, which may move while several are in flight.
//!
//! Candidates that were found better than a base that is not the incumbent any more are rebased onto the incumbent, each
//! further one onto the one before it, and measured again at the same time: the second is measured with the first in it. It
//! is judged when the first is kept; if that is not, it is rebased again. So every link of the lineage is measured, and a
//! keep need not wait for the trials of another.

use super::{Incumbent, OpenExperiment, State};
use crate::ratchet::Arm;
use crate::sandbox::Revision;

/// The relation of an open experiment's base to the incumbent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseStatus {
    /// The base is the incumbent, or the tip of a side line: the experiment can be judged and kept. So can one in conflict,
    /// as it is.
    Current,
    /// The base is the candidate of this experiment, which is not decided.
    QueuedBehind(u32),
    /// The search does not go on from the base any more.
    Stale,
}

impl Incumbent {
    /// Whether `revision` is this state, by the name that it ran under or by the one that it was kept as.
    pub(super) fn is(&self, revision: &Revision) -> bool {
        self.revision == *revision || self.candidate.revision == *revision
    }
}

impl State {
    /// The open experiment of this number.
    #[doc(hidden)]
    pub fn open(&self, experiment: u32) -> Option<&OpenExperiment> {
        self.open.iter().find(|open| open.experiment.id == experiment)
    }

    /// The experiments that are staged and not decided, oldest first.
    #[doc(hidden)]
    pub fn pending(&self) -> impl Iterator<Item = &super::Experiment> {
        self.open.iter().map(|open| &open.experiment)
    }

    /// How an open experiment's base relates to the incumbent.
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

    /// The end of the merge queue, onto which the next better candidate is rebased: the incumbent with all that was found
    /// better before.
    #[doc(hidden)]
    pub fn queue_end(&self) -> Option<&Revision> {
        let incumbent = self.incumbent.as_ref()?;
        let mut top = &incumbent.revision;
        let on = |open: &&OpenExperiment, below: &Revision| {
            let parent = open.experiment.parent.as_ref();
            let below = |parent: &Revision| parent == below || (*below == incumbent.revision && incumbent.is(parent));
            open.in_merge_queue && open.experiment.conflict.is_none() && parent.is_some_and(below)
        };
        // Each step goes to another experiment, as a candidate is never its own ancestor.
        for _ in &self.open {
            match self.open.iter().find(|open| on(open, top)) {
                Some(open) => top = &open.experiment.candidate.revision,
                None => break,
            }
        }
        Some(top)
    }

    /// Whether an experiment that is found better now has to join the merge queue: others were found better before and are
    /// being measured on the incumbent. It follows on them, or their trials were for nothing.
    #[doc(hidden)]
    pub fn has_to_queue(&self, open: &OpenExperiment) -> bool {
        let incumbent = self.incumbent.as_ref().map(|incumbent| &incumbent.revision);
        !open.in_merge_queue && open.experiment.conflict.is_none() && self.queue_end() != incumbent
    }

    /// The measurements that an open experiment's are compared with: those of its base, as far as that was kept.
    pub(super) fn reference(&self, open: &OpenExperiment) -> Option<&Arm> {
        match (self.base_status(open), &open.experiment.parent) {
            (BaseStatus::Current, _) => self.incumbent.as_ref().map(|incumbent| &incumbent.arm),
            (_, Some(parent)) => self.former.iter().find(|former| former.is(parent)).map(|former| &former.arm),
            (_, None) => None,
        }
    }

    /// Whether there are measurements that an open experiment's can be compared with.
    #[doc(hidden)]
    pub fn comparable(&self, open: &OpenExperiment) -> bool {
        self.reference(open).is_some()
    }

    /// Forgets the former incumbents that are no open experiment's base.
    pub(super) fn forget_former(&mut self) {
        let open = &self.open;
        let needed =
            |former: &Incumbent| open.iter().any(|o| o.experiment.parent.as_ref().is_some_and(|p| former.is(p)));
        self.former.retain(needed);
    }
}
