//! Trials of the last commit outside of any run: `init` and `doctor` see by them what a run would see, and leave nothing behind.

use std::path::PathBuf;
use std::sync::Arc;

use autoresearch_core::{
    Cancel, Candidate, CommandSandbox, ExperimentId, LocalExecutor, Measurement, Outcome, Revision, Sandbox,
    SandboxError, Slot, Trial,
};

use crate::error::CommandError;
use crate::session::Session;

/// The tag that its commits would have; none are made.
const TAG: &str = "rehearsal";

/// A sandbox like that of a run, with a slot and logs of its own that are removed with it.
pub struct Rehearsal {
    sandbox: CommandSandbox,
    candidate: Candidate,
    folder: PathBuf,
    budget: autoresearch_core::Budget,
    trials: u32,
}

impl Rehearsal {
    /// Prepares trials of `base`.
    pub fn new(session: &Session, base: &Revision) -> Result<Rehearsal, CommandError> {
        let folder = session.placeholders.cache.join("rehearsals").join(std::process::id().to_string());
        let slots = [Slot::new(folder.join("0"))];
        let (root, logs) = (&session.repository.root, folder.join("logs"));
        let executor = Arc::new(LocalExecutor::new(slots, logs).isolated(session.isolation()));
        let sandbox = CommandSandbox::new(root, TAG, session.commands(), executor)?.with_base(base.clone());
        let candidate = Candidate::new(base.0.clone());
        Ok(Rehearsal { sandbox, candidate, folder, budget: session.config.budget(), trials: 0 })
    }

    /// The folder that holds its slot, by which a path of the candidate is recognised.
    pub fn slots(&self) -> &std::path::Path {
        &self.folder
    }

    /// Makes one trial more, as a search makes them, guards included.
    pub async fn trial(&mut self, seed: u64, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        self.trials += 1;
        let trial = Trial::new(ExperimentId::BASELINE, self.trials, seed, self.budget);
        self.sandbox.run(&self.candidate, &trial, cancel).await
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        // What cannot be removed stays in the cache and does no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The noise of several measurements of the same code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// The mean score.
    pub mean: f64,
    /// The standard deviation of one trial; 0 for a single one.
    pub sigma: f64,
    /// Number of trials.
    pub trials: usize,
}

impl Noise {
    /// Estimates it; `None` without a measurement.
    pub fn of(measurements: &[Measurement]) -> Option<Noise> {
        let scores: Vec<f64> = measurements.iter().map(|made| made.score.get()).collect();
        let trials = scores.len();
        let mean = scores.iter().sum::<f64>() / trials as f64;
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        let sigma = if trials > 1 { (squares / (trials - 1) as f64).sqrt() } else { 0.0 };
        (trials > 0).then_some(Noise { mean, sigma, trials })
    }

    /// Describes it: the spread of one trial, and its share of the mean.
    pub fn describe(&self) -> String {
        let significant = autoresearch_core::internal::metric::significant;
        let spread = match (self.trials, self.sigma) {
            (1, _) => "measured once, so that its noise is not known".to_owned(),
            (trials, 0.0) => format!("all {trials} trials gave the same number"),
            (trials, sigma) if self.mean != 0.0 => {
                let share = 100.0 * sigma / self.mean.abs();
                format!("{trials} trials differ by {} ({share:.2} %, standard deviation)", significant(sigma))
            }
            (trials, sigma) => format!("{trials} trials differ by {} (standard deviation)", significant(sigma)),
        };
        format!("{}; {spread}", significant(self.mean))
    }
}
