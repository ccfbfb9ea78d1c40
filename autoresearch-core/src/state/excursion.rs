//! Excursions: side lines of changes that were not kept, which the search goes on from for a while.

use super::{Experiment, FinishedExcursion, SideLine, State};
use crate::journal::{ExcursionStep, Status};
use crate::sandbox::Revision;

impl State {
    /// The revision that the next proposal changes: the incumbent, or the tip of the side line.
    #[doc(hidden)]
    pub fn proposal_base(&self) -> Option<&Revision> {
        match &self.side_line {
            Some(line) => Some(&line.tip),
            None => self.incumbent.as_ref().map(|incumbent| &incumbent.revision),
        }
    }

    /// Number of experiments decided since the last keep and since the end of the last excursion.
    #[doc(hidden)]
    pub fn since_excursion(&self) -> usize {
        let kept = self.incumbent.as_ref().map(|incumbent| incumbent.experiment);
        let back = self.excursions.last().map(|excursion| excursion.last);
        kept.max(back).map_or(0, |last| self.experiments.len().saturating_sub(last as usize + 1))
    }

    /// What a decided experiment means for the side line; it is not yet among the experiments.
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
                let tip = experiment.candidate.revision.clone();
                let line = self.side_line.get_or_insert_with(|| SideLine {
                    sacrifices: Vec::new(),
                    tip: tip.clone(),
                    score,
                    added_lines: 0,
                    tried: 0,
                });
                line.sacrifices.push(id);
                line.added_lines += experiment.candidate.added_lines;
                (line.tip, line.score) = (tip, score);
            }
            Some(ExcursionStep::Dropped) if self.side_line.is_none() => return Err(unfit()),
            Some(ExcursionStep::Dropped) => self.leave(id, false),
            None if experiment.status == Status::Keep => self.leave(id, true),
            None => {}
        }
        Ok(())
    }

    fn leave(&mut self, last: u32, kept: bool) {
        if let Some(SideLine { sacrifices, tried, .. }) = self.side_line.take() {
            self.excursions.push(FinishedExcursion { sacrifices, tried, last, kept });
        }
    }
}
