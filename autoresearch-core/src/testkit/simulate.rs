//! Simulated runs whose truth is known: how many changes without effect a rule keeps, how much it gains, and how often it finds
//! a real gain (its power).
//!
//! The real lab decides with the real rule on candidates that are numbers with noise; effects add up. Every run has the same
//! number of trials, however they are spent. All figures are in standard deviations of one trial of the baseline ("sigma"),
//! so that they hold for any metric.
//!
//! ```
//! use std::sync::Arc;
//! use autoresearch_core::Strict;
//! use autoresearch_core::testkit::simulate::{Effects, Simulation};
//! # fn main() -> Result<(), autoresearch_core::LabError> {
//! let mut simulation = Simulation::new(Effects::none());
//! (simulation.trials, simulation.runs) = (60, 3);
//! let found = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
//!     .block_on(simulation.run(Arc::new(Strict)))?;
//! // Strict improvement climbs the noise: several keeps in each run, and nothing is gained.
//! assert!(found.false_keeps.mean > 1.0);
//! assert_eq!(found.gain.mean, 0.0);
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Exp, StandardNormal};

use super::search::{Search, search};
use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::lab::{LabError, Settings, Workers};
use crate::metric::{Direction, LogMetric};
use crate::proposer::{Context, Proposal, Proposer, ProposerError};
use crate::ratchet::Ratchet;
use crate::sandbox::{AdoptedRevision, Candidate, Outcome, Revision, RunLog, Sandbox, SandboxError, StageError, Trial};
use crate::state::{Experiment, Status};
use crate::stop::Stop;

/// The longest trial of several workers, in milliseconds.
const PACE: u64 = 20;

/// The effects of proposals, in sigma.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Effects {
    /// The share of proposals that help.
    pub good: f64,
    /// The gain of those that help.
    pub gain: Gain,
    /// Of the others, the share that harms; the rest has no effect.
    pub bad: f64,
    /// The mean loss of those that harm, exponentially distributed.
    pub harm: f64,
}

/// The gain of proposals that help, in sigma.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Gain {
    /// Exponentially distributed with this mean.
    Exponential(f64),
    /// The same for all.
    Fixed(f64),
}

impl Effects {
    /// No proposal has any effect: whatever is kept is kept by luck.
    pub fn none() -> Effects {
        Effects { good: 0.0, gain: Gain::Fixed(1.0), bad: 0.0, harm: 1.0 }
    }

    /// A share `good` of the proposals helps by `gain`; of the others half harm, by one sigma on average.
    pub fn some(good: f64, gain: Gain) -> Effects {
        Effects { good, gain, bad: 0.5, harm: 1.0 }
    }
}

/// The scores of trials of the same code.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Scores {
    /// Gaussian.
    Gaussian,
    /// The share of items passed, each with the same probability.
    PassRate {
        /// Items of the evaluation set.
        items: u32,
        /// The baseline's probability to pass, between 0 and 1.
        base: f64,
    },
    /// Whole steps: the number of successes in some draws, added to the true value.
    Steps {
        /// Draws.
        draws: u32,
        /// The probability of a success.
        success: f64,
    },
}

impl Scores {
    /// The score of a trial whose true value is `truth`, in sigma above the baseline.
    fn draw(self, truth: f64, rng: &mut StdRng) -> Option<f64> {
        match self {
            Scores::Gaussian => Some(truth + rng.sample::<f64, _>(StandardNormal)),
            Scores::PassRate { items, base } => {
                let sigma = (base * (1.0 - base) / f64::from(items)).sqrt();
                let passes = Binomial::new(u64::from(items), (base + truth * sigma).clamp(0.0, 1.0)).ok()?;
                Some(rng.sample(passes) as f64 / f64::from(items))
            }
            Scores::Steps { draws, success } => {
                // Steps of 0.01, so that the same step is printed with the same digits.
                let step = 0.01 * (truth * Scores::deviation(draws, success)).round();
                let successes = Binomial::new(u64::from(draws), success).ok()?;
                Some(0.01 * rng.sample(successes) as f64 + step)
            }
        }
    }

    /// The true mean of a candidate's scores, in sigma above the baseline's.
    fn mean(self, truth: f64) -> f64 {
        match self {
            Scores::Gaussian => truth,
            Scores::PassRate { items, base } => {
                let sigma = (base * (1.0 - base) / f64::from(items)).sqrt();
                ((base + truth * sigma).clamp(0.0, 1.0) - base) / sigma
            }
            Scores::Steps { draws, success } => {
                let deviation = Scores::deviation(draws, success);
                (truth * deviation).round() / deviation
            }
        }
    }

    /// The value of a score in sigma above the baseline's mean.
    fn in_sigma(self, score: f64) -> f64 {
        match self {
            Scores::Gaussian => score,
            Scores::PassRate { items, base } => (score - base) / (base * (1.0 - base) / f64::from(items)).sqrt(),
            Scores::Steps { draws, success } => {
                (score / 0.01 - f64::from(draws) * success) / Scores::deviation(draws, success)
            }
        }
    }

    /// The standard deviation of the successes.
    fn deviation(draws: u32, success: f64) -> f64 {
        (f64::from(draws) * success * (1.0 - success)).sqrt()
    }
}

/// Simulated runs of one rule.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Simulation {
    /// The effects of proposals.
    pub effects: Effects,
    /// The scores of trials of the same code. Default Gaussian.
    pub scores: Scores,
    /// Trials of each run. Default 500.
    pub trials: usize,
    /// The number of experiments after which a run ends, if it is known to the rule. Default not known.
    pub experiments: Option<usize>,
    /// Runs, with the seeds from 0. Default 500.
    pub runs: u64,
    /// Workers. With several, tests overlap, and the incumbent moves under them. Default 1.
    pub workers: usize,
}

/// A mean over the runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; NaN of a single run.
    pub error: f64,
}

/// The figures of a rule, each for one run, as means over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Simulated {
    /// The true gain of the final incumbent over the baseline, in sigma.
    pub gain: Estimate,
    /// Kept changes.
    pub keeps: Estimate,
    /// Kept changes without effect or with harm.
    pub false_keeps: Estimate,
    /// The measured mean of the final incumbent above the true one, in sigma.
    pub bias: Estimate,
    /// Proposals that were tried.
    pub proposals: Estimate,
    /// The share of the proposals with a real gain that were kept, over all runs; NaN without any.
    pub power: f64,
}

impl Simulated {
    /// False keeps for each hundred proposals.
    pub fn false_keeps_in_a_hundred(&self) -> f64 {
        100.0 * self.false_keeps.mean / self.proposals.mean
    }

    /// The share of false keeps among all keeps.
    pub fn false_share(&self) -> f64 {
        self.false_keeps.mean / self.keeps.mean
    }
}

impl Simulation {
    /// Five hundred runs of five hundred trials, with Gaussian noise and an end that the rule does not know.
    pub fn new(effects: Effects) -> Simulation {
        Simulation { effects, scores: Scores::Gaussian, trials: 500, experiments: None, runs: 500, workers: 1 }
    }

    /// Runs them all. With several workers trials take some milliseconds, differently for each; on a paused clock of tokio no time
    /// passes. The incumbent is measured again after ten experiments without a measurement of it where the rule wants
    /// fresh seeds, as the command does.
    ///
    /// # Errors
    /// If the lab fails, which is a fault of the simulation or of the rule.
    pub async fn run(&self, rule: Arc<dyn Ratchet>) -> Result<Simulated, LabError> {
        let mut all = Vec::new();
        for seed in 0..self.runs {
            all.push(self.one(rule.clone(), seed).await?);
        }
        let estimate = |of: fn(&Counts) -> f64| estimate(all.iter().map(of));
        let sum = |of: fn(&Counts) -> f64| all.iter().map(of).sum::<f64>();
        Ok(Simulated {
            gain: estimate(|run| run.gain),
            keeps: estimate(|run| run.keeps),
            false_keeps: estimate(|run| run.false_keeps),
            bias: estimate(|run| run.bias),
            proposals: estimate(|run| run.proposals),
            power: sum(|run| run.keeps - run.false_keeps) / sum(|run| run.real),
        })
    }

    async fn one(&self, rule: Arc<dyn Ratchet>, seed: u64) -> Result<Counts, LabError> {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        let world = Arc::new(World {
            simulation: *self,
            rng,
            truth: Mutex::default(),
            effect: Mutex::default(),
            trials: AtomicUsize::new(0),
            adopted: AdoptedRevision::default(),
        });
        let mut settings = Settings::new("simulated", Duration::from_secs(1));
        if let Some(experiments) = self.experiments {
            settings.stop = Stop::after(experiments);
        }
        settings.remeasure_every = rule.fresh_seeds().then_some(10);
        if self.workers > 1 {
            settings.workers = Workers::new(self.workers);
        }
        let state = search(Search {
            goal: "Raise the value.",
            proposer: Box::new(Random(world.clone())),
            sandbox: world.clone(),
            metric: Arc::new(LogMetric::new("value", Direction::Maximise)),
            ratchet: rule,
            settings,
            journal: None,
        })
        .await?;
        let kept = || state.experiments.iter().skip(1).filter(|e| e.status == Status::Keep);
        let effects = world.effect.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let real = |e: &&Experiment| effects.get(&e.id).is_some_and(|effect| *effect > 0.0);
        let (mut gain, mut bias) = (0.0, 0.0);
        if let Some(incumbent) = &state.incumbent {
            gain = self.scores.mean(world.truth_of(&incumbent.revision));
            bias = incumbent.arm.mean().map_or(0.0, |mean| self.scores.in_sigma(mean.get())) - gain;
        }
        Ok(Counts {
            gain,
            bias,
            keeps: kept().count() as f64,
            false_keeps: kept().filter(|e| !real(e)).count() as f64,
            real: state.experiments.iter().skip(1).filter(real).count() as f64,
            proposals: state.finished() as f64,
        })
    }
}

/// The figures of one run.
struct Counts {
    gain: f64,
    bias: f64,
    keeps: f64,
    false_keeps: f64,
    /// Proposals with a real gain.
    real: f64,
    proposals: f64,
}

fn estimate(values: impl Iterator<Item = f64> + Clone) -> Estimate {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Estimate { mean, error: (variance / count).sqrt() }
}

/// The truth and the noise of one run.
struct World {
    simulation: Simulation,
    rng: Mutex<StdRng>,
    /// The true value of each candidate, by its name.
    truth: Mutex<Vec<f64>>,
    /// The true gain of the mean of each experiment's last candidate over its parent's: a pass rate of 1 cannot rise.
    effect: Mutex<HashMap<ExperimentId, f64>>,
    trials: AtomicUsize,
    adopted: AdoptedRevision,
}

impl World {
    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn truth_of(&self, revision: &Revision) -> f64 {
        let truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        revision.0.parse::<usize>().ok().and_then(|at| truth.get(at).copied()).unwrap_or(f64::NAN)
    }

    fn candidate(&self, experiment: ExperimentId, parent: f64, truth: f64) -> Candidate {
        let scores = self.simulation.scores;
        let effect = scores.mean(truth) - scores.mean(parent);
        self.effect.lock().unwrap_or_else(PoisonError::into_inner).insert(experiment, effect);
        let mut all = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(truth);
        Candidate::new((all.len() - 1).to_string())
    }
}

/// Proposes effects at random, until the run's trials are spent.
struct Random(Arc<World>);

#[async_trait]
impl Proposer<f64> for Random {
    async fn propose(&mut self, _: &Context<'_, f64>) -> Result<Proposal<f64>, ProposerError> {
        let Simulation { effects, trials, .. } = self.0.simulation;
        if self.0.trials.load(Ordering::Relaxed) >= trials {
            return Err(ProposerError::Exhausted("all trials are spent".into()));
        }
        let exponential = |mean: f64| Exp::new(1.0 / mean).map_err(|error| ProposerError::Fatal(error.to_string()));
        let harm = exponential(effects.harm)?;
        let effect =
            match (self.0.draw(|rng| (rng.random_bool(effects.good), rng.random_bool(effects.bad))), effects.gain) {
                ((true, _), Gain::Exponential(mean)) => {
                    let help = exponential(mean)?;
                    self.0.draw(|rng| rng.sample(help))
                }
                ((true, _), Gain::Fixed(gain)) => gain,
                ((false, true), _) => -self.0.draw(|rng| rng.sample(harm)),
                ((false, false), _) => 0.0,
            };
        Ok(Proposal::new(effect, ""))
    }
}

#[async_trait]
impl Sandbox<f64> for World {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        Ok(self.candidate(ExperimentId::BASELINE, 0.0, 0.0))
    }

    async fn stage(
        &self,
        experiment: ExperimentId,
        parent: &Revision,
        effect: &f64,
        _: &str,
    ) -> Result<Candidate, StageError> {
        let parent = self.truth_of(parent);
        Ok(self.candidate(experiment, parent, parent + effect))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        self.trials.fetch_add(1, Ordering::Relaxed);
        if self.simulation.workers > 1 {
            let pace = self.draw(|rng| rng.random_range(1..=PACE));
            tokio::time::sleep(Duration::from_millis(pace)).await;
        }
        let truth = self.truth_of(&candidate.revision);
        let score = self.draw(|rng| self.simulation.scores.draw(truth, rng));
        let score = score.ok_or_else(|| SandboxError::Other("a probability is not between 0 and 1".into()))?;
        Ok(Outcome::Completed(RunLog::saying(format!("value: {score}"))))
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.adopted.adopt(from, to)
    }
}
