//! The sealed holdout: data that no decision of a run has seen, measured once at its end.

use autoresearch_core::internal::journal::Record;
use autoresearch_core::internal::{Purpose, for_purpose};
use autoresearch_core::{Budget, Cancel, Sandbox, Score, Trial};

use crate::error::CommandError;
use crate::remeasure::score;
use crate::session::{LockedRun, Session};
use crate::verification::bound;

/// Measures the baseline and the incumbent of a run on its holdout, and journals that it was opened. The opening counts even
/// if the measurement fails: somebody may have looked.
pub async fn open(session: &Session, cancel: &Cancel) -> Result<(), CommandError> {
    let holdout = &session.config.holdout;
    if holdout.command.is_empty() {
        let why = "there is no holdout to open; give the configuration a section [holdout] with a command";
        return Err(CommandError::Other(why.into()));
    }
    let LockedRun { mut journal, state, base, seed } = session.lock()?;
    bound(session, &state, &session.tag)?;
    let (Some(incumbent), Some(baseline)) = (&state.incumbent, state.experiments.first()) else {
        return Err(CommandError::NothingMeasured(session.tag.clone()));
    };
    let (mut commands, mut budget) = (session.commands(), session.config.budget());
    let command = session.placeholders.fill_all(&holdout.command);
    let environment = session.placeholders.environment(&holdout.environment);
    match &mut commands.evaluation {
        // What the run leaves is measured on other data, and no candidate learns which.
        Some(evaluation) => {
            (evaluation.argv, evaluation.environment, evaluation.limit) =
                (command, environment, holdout.limit_seconds.0);
        }
        None => {
            (commands.run, commands.run_environment) = (command, environment);
            budget = Budget { run: holdout.limit_seconds.0, ..budget };
        }
    }
    let sandbox = session.sandbox(commands, &base, "holdout")?;
    let metric = session.config.metric()?;

    let number = state.holdout.len() as u32 + 1;
    journal.append(Record::HoldoutOpened { best: incumbent.revision.clone() })?;
    let mut scores: Vec<Result<Score, String>> = Vec::new();
    for (experiment, candidate) in [(baseline.id, &baseline.candidate), (incumbent.experiment, &incumbent.candidate)] {
        let trial = for_purpose(Trial::new(experiment, number, seed, budget), Purpose::Holdout);
        let outcome = sandbox.run(candidate, &trial, cancel).await?;
        scores.push(score(&*metric, &outcome));
    }
    if let (Some(best), Some(baseline)) = (scores.pop(), scores.pop()) {
        journal.append(Record::HoldoutMeasured { baseline, best })?;
    }
    Ok(())
}
