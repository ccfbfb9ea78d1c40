//! One more measurement of a candidate that was measured before.

use autoresearch_core::internal::{Purpose, for_purpose};
use autoresearch_core::{Cancel, Candidate, CommandSandbox, ExperimentId, Metric, Outcome, Sandbox, Score, Trial};

use crate::config::Config;
use crate::error::CommandError;

/// Measures the candidate of an experiment once more. Nothing is journaled.
pub async fn remeasure(
    config: &Config,
    sandbox: &CommandSandbox,
    candidate: &Candidate,
    (experiment, number, seed): (ExperimentId, u32, u64),
    cancel: &Cancel,
) -> Result<Score, CommandError> {
    let trial = for_purpose(Trial::new(experiment, number, seed, config.budget()), Purpose::Rerun);
    let outcome = sandbox.run(candidate, &trial, cancel).await?;
    score(&*config.metric()?, &outcome).map_err(CommandError::Other)
}

/// Reads the score of a trial, or says why it has none.
pub fn score(metric: &dyn Metric, outcome: &Outcome) -> Result<Score, String> {
    metric.read(outcome).map(|measurement| measurement.score).map_err(|error| match outcome {
        Outcome::Completed(_) => error.to_string(),
        other => other.describe(),
    })
}
