//! Measurements of a bundled run made again. The commands of its configuration are somebody else's code: they run behind walls.

use std::ffi::OsString;
use std::path::Path;

use autoresearch_core::internal::Policy;
use autoresearch_core::internal::isolation::{Isolation, IsolationLevel};
use autoresearch_core::internal::journal::{Entry, Record};
use autoresearch_core::{Cancel, Commands, Experiment, ExperimentId, Side, State};
use clap::ValueEnum;

use super::openings::openings;
use super::unpacked::Unpacked;
use crate::error::CommandError;
use crate::placeholders::{Placeholders, Provided};
use crate::plan::WorkerPlan;
use crate::policy;
use crate::remeasure::remeasure;
use crate::repository::Repository;
use crate::session::Session;
use crate::text::terminal;

/// A measurement that can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// That of the incumbent.
    Best,
    /// That of the baseline.
    Baseline,
}

/// The walls around a bundle's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Walls {
    /// Those of the bundle's configuration, however low.
    Bundle,
    /// At least those that this machine has.
    BestEffort,
    /// All of them, or nothing is executed.
    Strict,
}

/// A measurement that was made again.
#[derive(Debug, Clone)]
pub struct Repetition {
    /// The measurement.
    pub which: Which,
    /// Its experiment.
    pub experiment: ExperimentId,
    /// The seed, which is that of the journal.
    pub seed: u64,
    /// The score in the journal.
    pub journaled: Option<f64>,
    /// The score now.
    pub score: f64,
}

/// Makes measurements again, each with the seed of its last trial in the journal.
///
/// # Errors
/// If the bundle lacks what they need, if its configuration opens the walls, or if a measurement gives no number.
pub async fn repeat(
    bundle: &Unpacked,
    (state, entries): (&State, &[Entry]),
    (which, walls): (&[Which], Walls),
    cancel: &Cancel,
) -> Result<Vec<Repetition>, CommandError> {
    let header = state.header.as_ref().ok_or_else(|| CommandError::NothingMeasured(bundle.run.tag.clone()))?;
    let base = header.base.clone().ok_or_else(|| CommandError::NothingMeasured(bundle.run.tag.clone()))?;
    let session = session(bundle, walls)?;
    let commands = commands(&session, &header.policy);
    // What its paths lead to depends on the links that it commits.
    bundle.repository_in(&session.repository.root, false)?.check_out(&base)?;
    if walls != Walls::Bundle {
        check_openings(&session, &commands, bundle.folder())?;
    }
    check_needs(&session, &header.policy)?;
    warn(&session.isolation());
    let sandbox = session.sandbox(commands, &base, "logs")?;
    let mut repeated = Vec::new();
    for which in which {
        let made = match which {
            Which::Best => state.incumbent.as_ref().and_then(|incumbent| state.experiment(incumbent.experiment)),
            Which::Baseline => state.experiments.first(),
        };
        let made = made.ok_or_else(|| CommandError::NothingMeasured(bundle.run.tag.clone()))?;
        let (seed, journaled) = last_trial(made, entries).unwrap_or((header.seed, None));
        let number = repeated.len() as u32 + 1;
        let score = remeasure(&session.config, &sandbox, &made.candidate, (made.id, number, seed), cancel).await?.get();
        repeated.push(Repetition { which: *which, experiment: made.id, seed, journaled, score });
    }
    Ok(repeated)
}

/// Tells of walls that are not there.
fn warn(isolation: &Isolation) {
    let enforcement = isolation.enforcement();
    let missing: Vec<String> = enforcement.missing().map(|wall| format!("{}: {}", wall.name, wall.how)).collect();
    match isolation.level {
        IsolationLevel::None => terminal::err("warning: the bundle's commands run without isolation"),
        _ if missing.is_empty() => {}
        _ => terminal::err(format_args!("warning: the isolation lacks: {}", missing.join("; "))),
    }
}

/// The seed and the score of the last trial of an experiment that gave a number on the full budget.
fn last_trial(made: &Experiment, entries: &[Entry]) -> Option<(u64, Option<f64>)> {
    let (mut seeds, mut last) = (std::collections::BTreeMap::new(), None);
    for entry in entries {
        match &entry.record {
            Record::TrialStarted(start) if start.experiment == made.id && start.side == Side::Candidate => {
                seeds.insert(start.trial, start.seed);
            }
            Record::TrialMeasured(end)
                if end.experiment == made.id && end.side == Side::Candidate && end.fidelity == 1.0 =>
            {
                if let (Ok(measurement), Some(seed)) = (&end.result, seeds.get(&end.trial)) {
                    last = Some((*seed, Some(measurement.score.get())));
                }
            }
            _ => {}
        }
    }
    last
}

/// The session of a repetition: everything in the bundle's own folder, with walls that are not lower than asked for.
fn session(bundle: &Unpacked, walls: Walls) -> Result<Session, CommandError> {
    let mut config = bundle.config.clone();
    let level = &mut config.isolation.level;
    *level = match (walls, *level) {
        (Walls::Bundle, level) => level,
        (Walls::Strict, _) | (Walls::BestEffort, IsolationLevel::Strict) => IsolationLevel::Strict,
        (Walls::BestEffort, _) => IsolationLevel::BestEffort,
    };
    let (repo, mut cache) = (bundle.folder().join("work"), bundle.folder().join("cache"));
    // Somebody who runs a bundle as it says also lends it the data of one's own.
    if let (Walls::Bundle, Some(own)) = (walls, std::env::var_os("AUTORESEARCH_CACHE")) {
        cache = std::path::absolute(own).unwrap_or(cache);
    }
    let placeholders = Placeholders { repo: repo.clone(), cache, preset: config.preset.clone() };
    let plan = WorkerPlan::new(&config).map_err(|error| config.locate(error))?;
    let (tag, branch) = (bundle.run.tag.clone(), bundle.branch.clone());
    let repository = Repository { root: repo };
    Ok(Session { repository, config, placeholders, plan, tag, branch, history: String::new() })
}

/// Fails if a configuration asks for something outside of its walls: somebody else wrote it.
fn check_openings(session: &Session, commands: &Commands, own: &Path) -> Result<(), CommandError> {
    let openings = openings(session, commands, own);
    if openings.is_empty() {
        return Ok(());
    }
    let why = format!(
        "the bundle's configuration opens the walls: its code {}; read it (tar -xOf FILE configuration.toml), and if you trust it \
         give --isolation bundle",
        openings.join(", ")
    );
    Err(CommandError::Other(why))
}

/// Fails if a measurement needs what the bundle does not hold.
fn check_needs(session: &Session, journaled: &Policy) -> Result<(), CommandError> {
    let workspace = &session.config.workspace;
    let below = |path: &&String| matches!(session.placeholders.provided(path), Provided::Below(_));
    let beside: Vec<&str> = workspace.share.iter().chain(&workspace.copy).filter(below).map(String::as_str).collect();
    let locked = policy::locked_differences(&session.config, &session.placeholders, journaled);
    let why = match (beside.is_empty(), locked.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => format!("it needs files beside the commit, which no bundle holds: {}", beside.join(", ")),
        (true, false) => format!("files that decide the number are not here, or others: {}", locked.join(", ")),
    };
    let why = format!(
        "this run cannot be repeated from its bundle: {why}; clone its repository (tar -xf FILE repository.bundle), put them there, \
         and measure again with autoresearch rerun"
    );
    Err(CommandError::Other(why))
}

/// The commands of the run with the variables that it had: none comes from the environment of whoever repeats it.
fn commands(session: &Session, journaled: &Policy) -> Commands {
    let (config, placeholders) = (&session.config, &session.placeholders);
    let written = config.environment.iter().map(|(name, written)| {
        let then = policy::value_then(journaled, &format!("environment.{name}")).unwrap_or(written);
        (name.clone(), OsString::from(placeholders.fill(then)))
    });
    let passed = config.run.pass.iter().filter_map(|name| {
        let then = policy::value_then(journaled, &format!("run.pass.{name}"))?;
        Some((name.clone(), OsString::from(then)))
    });
    Commands { environment: written.chain(passed).collect(), pass: Vec::new(), ..session.commands() }
}
