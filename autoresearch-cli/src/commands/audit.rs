//! `autoresearch audit`: measures the kept experiments of a run again, in rounds, to see which gains are real.

use std::process::ExitCode;

use autoresearch_core::internal::audit::whole_rounds;
use autoresearch_core::internal::journal::Record;
use autoresearch_core::internal::{Purpose, for_purpose};
use autoresearch_core::{Experiment, ExperimentId, Sandbox, State, Status, Trial};
use clap::Args;

use super::args::ConfigArgs;
use super::report::write_report;
use super::signals::cancel_on_signal;
use crate::error::CommandError;
use crate::report;
use crate::repository::Repository;
use crate::session::LockedRun;
use crate::text::{significant, terminal};
use crate::verification::bound;

/// Measure the kept experiments of a run again, to see which gains are real.
#[derive(Debug, Args)]
#[command(
    after_help = "No decision changes: the report shows the new gains beside those that led to the decisions.\n\nExample:\n  autoresearch audit --rounds 5"
)]
pub struct AuditArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// Number of trials of each kept experiment, all of them in turns.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

/// Measures every kept experiment, the baseline included: all of them in each round with the same seed, so that a slower hour
/// of the machine falls on all alike. Each measurement is journaled at once.
pub async fn audit(repository: Repository, args: AuditArgs) -> Result<ExitCode, CommandError> {
    let session = args.config.session(repository, args.tag)?;
    let LockedRun { mut journal, mut state, base, seed } = session.lock()?;
    bound(&session, &state, &session.tag)?;
    let sandbox = session.sandbox(session.commands(), &base, "logs")?;
    let (metric, cancel) = (session.config.metric()?, cancel_on_signal());
    let kept: Vec<Experiment> = state.experiments.iter().filter(|e| e.status == Status::Keep).cloned().collect();
    if kept.len() < 2 {
        let why = format!("the run {} has kept nothing yet; there is nothing to audit", session.tag);
        return Err(CommandError::Other(why));
    }
    sandbox.recover().await?;
    let done = whole_rounds(journal.entries());
    for round in done..done + args.rounds {
        let seed = Purpose::Audit.seed(seed, ExperimentId::BASELINE, u64::from(round));
        for experiment in &kept {
            let trial = Trial::new(experiment.id, round + 1, seed, session.config.budget());
            let trial = for_purpose(trial, Purpose::Audit);
            let outcome = sandbox.run(&experiment.candidate, &trial, &cancel).await?;
            let measurement = metric.read(&outcome).map_err(|error| {
                let id = experiment.id;
                CommandError::Other(format!("experiment {id}, which ran before, gave no number: {error}"))
            })?;
            let score = measurement.score;
            state.apply(&journal.append(Record::Audited { experiment: experiment.id, seed, score })?)?;
            let (id, change, name) = (experiment.id, &experiment.description, &session.config.metric.name);
            terminal::out(format_args!("{id:03} {change}; {name}: {}", significant(score.get())));
        }
    }
    show(&session.repository, &session.tag, &state)
}

fn show(repository: &Repository, tag: &str, state: &State) -> Result<ExitCode, CommandError> {
    terminal::out(format_args!("\n{}", report::noise(state)));
    write_report(repository, tag, tag, state, &repository.entries(tag)?)?;
    Ok(ExitCode::SUCCESS)
}
