//! `autoresearch rerun`: measures the incumbent of a run again.

use std::process::ExitCode;

use autoresearch_core::ExperimentId;
use autoresearch_core::internal::Purpose;
use clap::Args;

use super::args::ConfigArgs;
use super::signals::cancel_on_signal;
use crate::error::CommandError;
use crate::remeasure::remeasure;
use crate::repository::Repository;
use crate::session::{LockedRun, Session};
use crate::text::{significant, terminal};

/// Measure the incumbent of a run again.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints each score and changes nothing. Not possible while the run goes on: both would work in the\nsame folders.\n\nExample:\n  autoresearch rerun --times 5 --baseline"
)]
pub struct RerunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// Number of trials.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Measure the baseline, too, in turns with the incumbent.
    #[arg(long)]
    baseline: bool,
    /// Use new seeds instead of the run's own.
    #[arg(long)]
    fresh_seeds: bool,
}

/// Measures and prints.
pub async fn rerun(repository: Repository, args: RerunArgs) -> Result<ExitCode, CommandError> {
    let session = args.config.session(repository, args.tag)?;
    let Session { config, .. } = &session;
    // Held to the end, so that no run fills the slots meanwhile.
    let LockedRun { journal: _lock, state, base, seed } = session.lock()?;
    let Some(incumbent) = &state.incumbent else { return Err(CommandError::NothingMeasured(session.tag.clone())) };
    let sandbox = session.sandbox(session.commands(), &base, "logs")?;
    let cancel = cancel_on_signal();
    let baseline = state.experiments.first().filter(|_| args.baseline);
    let baseline = baseline.map(|experiment| ("baseline ", experiment.id, &experiment.candidate));
    let measured = [baseline, Some(("", incumbent.experiment, &incumbent.candidate))];
    for number in (1..).take(args.times as usize) {
        let seed =
            if args.fresh_seeds { Purpose::Rerun.seed(seed, ExperimentId::BASELINE, u64::from(number)) } else { seed };
        for (which, experiment, candidate) in measured.into_iter().flatten() {
            let score = remeasure(config, &sandbox, candidate, (experiment, number, seed), &cancel).await?;
            let score = significant(score.get());
            terminal::out(format_args!("{which}{}: {score}", config.metric.name));
        }
    }
    Ok(ExitCode::SUCCESS)
}
