//! The sealed holdout: data that no decision of a night has seen, for one honest look at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use autoresearch_core::git::Lineage;
use autoresearch_core::import::is_imported;
use autoresearch_core::journal::Record;
use autoresearch_core::state::HoldoutUse;
use autoresearch_core::{
    Budget, Cancel, Direction, Experiment, Journal, Outcome, Purpose, Sandbox, Score, State, Trial,
};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::config::{Config, ten_minutes};
use crate::places::Places;
use crate::run::{Home, RunError, commands, sandbox};

/// `[holdout]`: how a state is measured on it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldoutConfig {
    #[serde(default)]
    pub command: Vec<String>,
    /// Wall clock until it is killed.
    #[serde(default = "ten_minutes")]
    pub limit_seconds: f64,
    /// Variables for this command alone. One that is set outside already wins.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Measures the baseline and the best state of a run on its holdout, and journals that it was opened. Returns the run with
/// that. The opening counts even if the measurement fails: somebody may have looked.
pub async fn open(home: &Home, config: &Config, tag: &str, cancel: &Cancel) -> Result<State, RunError> {
    if config.holdout.command.is_empty() {
        let why = "there is no holdout to open; give the configuration a section [holdout] with a command";
        return Err(RunError::Other(why.into()));
    }
    let mut journal = Journal::open(&home.journal(tag)?)?;
    let mut state = State::replay(journal.entries())?;
    if is_imported(&state) {
        return Err(RunError::Imported(tag.into()));
    }
    let (Some(header), Some(incumbent), Some(baseline)) =
        (state.header.clone(), state.incumbent.clone(), state.experiments.first().cloned())
    else {
        return Err(RunError::Other(format!("the run {tag} has no measured state yet")));
    };
    let base =
        header.base.ok_or_else(|| RunError::Other(format!("the run {tag} names no commit that it starts from")))?;
    let places = Places::find(home.root.clone(), &config.preset)?;
    let mut commands = commands(config, &places)?;
    commands.run = places.fill_all(&config.holdout.command);
    commands.run_environment = places.environment(&config.holdout.environment);
    let lineage = Lineage::open(&home.root, tag)?;
    let sandbox = sandbox(config, &places, commands, lineage, &base, tag, home.run(tag).join("holdout"))?;
    let metric = config.metric.metric();
    let limit = Duration::try_from_secs_f64(config.holdout.limit_seconds).unwrap_or(Duration::from_secs(600));
    let budget = Budget { run: limit, build: config.budget().build };

    let number = state.holdout.len() as u32 + 1;
    let seed = Purpose::Holdout.seed(header.seed, 0, number.into());
    state.apply(&journal.append(Record::HoldoutOpened { best: incumbent.revision.clone() })?)?;
    let mut scores: Vec<Result<Score, String>> = Vec::new();
    for (experiment, candidate) in [(baseline.id, &baseline.candidate), (incumbent.experiment, &incumbent.candidate)] {
        let trial = Trial::new(experiment, number, seed, budget).for_purpose(Purpose::Holdout);
        let outcome = sandbox.run(candidate, &trial, cancel).await?;
        scores.push(metric.read(&outcome).map(|measurement| measurement.score).map_err(|error| match outcome {
            Outcome::Completed(_) => error.to_string(),
            other => other.describe(),
        }));
    }
    if let (Some(best), Some(baseline)) = (scores.pop(), scores.pop()) {
        state.apply(&journal.append(Record::HoldoutMeasured { baseline, best })?)?;
    }
    Ok(state)
}

/// What the report says of it: nothing as long as it is sealed.
pub fn section(state: &State) -> String {
    let (Some(header), Some(last)) = (&state.header, state.holdout.last()) else { return String::new() };
    let when = |opening: &HoldoutUse| opening.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let mut text = match state.holdout.len() {
        1 => format!("The holdout was opened once, {}, after experiment {}.\n", when(last), last.experiment),
        times => format!(
            "The holdout has been opened {times} times, first {}, now {}, after experiment {}. Only its first number was of \
             data that nobody had seen.\n",
            state.holdout.first().map(when).unwrap_or_default(),
            when(last),
            last.experiment
        ),
    };
    let later = state.finished() as u32 - last.experiment.min(state.finished() as u32);
    if later > 0 {
        let _ = writeln!(text, "{later} experiments were made since: for them it was not sealed.");
    }
    let own = [state.experiments.first(), state.experiment(last.best)];
    let [own_baseline, own_best] =
        own.map(|experiment| experiment.and_then(Experiment::score).ok_or_else(|| "no number".to_owned()));
    let _ =
        writeln!(text, "- the night's own {}: {}", header.metric, change(header.direction, &own_baseline, &own_best));
    let (baseline, best) = match &last.result {
        Some((baseline, best)) => (baseline.clone(), best.clone()),
        None => (Err("the measurement did not end; open it again".into()), Err("none".into())),
    };
    let _ = writeln!(text, "- {} on the holdout: {}", header.metric, change(header.direction, &baseline, &best));
    text
}

/// `0.510000 -> 0.490000 (better by 0.020000)`, or why there is no number.
fn change(direction: Direction, baseline: &Result<Score, String>, best: &Result<Score, String>) -> String {
    let shown = |score: &Result<Score, String>| match score {
        Ok(score) => format!("{:.6}", score.get()),
        Err(why) => format!("no number ({why})"),
    };
    let gain = match (baseline, best) {
        (Ok(baseline), Ok(best)) => match direction.gain(*baseline, *best) {
            gain if gain > 0.0 => format!(" (better by {gain:.6})"),
            gain if gain < 0.0 => format!(" (worse by {:.6})", -gain),
            _ => " (the same)".into(),
        },
        _ => String::new(),
    };
    format!("{} -> {}{gain}", shown(baseline), shown(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_stand_side_by_side_with_the_openings() {
        let mut state = crate::report::tests::example();
        assert_eq!(section(&state), "");
        let score = |value| Ok(Score::new(value).unwrap());
        let opening = |at: &str, result| HoldoutUse { at: at.parse().unwrap(), experiment: 3, best: 1, result };
        state.holdout.push(opening("2026-01-02T03:04:05Z", Some((score(1.6), score(1.55)))));
        let text = section(&state);
        assert!(
            text.starts_with("The holdout was opened once, 2026-01-0") && text.contains("after experiment 3"),
            "{text}"
        );
        assert!(text.contains("the night's own val_bpb: 1.500000 -> 1.400000 (better by 0.100000)"), "{text}");
        assert!(text.contains("val_bpb on the holdout: 1.600000 -> 1.550000 (better by 0.050000)"), "{text}");
        assert!(!text.contains("made since"), "{text}");
        state.holdout.push(opening("2026-01-03T03:04:05Z", Some((score(1.6), Err("ended with exit code 1".into())))));
        state.holdout[1].experiment = 1;
        let text = section(&state);
        assert!(text.contains("opened 2 times") && text.contains("2 experiments were made since"), "{text}");
        assert!(text.contains("1.600000 -> no number (ended with exit code 1)"), "{text}");
        state.holdout.push(opening("2026-01-03T03:04:05Z", None));
        assert!(section(&state).contains("did not end; open it again"));
    }
}
