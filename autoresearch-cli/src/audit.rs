//! `autoresearch audit`: measures the kept experiments of a run again, in rounds, to see which gains are real.

use autoresearch_core::git::Lineage;
use autoresearch_core::import::is_imported;
use autoresearch_core::journal::Record;
use autoresearch_core::{Cancel, Experiment, Journal, Purpose, Sandbox, State, Status, Trial};

use crate::config::Config;
use crate::places::Places;
use crate::run::{Home, RunError, commands, sandbox};

/// Measures every kept experiment, the baseline included, `rounds` times: all of them in each round with the same seed, so
/// that a slower hour of the machine falls on all alike. What is measured is journaled at once; no decision changes.
pub async fn audit(
    home: &Home,
    config: &Config,
    tag: &str,
    rounds: u32,
    cancel: &Cancel,
    on_score: impl Fn(&Experiment, f64),
) -> Result<State, RunError> {
    let path = home.journal(tag)?;
    let mut journal = Journal::open(&path)?;
    let mut state = State::replay(journal.entries())?;
    if is_imported(&state) {
        return Err(RunError::Imported(tag.into()));
    }
    let base = state.header.as_ref().and_then(|header| header.base.clone());
    let base = base.ok_or_else(|| RunError::Other(format!("the run {tag} names no commit that it starts from")))?;
    let run_seed = state.header.as_ref().map_or(0, |header| header.seed);
    let places = Places::find(home.root.clone(), &config.preset)?;
    let (lineage, commands) = (Lineage::open(&home.root, tag)?, commands(config, &places)?);
    let sandbox = sandbox(config, &places, commands, lineage, &base, tag, home.run(tag).join("logs"))?;
    let metric = config.metric.metric();
    let kept: Vec<Experiment> = state.experiments.iter().filter(|e| e.status == Status::Keep).cloned().collect();
    if kept.len() < 2 {
        return Err(RunError::Other(format!("the run {tag} has kept nothing yet; there is nothing to audit")));
    }
    sandbox.recover().await?;
    let done = state.experiments.first().map_or(0, |baseline| baseline.audit.len() as u32);
    for round in done..done + rounds {
        // The same for all, and one that no trial of the search had.
        let seed = Purpose::Audit.seed(run_seed, 0, u64::from(round) + 1);
        for experiment in &kept {
            let trial = Trial::new(experiment.id, round + 1, seed, config.budget()).for_purpose(Purpose::Audit);
            let outcome = sandbox.run(&experiment.candidate, &trial, cancel).await?;
            let measurement = metric.read(&outcome).map_err(|error| {
                RunError::Other(format!("experiment {}, which ran before, gave no number: {error}", experiment.id))
            })?;
            let score = measurement.score;
            let entry = journal.append(Record::Audited { experiment: experiment.id, seed, score })?;
            state.apply(&entry)?;
            on_score(experiment, score.get());
        }
    }
    Ok(state)
}
