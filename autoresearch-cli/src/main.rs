//! The `autoresearch` command: a thin shell over `autoresearch-core`. It wires, displays, and sets exit codes.
//!
//! Exit codes: 0 for a run that ended by itself, 1 for an error, 2 for a wrong command line, 130 for an interruption.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod agent;
mod audit;
mod config;
mod detours;
mod display;
mod dry_run;
mod holdout;
mod import;
mod metric;
mod places;
mod plot;
mod proposer;
mod ratchet;
mod report;
mod run;
mod terminal;
mod verify;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use autoresearch_core::process::Cpus;
use autoresearch_core::{Cancel, Direction, Experiment, State, StopReason};
use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::display::{Display, Options};
use crate::run::{Home, Night, Request, RunError};
use crate::workers::WorkersArgs;

/// Ratchet search: propose, run, measure, keep only what is really better.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Begin a run, or go on with one that was interrupted.
    Run(RunArgs),
    /// Print the report of a run, and write it with its plot.
    Report {
        #[command(flatten)]
        config: ConfigArgs,
        /// The run; the latest one if it is missing.
        #[arg(long)]
        tag: Option<String>,
        /// Measure the baseline and the best state on the sealed holdout first. Do it once, when the search is over: the
        /// journal remembers each opening.
        #[arg(long)]
        open_holdout: bool,
    },
    /// Check that a run is as it must be: its journal, its commits and its results.tsv. It changes nothing.
    Verify {
        /// The run; the latest one if it is missing.
        #[arg(long)]
        tag: Option<String>,
        /// The configuration of the run: with it every decision is judged again from its measurements.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The preset that lay over it.
        #[arg(long, requires = "config")]
        preset: Option<String>,
        #[command(flatten)]
        workers: WorkersArgs,
    },
    /// Make a run of a results.tsv that was written by hand or by another program, for `report`.
    Import {
        /// The table: separated by tabs or commas, its columns named in the first line or karpathy's five.
        file: PathBuf,
        /// The run's name; the file's if it is missing.
        #[arg(long)]
        tag: Option<String>,
        /// The column that decides; without it the first one that is nothing else.
        #[arg(long)]
        metric: Option<String>,
        /// Which way is better: minimise or maximise.
        #[arg(long, default_value = "minimise", value_parser = direction)]
        direction: Direction,
    },
    /// Measure the kept experiments of a run again, to see which gains are real; no decision changes.
    Audit {
        #[command(flatten)]
        config: ConfigArgs,
        /// The run; the latest one if it is missing.
        #[arg(long)]
        tag: Option<String>,
        /// How often each is measured, all of them in turns.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
    },
    /// Measure the best state of a run again.
    Rerun {
        #[command(flatten)]
        config: ConfigArgs,
        /// The run; the latest one if it is missing.
        #[arg(long)]
        tag: Option<String>,
        /// How often.
        #[arg(long, default_value_t = 3)]
        times: u32,
        /// The baseline too, in turns with the best, so that a slower or faster machine shows in both.
        #[arg(long)]
        baseline: bool,
        /// With seeds of their own instead of the run's.
        #[arg(long)]
        fresh_seeds: bool,
    },
}

#[derive(Args)]
struct ConfigArgs {
    /// What is run and how it is measured.
    #[arg(long, default_value = "autoresearch.toml")]
    config: PathBuf,
    /// The file in the folder `presets` beside the configuration that lays over it.
    #[arg(long)]
    preset: Option<String>,
    #[command(flatten)]
    workers: WorkersArgs,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run's name, and that of its branch autoresearch/TAG. Without it: the unfinished run, else today's date.
    #[arg(long)]
    tag: Option<String>,
    /// End after so many experiments beside the baseline.
    #[arg(long)]
    experiments: Option<usize>,
    /// End after so many hours, between two experiments.
    #[arg(long)]
    hours: Option<f64>,
    /// End when the score is at least as good as this.
    #[arg(long, allow_negative_numbers = true)]
    target: Option<f64>,
    /// Seeds the proposer and the runs.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Start from the last commit although there are uncommitted changes.
    #[arg(long)]
    allow_dirty: bool,
    /// Print what the next proposal would ask a model, and what that may cost. Starts nothing, writes nothing, needs no key.
    #[arg(long)]
    dry_run: bool,
}

impl ConfigArgs {
    fn read(&self) -> Result<Config, RunError> {
        Ok(Config::read(&self.config, self.preset.as_deref(), &self.workers)?)
    }
}

fn direction(text: &str) -> Result<Direction, String> {
    match text.to_lowercase().as_str() {
        "minimise" | "minimize" => Ok(Direction::Minimise),
        "maximise" | "maximize" => Ok(Direction::Maximise),
        _ => Err("it is minimise or maximise".into()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::err(format_args!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            terminal::err(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> Result<ExitCode, RunError> {
    let home = &Home::find()?;
    match command {
        Command::Run(arguments) => run_night(home, arguments).await,
        Command::Report { config, tag, open_holdout } => {
            let tag = tag.map_or_else(|| home.latest(), Ok)?;
            // Only what is opened needs the configuration.
            let state = match open_holdout {
                true => holdout::open(home, &config.read()?, &tag, &cancel_on_signal()).await?,
                false => home.state(&tag)?,
            };
            terminal::out(report::terminal(&state) + &report::workers::terminal(&state, &home.entries(&tag)?));
            write_report(home, &tag, &tag, &state)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { tag, config, preset, workers } => {
            let tag = tag.map_or_else(|| home.latest(), Ok)?;
            let config = config.map(|path| Config::read(&path, preset.as_deref(), &workers)).transpose()?;
            let report = verify::verify(home, &tag, config.as_ref())?;
            terminal::out(&report);
            Ok(if report.violations() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Import { file, tag, metric, direction } => {
            let request = import::Request { file, tag, metric, direction };
            let (tag, table) = import::import(home, &request)?;
            for problem in &table.problems {
                terminal::err(problem);
            }
            let way = if direction == Direction::Minimise { "lower" } else { "higher" };
            let (rows, problems) = (table.rows.len(), table.problems.len());
            terminal::out(format_args!(
                "experiments: {rows}; problems: {problems}; metric: {}, {way} is better",
                table.metric
            ));
            terminal::out(format_args!("report: autoresearch report --tag {tag}"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit { config, tag, rounds } => {
            let config = config.read()?;
            let tag = tag.map_or_else(|| home.latest(), Ok)?;
            let name = config.metric.name.clone();
            let on_score = |experiment: &Experiment, score| {
                terminal::out(format_args!("{:03} {}; {name}: {score:.6}", experiment.id, experiment.description));
            };
            let state = audit::audit(home, &config, &tag, rounds, &cancel_on_signal(), on_score).await?;
            terminal::out(format_args!("\n{}", report::noise::section(&state)));
            write_report(home, &tag, &tag, &state)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Rerun { config, tag, times, baseline, fresh_seeds } => {
            let config = config.read()?;
            let tag = tag.map_or_else(|| home.latest(), Ok)?;
            let wanted = run::Rerun { times, baseline, fresh_seeds };
            let name = config.metric.name.clone();
            let on_score = |which: &str, score| terminal::out(format_args!("{which}{name}: {score:.6}"));
            run::rerun(home, &config, &tag, wanted, &cancel_on_signal(), on_score).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn run_night(home: &Home, arguments: RunArgs) -> Result<ExitCode, RunError> {
    let mut config = arguments.config.read()?;
    config.stop.experiments = arguments.experiments.or(config.stop.experiments);
    config.stop.hours = arguments.hours.or(config.stop.hours);
    config.stop.target = arguments.target.or(config.stop.target);
    let RunArgs { tag, seed, allow_dirty, dry_run, .. } = arguments;
    if dry_run {
        terminal::out(dry_run::dry_run(home, &config, tag, seed)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (metric, total) = (config.metric.name.clone(), config.stop.experiments);
    if !config.run.cpus.is_empty() && !Cpus::SUPPORTED {
        terminal::err("[run] cpus has no effect: this system cannot pin a command to processors");
    }
    let night = Night::prepare(home, Request { config, tag, seed, allow_dirty })?;
    let folder = night.folder.clone();
    let (tag, title) = (night.tag.clone(), night.program.title.clone());
    terminal::out(format_args!("night: {tag} ({title})"));
    terminal::out(format_args!("results: {}", folder.join("results.tsv").display()));

    let (workers, ahead) = (night.workers.classes.len(), night.workers.ahead || night.workers.builders > 0);
    let display = Display::new(Options { tag: tag.clone(), metric, total, workers, ahead });
    let (reason, state) = night.run(Arc::new(display), &cancel_on_signal()).await?;
    terminal::out(report::summary(&state) + &report::workers::terminal(&state, &home.entries(&tag)?));
    write_report(home, &tag, &title, &state)?;
    Ok(match reason {
        StopReason::Cancelled => ExitCode::from(130),
        _ => ExitCode::SUCCESS,
    })
}

/// Writes the report and its plot beside the results.
fn write_report(home: &Home, tag: &str, title: &str, state: &State) -> Result<(), RunError> {
    let folder = home.run(tag);
    let (svg, png, markdown) = (folder.join("progress.svg"), folder.join("progress.png"), folder.join("report.md"));
    plot::staircase(state, &svg, &png)?;
    let workers = report::workers::markdown(state, &home.entries(tag)?);
    let text = report::markdown(state, title, "progress.svg") + &workers;
    autoresearch_core::results::write_atomically(&markdown, text.as_bytes())?;
    terminal::out(format_args!("report: {}", markdown.display()));
    terminal::out(format_args!("plot: {}", png.display()));
    Ok(())
}

/// The first Ctrl-C or SIGTERM ends the work in an orderly way, the second at once.
fn cancel_on_signal() -> Cancel {
    let cancel = Cancel::new();
    let asked = cancel.clone();
    tokio::spawn(async move {
        signal().await;
        asked.cancel();
        signal().await;
        std::process::exit(130);
    });
    cancel
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
