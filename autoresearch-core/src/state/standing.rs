//! What an open experiment stands on, where several are in flight and the incumbent may move below them.
//!
//! Candidates that were found better than a parent that is not the incumbent any more are moved onto the incumbent, each
//! further one onto the one before it, and measured again at the same time: as in a merge queue, the second is measured with
//! the first in it. It is judged when the first is kept; if that is not, it is moved again. So every link of the lineage is
//! measured, and a keep need not wait for the runs of another.

use super::{Incumbent, Open, State};
use crate::ratchet::Arm;
use crate::sandbox::Revision;

/// What an open experiment stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The incumbent, or the tip of a side line: it can be judged and kept. So can what conflicts, as it is.
    Current,
    /// The candidate of this experiment, which is not decided.
    On(u32),
    /// Something that the search does not go on from any more.
    Behind,
}

impl Incumbent {
    /// Whether `revision` is this state, by the name that it ran under or by the one that it was kept as.
    pub(super) fn is(&self, revision: &Revision) -> bool {
        self.revision == *revision || self.candidate.revision == *revision
    }
}

impl State {
    /// The experiment of this number that was begun and is not decided.
    pub fn open(&self, experiment: u32) -> Option<&Open> {
        self.open.iter().find(|open| open.experiment.id == experiment)
    }

    /// What was proposed and is not decided, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &super::Experiment> {
        self.open.iter().map(|open| &open.experiment)
    }

    /// What an open experiment stands on.
    pub fn standing(&self, open: &Open) -> Standing {
        let Some(parent) = &open.experiment.parent else { return Standing::Current };
        let current = open.experiment.conflict.is_some()
            || self.tip() == Some(parent)
            || self.incumbent.as_ref().is_some_and(|incumbent| incumbent.is(parent));
        if current {
            return Standing::Current;
        }
        match self.open.iter().find(|other| other.experiment.candidate.revision == *parent) {
            Some(other) => Standing::On(other.experiment.id),
            None => Standing::Behind,
        }
    }

    /// What a candidate that was found better is moved onto: the incumbent with all that was found better before.
    pub fn top(&self) -> Option<&Revision> {
        let incumbent = self.incumbent.as_ref()?;
        let mut top = &incumbent.revision;
        let on = |open: &&Open, below: &Revision| {
            let parent = open.experiment.parent.as_ref();
            let below = |parent: &Revision| parent == below || (*below == incumbent.revision && incumbent.is(parent));
            open.better && open.experiment.conflict.is_none() && parent.is_some_and(below)
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

    /// Whether others were found better before an experiment that is found better now, and are being measured on the incumbent:
    /// it follows on them, or their runs were for nothing.
    pub fn comes_after_others(&self, open: &Open) -> bool {
        let incumbent = self.incumbent.as_ref().map(|incumbent| &incumbent.revision);
        !open.better && open.experiment.conflict.is_none() && self.top() != incumbent
    }

    /// What an open experiment's measurements are compared with: those of what it stands on, as far as that was kept.
    pub(super) fn reference(&self, open: &Open) -> Option<&Arm> {
        match (self.standing(open), &open.experiment.parent) {
            (Standing::Current, _) => self.incumbent.as_ref().map(|incumbent| &incumbent.arm),
            (_, Some(parent)) => self.former.iter().find(|former| former.is(parent)).map(|former| &former.arm),
            (_, None) => None,
        }
    }

    /// Whether there is something that an open experiment's measurements can be compared with.
    pub fn comparable(&self, open: &Open) -> bool {
        self.reference(open).is_some()
    }

    /// Forgets the former incumbents that no open experiment was made from.
    pub(super) fn forget_former(&mut self) {
        let open = &self.open;
        let needed =
            |former: &Incumbent| open.iter().any(|o| o.experiment.parent.as_ref().is_some_and(|p| former.is(p)));
        self.former.retain(needed);
    }
}
