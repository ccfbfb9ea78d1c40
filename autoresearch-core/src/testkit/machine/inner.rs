//! The inside of a simulated machine: what it holds, counts and does.

use std::collections::HashSet;
use std::io;

use super::super::script::{Fate, Step};
use crate::cancel::Cancel;
use crate::sandbox::{Candidate, Revision, SandboxError};

/// The inside of a simulated machine.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) baseline: Step,
    pub(super) candidates: Vec<Step>,
    pub(super) troubled: HashSet<usize>,
    pub(super) jitter: f64,
    pub(super) incumbent: Option<Revision>,
    pub(super) runs: usize,
    /// The slot and the worker of each trial in flight.
    pub(super) running: Vec<(u32, Option<u32>)>,
    /// The parts of each candidate, the baseline first, where effects add up.
    pub(super) adds_up: bool,
    pub(super) made_of: Vec<Vec<usize>>,
    /// The most milliseconds that a trial takes, differently for each.
    pub(super) pace: u64,
    pub(super) operations: usize,
    pub(super) dies_at: Option<usize>,
    pub(super) dead: bool,
    pub(super) cancel_at: Option<(usize, Cancel)>,
    pub(super) durable: Vec<u8>,
    pub(super) buffered: Vec<u8>,
    pub(super) full_at: Option<usize>,
    pub(super) full: bool,
    pub(super) locked: bool,
}

impl Inner {
    /// One operation. `false` if the machine is dead, or dies with it.
    pub(super) fn lives(&mut self) -> bool {
        self.operations += 1;
        if let Some((_, cancel)) = self.cancel_at.take_if(|(at, _)| *at == self.operations) {
            cancel.cancel();
        }
        self.dead |= self.dies_at == Some(self.operations);
        self.full |= self.full_at == Some(self.operations);
        !self.dead
    }

    /// The sum of what a candidate consists of, if none of it fails.
    pub(super) fn sum(&self, number: usize) -> Option<f64> {
        let mut had = HashSet::new();
        let scores = self.made_of.get(number)?.iter().map(|step| {
            let step = self.candidates.get(*step)?;
            match step.fate {
                Fate::Score(score) | Fate::Trouble(score) => {
                    let counts = step.redundant.is_none_or(|name| had.insert(name));
                    Some(if counts { score } else { 0.0 })
                }
                _ => None,
            }
        });
        scores.sum()
    }

    /// A new candidate: `step` on `parent`, which is missing for the baseline.
    pub(super) fn make(&mut self, parent: Option<usize>, step: usize) -> Candidate {
        let number = self.made_of.len();
        let mut made_of = parent.and_then(|parent| self.made_of.get(parent).cloned()).unwrap_or_default();
        made_of.push(step);
        let name = |at: &usize| match self.candidates.get(*at).and_then(|step| step.twin) {
            Some(twin) => format!("twin {twin}"),
            None => format!("only {at}"),
        };
        let fingerprint = match self.adds_up {
            true => {
                let mut names: Vec<String> = made_of.iter().map(name).collect();
                names.sort();
                names.dedup();
                names.join(", ")
            }
            false => name(&step),
        };
        self.made_of.push(made_of);
        let added_lines = self.candidates.get(step).map_or(0, |step| step.added_lines);
        Candidate { revision: Revision(number.to_string()), fingerprint, added_lines }
    }

    pub(super) fn works(&mut self) -> Result<(), SandboxError> {
        if self.lives() { Ok(()) } else { Err(SandboxError::Other("the power is cut".into())) }
    }

    /// A run or a build begins: no other one may be there.
    pub(super) fn begin(&mut self, (slot, worker): (u32, Option<u32>)) -> Result<(), SandboxError> {
        self.works()?;
        let same = |(at, by): &(u32, Option<u32>)| *at == slot || (worker.is_some() && *by == worker);
        assert!(!self.running.iter().any(same), "nothing may run in slot {slot} or on {worker:?} when a run begins");
        self.running.push((slot, worker));
        Ok(())
    }

    pub(super) fn end(&mut self, place: (u32, Option<u32>)) -> Result<(), SandboxError> {
        self.works()?;
        self.running.retain(|running| *running != place);
        Ok(())
    }

    /// The step that led to a candidate.
    pub(super) fn step(&self, number: usize) -> Option<&Step> {
        self.made_of.get(number).and_then(|steps| self.candidates.get(*steps.last()?))
    }

    /// The fate of a candidate: on a rung, if that differs, and on the full budget.
    pub(super) fn fate(&self, number: usize) -> (Option<f64>, Fate) {
        let Some(step) = self.step(number) else { return (None, Fate::Crash) };
        match (self.adds_up, &step.fate) {
            (false, fate) => (step.short, fate.clone()),
            (true, Fate::Trouble(_)) => (None, self.sum(number).map_or(Fate::Crash, Fate::Trouble)),
            (true, Fate::Score(_)) => (None, self.sum(number).map_or(Fate::Crash, Fate::Score)),
            (true, fate) => (None, fate.clone()),
        }
    }

    pub(super) fn disk_works(&mut self) -> io::Result<()> {
        if self.lives() { Ok(()) } else { Err(io::Error::other("the power is cut")) }
    }
}
