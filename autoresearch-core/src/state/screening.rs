//! The results of screening, kept apart from the measurements that decide.

use std::time::Duration;

use crate::journal::Promotion;
use crate::metric::{Direction, Score};
use crate::ratchet::{Arm, Noise, Side};
use crate::sandbox::RunLog;

/// The trials of one experiment on the rungs of screening.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ScreeningRecord {
    /// One result for each rung that it was tried on, the shortest first.
    pub rungs: Vec<RungResult>,
    /// Its way to the full budget, if it got there.
    pub promotion: Option<Promotion>,
}

/// A candidate's score on one rung, beside the incumbent's of that time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RungResult {
    /// The share of the full budget.
    pub fidelity: f64,
    /// The candidate's score.
    pub score: Score,
    /// The mean score of the incumbent's trials on the same rung.
    pub incumbent: Score,
}

impl RungResult {
    /// Returns the gain over the incumbent, in the metric's unit: positive is better.
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

/// The incumbent's trials on the rungs, and the counts of screening so far.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Rungs {
    /// The incumbent's scores, by rung.
    pub incumbent: Vec<Rung>,
    /// Noise on each rung, from the incumbents before.
    noise: Vec<(f64, Noise)>,
    /// Number of candidates that failed their rung, controls included.
    pub failed: u32,
    /// Number of these that were promoted as controls.
    pub controls: u32,
    /// Number of trials on rungs, of candidates and of incumbents.
    pub runs: u32,
    /// Wall clock of these, builds included.
    pub time: Duration,
    /// Number of trials of candidates on the full budget, the baseline's included.
    pub full_runs: u32,
    /// Wall clock of these, builds included.
    pub full_time: Duration,
}

impl Rungs {
    /// Returns the incumbent's scores on a rung.
    pub fn scores(&self, fidelity: f64) -> &[f64] {
        self.incumbent.iter().find(|rung| rung.fidelity == fidelity).map_or(&[], |rung| &rung.scores)
    }

    /// Returns the noise on a rung: how much trials of the same code differ there.
    pub fn noise(&self, fidelity: f64) -> Noise {
        let before = self.noise.iter().find(|(at, _)| *at == fidelity).map_or(Noise::default(), |(_, noise)| *noise);
        before.with(self.scores(fidelity))
    }

    /// Returns the result of a candidate with this score, if the incumbent was tried on that rung.
    pub(super) fn result(&self, fidelity: f64, score: Score) -> Option<RungResult> {
        Some(RungResult { fidelity, score, incumbent: Arm::of(self.scores(fidelity).iter().copied()).mean()? })
    }

    pub(super) fn spend(&mut self, is_on_rung: bool, side: Side, log: &RunLog) {
        let took = log.build.saturating_add(log.elapsed).saturating_add(log.evaluation);
        match (is_on_rung, side) {
            (true, _) => (self.runs, self.time) = (self.runs + 1, self.time.saturating_add(took)),
            (false, Side::Candidate) => {
                (self.full_runs, self.full_time) = (self.full_runs + 1, self.full_time.saturating_add(took));
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

    /// Forgets the scores of the old incumbent, of which only the noise counts from now on.
    pub(super) fn replace_incumbent(&mut self) {
        for Rung { fidelity, scores } in std::mem::take(&mut self.incumbent) {
            match self.noise.iter_mut().find(|(at, _)| *at == fidelity) {
                Some((_, noise)) => noise.pool(&scores),
                None => self.noise.push((fidelity, Noise::default().with(&scores))),
            }
        }
    }
}
