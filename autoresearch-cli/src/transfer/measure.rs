//! The trials of a transfer, one after the other.

use std::time::Instant;

use autoresearch_core::internal::journal::Moment;
use autoresearch_core::internal::{Purpose, for_purpose};
use autoresearch_core::{Cancel, ExperimentId, Sandbox, SandboxError, Trial};

use super::plan::Planned;
use super::record::{Measured, Record};
use super::repeats::wall_clock;
use super::setting::{Given, commands};
use crate::error::CommandError;
use crate::remeasure::score;
use crate::session::Session;
use crate::text::significant;

/// The way in which the trials ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All rounds are measured.
    Done,
    /// A signal came.
    Interrupted,
    /// The time is over.
    OutOfTime,
}

/// Measures what is left of `rounds` rounds, and records each trial at once. `told` hears of each.
///
/// # Errors
/// If the baseline gives no number, or our own machinery fails.
pub async fn measure(
    session: &Session,
    planned: &Planned,
    given: &Given,
    record: &mut Record,
    (rounds, seed, until): (u32, u64, Option<Instant>),
    (cancel, told): (&Cancel, &dyn Fn(String)),
) -> Result<Ended, CommandError> {
    let logs = format!("logs/transfer-{}", record.name());
    let sandbox = session.sandbox(commands(session, given), &planned.base, &logs)?;
    let metric = session.config.metric()?;
    sandbox.recover().await?;
    while let Some((round, place)) = record.left(rounds).first().copied() {
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Ended::OutOfTime);
        }
        let (Some(arm), Some(candidate)) = (planned.plan.arms.get(place), planned.candidates.get(place)) else { break };
        let (seed, number) =
            (Purpose::Transfer.seed(seed, ExperimentId::BASELINE, round.into()), record.trials.len() as u32 + 1);
        let trial = Trial::new(arm.experiment, number, seed, session.config.budget());
        let outcome = match sandbox.run(candidate, &for_purpose(trial, Purpose::Transfer), cancel).await {
            Err(SandboxError::Cancelled) => return Ok(Ended::Interrupted),
            outcome => outcome?,
        };
        let result = score(&*metric, &outcome);
        let log = outcome.log();
        match &result {
            Ok(score) => {
                told(format!("round {round}: {}; {}: {}", arm.name, planned.plan.metric, significant(score.get())))
            }
            Err(why) if place == 0 => {
                let path = log.path.as_ref().map_or(String::new(), |path| format!("; its log: {}", path.display()));
                return Err(CommandError::Other(format!(
                    "the baseline gives no number under this setting: {why}{path}; nothing can be compared with it: mend the \
                     setting, or give it more time by --limit SECONDS"
                )));
            }
            Err(why) => {
                let path = log.path.as_ref().map_or(String::new(), |path| format!(" ({})", path.display()));
                told(format!("round {round}: {} gives no number: {why}{path}", arm.name));
            }
        }
        let seconds = wall_clock(log).as_secs_f64();
        record.add(Measured { at: Moment::now(), round, arm: place, seed, seconds, result })?;
    }
    Ok(Ended::Done)
}
