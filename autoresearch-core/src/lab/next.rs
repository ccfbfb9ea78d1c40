//! What comes next for an experiment: a run, a move to another parent, or its end.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::work::Work;
use super::{Lab, screening};
use crate::ratchet::{Side, Verdict, on_one_machine};
use crate::state::{Open, Promotion, Standing, Status};

/// What comes next for an experiment that neither runs nor pauses.
pub(super) enum Next {
    /// A run of this side on this share of the budget.
    Run(Side, f64),
    /// From short runs to the full budget.
    Promote(Promotion, String),
    /// The end.
    Decide(Status, String),
    /// The rule wants these.
    Want(Vec<Side>),
    /// Its change is made to what the search goes on from now; `true`: it was found better than its old parent.
    Move(bool),
    /// Another decision comes first.
    Wait,
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Lab<C> {
    /// What comes next for an open experiment, from what the journal says and what the rule asked for.
    pub(super) fn next(&self, work: &Work<C>, open: &Open) -> Next {
        let flight = work.bench.flights.get(&open.experiment.id);
        let standing = self.state.standing(open);
        if let Some(why) = &open.failed {
            // What it was made from may be at fault, if that was not measured.
            match standing {
                Standing::On(_) => return Next::Wait,
                Standing::Behind if !self.state.comparable(open) => return Next::Move(open.better),
                // Only the baseline is run again, as it failed under an earlier harness.
                _ if open.experiment.id > 0 || flight.is_some_and(|flight| flight.ran) => {
                    return Next::Decide(Status::Crash, why.clone());
                }
                _ => {}
            }
        }
        let unmeasured = open.experiment.arm.measurements.is_empty();
        match standing {
            Standing::On(_) if unmeasured => self.next_run(open, Side::Candidate, 1.0),
            Standing::On(_) => Next::Wait,
            Standing::Behind if unmeasured || !self.state.comparable(open) => Next::Move(open.better),
            Standing::Behind => match self.judge(open) {
                Verdict::Discard(reason) => Next::Decide(Status::Discard, reason),
                // Measured again as a change of today's incumbent, and kept only for what it is worth there.
                Verdict::Keep(_) | Verdict::Measure(_) => Next::Move(true),
            },
            Standing::Current if unmeasured && open.experiment.conflict.is_some() => {
                let why =
                    "it changes the same as what was kept before it could run; both sides go back to the proposer";
                Next::Decide(Status::Discard, why.into())
            }
            Standing::Current if unmeasured => self.screened(open),
            Standing::Current => {
                if let Some(side) = flight.and_then(|flight| flight.wanted.front()) {
                    return self.next_run(open, *side, 1.0);
                }
                // A rule that is shown the same evidence asks the same again.
                if flight.and_then(|flight| flight.asked) == Some(measured(open)) {
                    let why = "it could not be compared: the incumbent gave no number either";
                    return Next::Decide(Status::Discard, why.into());
                }
                match self.judge(open) {
                    Verdict::Keep(_) if self.state.comes_after_others(open) => Next::Move(true),
                    Verdict::Keep(reason) => Next::Decide(Status::Keep, reason),
                    Verdict::Discard(reason) => Next::Decide(Status::Discard, reason),
                    Verdict::Measure(sides) if sides.is_empty() => {
                        let why = "the rule asked for nothing more and did not decide";
                        Next::Decide(Status::Discard, why.into())
                    }
                    Verdict::Measure(sides) => Next::Want(sides),
                }
            }
        }
    }

    /// The first runs of a candidate: short ones, if there are any, and one on the full budget.
    fn screened(&self, open: &Open) -> Next {
        let Some(screening) = self.settings.screening.as_ref().filter(|_| !open.better) else {
            return self.next_run(open, Side::Candidate, 1.0);
        };
        match screening.next(&self.state, open, self.settings.excursion_tolerance(&self.state)) {
            screening::Next::Run(side, fidelity) => self.next_run(open, side, fidelity),
            screening::Next::Promote(promotion, reason) => Next::Promote(promotion, reason),
            screening::Next::Full => self.next_run(open, Side::Candidate, 1.0),
            screening::Next::Discard(reason) => Next::Decide(Status::Discard, reason),
        }
    }

    fn next_run(&self, open: &Open, side: Side, fidelity: f64) -> Next {
        let lost = open.lost;
        // Without a baseline there is nothing: it is tried however often the machine dies.
        if open.experiment.id > 0 && lost >= self.settings.lost_runs.max(1) {
            return Next::Decide(Status::Crash, format!("{lost} of its runs vanished with the harness"));
        }
        Next::Run(side, fidelity)
    }

    fn judge(&self, open: &Open) -> Verdict {
        let mut evidence = self.state.evidence(open);
        let verdict = on_one_machine(&mut evidence).unwrap_or_else(|| self.ratchet.judge(&evidence));
        if self.state.incumbent.is_some() {
            return verdict;
        }
        // The baseline has nothing to be compared with: all that a rule may do is ask for more of it.
        match verdict {
            Verdict::Keep(reason) => Verdict::Keep(reason),
            Verdict::Measure(sides) if sides.contains(&Side::Candidate) => {
                Verdict::Measure(sides.into_iter().filter(|side| *side == Side::Candidate).collect())
            }
            _ => Verdict::Keep("the baseline".into()),
        }
    }
}

/// How many measurements on the full budget there are, of both sides.
pub(super) fn measured(open: &Open) -> usize {
    open.experiment.arm.measurements.len() + open.incumbent.len()
}
