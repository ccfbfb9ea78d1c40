//! Excursions: side lines of changes that were not kept, from which the search continues for a while.

use super::{Experiment, FinishedExcursion, SideLine, State};
use crate::experiment_id::ExperimentId;
use crate::journal::{ExcursionStep, Status};
use crate::sandbox::Revision;

impl State {
    /// Returns the revision that the next proposal changes: the incumbent, or the end of the side line.
    #[doc(hidden)]
    pub fn proposal_base(&self) -> Option<&Revision> {
        match &self.side_line {
            Some(line) => Some(&line.tip),
            None => self.incumbent.as_ref().map(|incumbent| &incumbent.revision),
        }
    }

    /// Counts the experiments decided since the last keep or the end of the last excursion, whichever is later.
    #[doc(hidden)]
    pub fn since_excursion(&self) -> usize {
        let kept = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
        let back = self.excursions.last().map(|excursion| excursion.last);
        kept.max(back).map_or(0, |last| self.experiments.len().saturating_sub(last.0 as usize + 1))
    }

    /// Updates the side line for a decided experiment, before that joins the decided experiments.
    pub(super) fn step(&mut self, experiment: &Experiment, step: Option<ExcursionStep>) -> Result<(), String> {
        let id = experiment.id;
        let unfit = || format!("the decision on experiment {id} does not fit its excursion");
        if step.is_some() && experiment.status == Status::Keep {
            return Err(unfit());
        }
        if let Some(line) = &mut self.side_line {
            line.tried += 1;
        }
        match step {
            Some(ExcursionStep::Sacrifice) => {
                let score = experiment.score().filter(|_| experiment.status == Status::Discard).ok_or_else(unfit)?;
                let end = experiment.candidate.revision.clone();
                let line = self.side_line.get_or_insert_with(|| SideLine {
                    sacrifices: Vec::new(),
                    tip: end.clone(),
                    score,
                    added_lines: 0,
                    tried: 0,
                });
                line.sacrifices.push(id);
                line.added_lines += experiment.candidate.added_lines;
                (line.tip, line.score) = (end, score);
            }
            Some(ExcursionStep::Dropped) if self.side_line.is_none() => return Err(unfit()),
            Some(ExcursionStep::Dropped) => self.leave(id, false),
            None if experiment.status == Status::Keep => self.leave(id, true),
            None => {}
        }
        Ok(())
    }

    fn leave(&mut self, last: ExperimentId, kept: bool) {
        if let Some(SideLine { sacrifices, tried, .. }) = self.side_line.take() {
            self.excursions.push(FinishedExcursion { sacrifices, tried, last, kept });
        }
    }
}
