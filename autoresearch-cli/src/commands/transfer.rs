//! `autoresearch transfer`: measures the keeps of a run under another setting.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use autoresearch_core::State;
use clap::Args;
use toml::{Table, Value};

use super::args::ConfigArgs;
use super::report::write_report;
use super::signals::cancel_on_signal;
use crate::config::Config;
use crate::error::CommandError;
use crate::json::{self, TransferAnswer};
use crate::report;
use crate::repository::Repository;
use crate::session::{LockedRun, Session};
use crate::text::terminal;
use crate::transfer::{Ended, Given, Planned, Recheck, Record, default_repeats, measure, pair, plan, usual_trial};

/// Measure the kept changes of a run under another setting, each alone and all together. The run stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  autoresearch transfer --from mar8 --set DEPTH=8")]
pub struct TransferArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The run [default: the latest one]
    #[arg(long, value_name = "TAG", alias = "tag")]
    from: Option<String>,
    /// Set a constant in the files of every revision; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Set an environment variable for builds and runs; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// The command line in place of `[run] command`.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// The limit of a run, in place of `[run] limit_seconds`.
    #[arg(long, value_name = "SECONDS")]
    limit: Option<f64>,
    /// Number of trials of each revision, in rounds [default: by the noise, 3 to 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    repeats: Option<u32>,
    /// End after H hours, between two trials; the same command goes on.
    #[arg(long, value_name = "H")]
    hours: Option<f64>,
    /// List the revisions that would be measured, and the time that they take.
    #[arg(long)]
    dry_run: bool,
    /// Answer as JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// Measures what is left, and prints the findings.
pub async fn transfer(repository: Repository, args: TransferArgs) -> Result<ExitCode, CommandError> {
    let until = until(args.hours)?;
    let config = args.config.read_with(overlay(args.run.as_deref(), args.limit)?)?;
    let tag = repository.tag_or_latest(args.from)?;
    let session = Session::new(repository, config, tag)?;
    // Held to the end, so that no run fills the slots meanwhile.
    let LockedRun { journal, state, base, seed } = session.lock()?;
    let given = Given { constants: args.set, variables: args.env };
    let planned = plan(&session, &state, &base, &given)?;
    let mut record = Record::open(&session.repository, &session.tag, planned.plan.clone())?;
    let repeats = args.repeats.unwrap_or_else(|| default_repeats(&state, &planned.plan));
    let seconds = pace(&record).or_else(|| usual_trial(journal.entries()));
    let answer =
        |record: &Record, seconds| TransferAnswer::new(&session.tag, &state, record, (repeats, args.dry_run), seconds);
    if args.dry_run {
        match args.json {
            true => json::print(&answer(&record, seconds))?,
            false => terminal::out(listed(&session, &state, (&planned, &record), repeats, seconds)),
        }
        return Ok(ExitCode::SUCCESS);
    }

    let told = |line: String| {
        if !args.json {
            terminal::note(line);
        }
    };
    told(ahead(&session, (&planned, &record), repeats, seconds));
    let cancel = cancel_on_signal();
    let ended = measure(&session, &planned, &given, &mut record, (repeats, seed, until), (&cancel, &told)).await?;
    if args.json {
        json::print(&answer(&record, pace(&record)))?;
    } else {
        terminal::out(format_args!("\n{}", report::transfer(&state, &record)));
        let (tag, entries) = (&session.tag, session.repository.entries(&session.tag)?);
        write_report(&session.repository, tag, tag, &state, &entries)?;
    }
    let left = record.left(repeats).len();
    match ended {
        Ended::Done => return Ok(ExitCode::SUCCESS),
        Ended::Interrupted => {
            terminal::err(format_args!("interrupted: {left} trials are left; the same command goes on"))
        }
        Ended::OutOfTime => {
            terminal::err(format_args!("the time is over: {left} trials are left; the same command goes on"))
        }
    }
    Ok(ExitCode::from(if ended == Ended::Interrupted { 130 } else { 0 }))
}

/// The keys of the command line, which lie over the configuration.
fn overlay(run: Option<&str>, limit: Option<f64>) -> Result<Table, CommandError> {
    let mut section = Table::new();
    if let Some(run) = run {
        let words = shlex::split(run).filter(|words| !words.is_empty());
        let words =
            words.ok_or_else(|| CommandError::Other(format!("--run {run:?} is no command line; close its quotes")))?;
        section.insert("command".into(), words.into_iter().map(Value::String).collect::<Vec<_>>().into());
    }
    if let Some(limit) = limit {
        section.insert("limit_seconds".into(), Value::Float(limit));
    }
    Ok(match section.is_empty() {
        true => Table::new(),
        false => Table::from_iter([("run".to_owned(), Value::Table(section))]),
    })
}

fn until(hours: Option<f64>) -> Result<Option<Instant>, CommandError> {
    let Some(hours) = hours else { return Ok(None) };
    let time = Duration::try_from_secs_f64(hours * 3600.0).ok().filter(|time| !time.is_zero());
    let until = time.and_then(|time| Instant::now().checked_add(time));
    until
        .map(Some)
        .ok_or_else(|| CommandError::Other(format!("--hours is {hours}; give a positive number of hours, as 8")))
}

/// The mean wall clock of the trials of a transfer, in seconds.
fn pace(record: &Record) -> Option<f64> {
    let count = record.trials.len();
    (count > 0).then(|| record.trials.iter().map(|trial| trial.seconds).sum::<f64>() / count as f64)
}

/// The trials that are left and their time, in one line.
fn ahead(session: &Session, (planned, record): (&Planned, &Record), repeats: u32, seconds: Option<f64>) -> String {
    let (left, arms) = (record.left(repeats).len(), planned.plan.arms.len());
    let whose = if record.trials.is_empty() { "the run's" } else { "its" };
    let about = seconds.map_or(String::new(), |seconds| {
        let whole = Duration::try_from_secs_f64(seconds * left as f64).unwrap_or_default();
        format!(", about {} at {whose} pace of {seconds:.1} s a trial", report::duration(whole))
    });
    let Config { build, run, evaluate, .. } = &session.config;
    let build = if build.command.is_empty() { Duration::ZERO } else { build.limit_seconds.0 };
    let evaluation = evaluate.as_ref().map_or(Duration::ZERO, |evaluate| evaluate.limit_seconds.0);
    let most = (build + run.limit_seconds.0 + evaluation).saturating_mul(u32::try_from(left).unwrap_or(u32::MAX));
    format!(
        "transfer of {} under {}: {repeats} rounds of {arms} revisions; {left} trials are left{about}, at most {} by the limits",
        session.tag,
        planned.plan.setting.shown(),
        report::duration(most)
    )
}

/// The list of a dry run.
fn listed(
    session: &Session,
    state: &State,
    measured: (&Planned, &Record),
    repeats: u32,
    seconds: Option<f64>,
) -> String {
    let plan = &measured.0.plan;
    let line = |name: String, change: String, recheck: &Recheck| {
        let arm = |place: usize| plan.arms.get(place).map_or("", |arm| arm.name.as_str());
        let how =
            recheck.arms.map_or("not measured".to_owned(), |(from, to)| format!("{} against {}", arm(to), arm(from)));
        let note = if recheck.note.is_empty() { String::new() } else { format!(" ({})", recheck.note) };
        format!("{name} {change}: {how}{note}\n")
    };
    let keeps = plan
        .keeps
        .iter()
        .map(|keep| line(format!("{:03}", keep.experiment), report::description(state, keep.experiment), keep));
    let keeps: String = keeps.collect();
    let sum = line("sum".to_owned(), "all keeps".to_owned(), &plan.sum);
    format!("{}\n{}\n{keeps}{sum}", ahead(session, measured, repeats, seconds), plan.setting.described())
}
