//! What short runs showed. They are kept apart from the measurements that decide.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Score};
use crate::ratchet::{Arm, Noise, Side};
use crate::sandbox::RunLog;

/// How a candidate got from short runs to the full budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Promotion {
    /// It is good enough on a rung.
    Passed,
    /// It is not, and was promoted all the same, to see what screening throws away.
    Control,
    /// It could not be compared: the incumbent gave no number in a short run.
    Unscreened,
}

/// The short runs of one experiment.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Short {
    /// One for each rung that it ran on, the shortest first.
    pub looks: Vec<Look>,
    /// How it got to the full budget, if it did.
    pub promotion: Option<Promotion>,
}

/// A candidate beside the incumbent of that time, on one rung.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Look {
    /// The share of the full budget.
    pub fidelity: f64,
    /// The candidate's score.
    pub score: Score,
    /// The mean score of the incumbent's runs on the same share.
    pub incumbent: Score,
}

impl Look {
    /// By how much the candidate was better than the incumbent.
    pub fn gain(&self, direction: Direction) -> f64 {
        direction.gain(self.incumbent, self.score)
    }
}

/// An incumbent's scores on one rung.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rung {
    /// The share of the full budget.
    pub fidelity: f64,
    /// Its scores, oldest first.
    pub scores: Vec<f64>,
}

/// The incumbent's short runs, and what came of screening so far.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Rungs {
    /// Of the incumbent, by rung.
    pub incumbent: Vec<Rung>,
    /// What short runs of the same code differ by, by rung, from the incumbents before.
    noise: Vec<(f64, Noise)>,
    /// How many candidates failed their rung, controls included.
    pub failed: u32,
    /// How many of these were promoted as controls.
    pub controls: u32,
    /// How many short runs there were, of candidates and of incumbents.
    pub runs: u32,
    /// Wall clock of these, builds included.
    pub time: Duration,
    /// How many runs of candidates on the full budget there were, the baseline's included.
    pub full_runs: u32,
    /// Wall clock of these, builds included.
    pub full_time: Duration,
}

impl Rungs {
    /// The incumbent's scores on a rung.
    pub fn scores(&self, fidelity: f64) -> &[f64] {
        self.incumbent.iter().find(|rung| rung.fidelity == fidelity).map_or(&[], |rung| &rung.scores)
    }

    /// What short runs of the same code differ by on a rung.
    pub fn noise(&self, fidelity: f64) -> Noise {
        let before = self.noise.iter().find(|(at, _)| *at == fidelity).map_or(Noise::default(), |(_, noise)| *noise);
        before.with(self.scores(fidelity))
    }

    /// A look of a candidate with this score, if the incumbent ran on that rung.
    pub(super) fn look(&self, fidelity: f64, score: Score) -> Option<Look> {
        Some(Look { fidelity, score, incumbent: Arm::of(self.scores(fidelity).iter().copied()).mean()? })
    }

    pub(super) fn spend(&mut self, short: bool, side: Side, log: &RunLog) {
        let took = log.build + log.elapsed;
        match (short, side) {
            (true, _) => (self.runs, self.time) = (self.runs + 1, self.time + took),
            (false, Side::Candidate) => {
                (self.full_runs, self.full_time) = (self.full_runs + 1, self.full_time + took);
            }
            (false, Side::Incumbent) => {}
        }
    }

    pub(super) fn count(&mut self, promotion: Promotion) {
        if promotion == Promotion::Control {
            (self.failed, self.controls) = (self.failed + 1, self.controls + 1);
        }
    }

    pub(super) fn add(&mut self, fidelity: f64, score: Score) {
        match self.incumbent.iter_mut().find(|rung| rung.fidelity == fidelity) {
            Some(rung) => rung.scores.push(score.get()),
            None => self.incumbent.push(Rung { fidelity, scores: vec![score.get()] }),
        }
    }

    /// Another incumbent: of the old one only its noise counts from now on.
    pub(super) fn replace_incumbent(&mut self) {
        for Rung { fidelity, scores } in std::mem::take(&mut self.incumbent) {
            match self.noise.iter_mut().find(|(at, _)| *at == fidelity) {
                Some((_, noise)) => noise.pool(&scores),
                None => self.noise.push((fidelity, Noise::default().with(&scores))),
            }
        }
    }
}
