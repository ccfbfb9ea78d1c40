//! One more measurement of a candidate that was measured before.

use autoresearch_core::internal::{Purpose, for_purpose};
use autoresearch_core::{Cancel, Candidate, CommandSandbox, ExperimentId, Outcome, Sandbox, Score, Trial};

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
    let measurement = config.metric()?.read(&outcome).map_err(|error| match outcome {
        Outcome::Completed(_) => CommandError::Other(error.to_string()),
        other => CommandError::Other(other.describe()),
    })?;
    Ok(measurement.score)
}
