//! `autoresearch status`: where a run is.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::Moment;
use autoresearch_core::{Score, State};
use clap::Args;

use super::args::{ReadArgs, ReadRun};
use super::signals::cancel_on_signal;
use crate::control::{self, Process, When};
use crate::error::CommandError;
use crate::json::{self, Activity, ExperimentAnswer, Limits, Now, StatusAnswer, Totals};
use crate::report;
use crate::repository::Repository;
use crate::text::{clean_line, local_time, significant, terminal};

/// Time between two looks of `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);

/// Show where a run is: the experiments in flight, the best so far, the last decisions, costs and time left.
#[derive(Debug, Args)]
#[command(
    after_help = "Takes no lock, so that it works while the run goes on.\n\nExample:\n  autoresearch status --watch"
)]
pub struct StatusArgs {
    #[command(flatten)]
    read: ReadArgs,
    /// Number of the last decisions to show.
    #[arg(long, value_name = "N", default_value_t = 5)]
    last: usize,
    /// Show it again whenever it changes, until the run ends.
    #[arg(long)]
    watch: bool,
}

/// Prints the status, once or until the run ends.
pub async fn status(repository: &Repository, args: StatusArgs) -> Result<ExitCode, CommandError> {
    let cancel = cancel_on_signal();
    let mut shown = String::new();
    loop {
        let run = args.read.read(repository)?;
        let answer = answer(repository, &run, args.last);
        let text = if args.read.json { json::text(&answer)? } else { text(&run.state, &answer) };
        if text != shown {
            if args.watch {
                terminal::clear();
            }
            terminal::out(&text);
            shown = text;
        }
        if !args.watch || !matches!(answer.activity, Activity::Running | Activity::Stopping | Activity::Locked) {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = cancel.cancelled() => return Ok(ExitCode::from(130)),
        }
    }
}

/// Collects the status of a run.
fn answer(repository: &Repository, run: &ReadRun, last: usize) -> StatusAnswer {
    let ReadRun { tag, state, .. } = run;
    let folder = repository.run_folder(tag);
    let is_locked = repository.is_locked(tag);
    // One that was killed has left its announcement.
    let process = control::process(&folder).filter(|_| is_locked);
    let activity = match &process {
        Some(process) if control::requested(&folder, process) == Some(When::AfterExperiment) => Activity::Stopping,
        Some(_) => Activity::Running,
        None if is_locked => Activity::Locked,
        None if is_imported(state) => Activity::Imported,
        None if state.stopped.is_some() => Activity::Stopped,
        None => Activity::Interrupted,
    };
    let (metric, direction) = json::header(state);
    let (baseline, best) = report::scores(state);
    let limits = process.as_ref().map(|process| process.limits).unwrap_or_default();
    let incumbent = state.incumbent.as_ref();
    let (experiments_left, seconds_left) = process.as_ref().map_or((None, None), |process| left(state, process));
    let skipped = state.experiments.len().saturating_sub(last);
    StatusAnswer {
        version: json::VERSION,
        tag: tag.clone(),
        activity,
        stopped: state.stopped.clone().filter(|_| process.is_none()),
        metric,
        direction,
        noise: state.noise.sigma(),
        pid: process.as_ref().map(|process| process.pid),
        since: process.as_ref().map(|process| process.started.to_string()),
        now: now(state, process.is_some()),
        baseline: baseline.map(Score::get),
        best: best.map(Score::get),
        best_experiment: incumbent.map(|incumbent| incumbent.experiment.0),
        best_commit: incumbent.map(|incumbent| incumbent.revision.to_string()),
        totals: Totals::of(state),
        limits: Limits {
            experiments: limits.experiments,
            seconds: limits.seconds,
            dollars: limits.dollars,
            tokens: limits.tokens,
            calls: limits.calls,
        },
        experiments_left,
        seconds_left,
        last: state.experiments.iter().skip(skipped).map(|made| ExperimentAnswer::decided(state, made)).collect(),
        hints: state.hints.clone(),
    }
}

/// The open experiments. Where no process drives the run, none of their trials is in flight.
fn now(state: &State, is_driven: bool) -> Vec<Now> {
    let open = state.open.iter().map(|open| Now {
        experiment: open.experiment.id.0,
        description: open.experiment.description.clone(),
        trials: if is_driven { open.running.len() } else { 0 },
        since: open.experiment.started.to_string(),
    });
    open.collect()
}

/// Experiments and seconds that are left to a process, by its limits and its pace.
fn left(state: &State, process: &Process) -> (Option<usize>, Option<f64>) {
    let elapsed = Moment::now().since(process.started).as_secs_f64();
    let experiments = process.limits.experiments.map(|limit| limit.saturating_sub(state.finished()));
    let done = state.experiments.iter().filter(|made| made.finished >= process.started).count();
    let by_pace = experiments.filter(|_| done > 0).map(|left| left as f64 * elapsed / done as f64);
    let by_clock = process.limits.seconds.map(|limit| (limit - elapsed).max(0.0));
    let seconds = match (by_pace, by_clock) {
        (Some(pace), Some(clock)) => Some(pace.min(clock)),
        (pace, clock) => pace.or(clock),
    };
    (experiments, seconds)
}

/// Formats the status for a terminal.
fn text(state: &State, answer: &StatusAnswer) -> String {
    let mut text = format!("run {}: {}\n", answer.tag, activity(answer));
    let way = if answer.direction == "minimise" { "lower" } else { "higher" };
    let noise = answer.noise.map_or(String::new(), |sigma| format!("; noise (sigma) {}", significant(sigma)));
    let _ = writeln!(text, "metric: {}, {way} is better{noise}", answer.metric);
    for Now { experiment, description, trials, .. } in &answer.now {
        let doing = match trials {
            0 => "waits".to_owned(),
            1 => "1 trial in flight".to_owned(),
            more => format!("{more} trials in flight"),
        };
        let _ = writeln!(text, "now: experiment {experiment:03} {}; {doing}", clean_line(description));
    }
    if let (Some(best), Some(experiment), Some(commit)) = (answer.best, answer.best_experiment, &answer.best_commit) {
        let short = commit.get(..7).unwrap_or(commit);
        let _ = writeln!(text, "best: {} by experiment {experiment:03} ({short})", significant(best));
    }
    let _ = writeln!(text, "so far: {}", report::totals(state));
    if let Some(spent) = spent(&answer.totals) {
        let _ = writeln!(text, "spent: {spent}");
    }
    if let Some(left) = left_in_words(answer) {
        let _ = writeln!(text, "left: {left}");
    }
    if let Some(hint) = answer.hints.last() {
        let _ = writeln!(text, "last of {} hints: {}", answer.hints.len(), clean_line(hint));
    }
    let skipped = state.experiments.len().saturating_sub(answer.last.len());
    for experiment in state.experiments.iter().skip(skipped) {
        let _ = writeln!(text, "{}", report::line(state, experiment));
    }
    text
}

fn activity(answer: &StatusAnswer) -> String {
    let since = answer.since.clone().and_then(|since| Moment::try_from(since).ok());
    let since = since.map_or(String::new(), |since| {
        // Minutes, so that a watched status does not change by itself.
        let minutes = Moment::now().since(since).as_secs() / 60;
        format!(" since {} ({minutes} minutes)", local_time(since, "%H:%M"))
    });
    match answer.activity {
        Activity::Running => format!("running{since}"),
        Activity::Stopping => format!("running{since}, stops after the experiments in flight"),
        Activity::Locked => "not running; another command works on it".into(),
        Activity::Stopped => format!("stopped: {}", answer.stopped.as_deref().unwrap_or_default()),
        Activity::Interrupted => {
            format!("interrupted, its process is gone; go on with it: autoresearch run --tag {}", answer.tag)
        }
        Activity::Imported => "imported".into(),
    }
}

/// The cost in words; `None` if nothing was spent.
fn spent(totals: &Totals) -> Option<String> {
    let times = (totals.trial_seconds > 0.0).then(|| {
        let [trials, builds, evaluations] =
            [totals.trial_seconds, totals.build_seconds, totals.evaluation_seconds].map(seconds_of);
        report::time_spent(trials, builds, evaluations)
    });
    let calls = (totals.calls > 0 || totals.tokens > 0)
        .then(|| format!("${:.2} for {} calls of models and {} tokens", totals.dollars, totals.calls, totals.tokens));
    let parts: Vec<String> = times.into_iter().chain(calls).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn left_in_words(answer: &StatusAnswer) -> Option<String> {
    let experiments = answer.experiments_left.map(|left| format!("{left} experiments"));
    let time = answer.seconds_left.map(|seconds| format!("about {}", about(seconds)));
    let dollars = answer.limits.dollars.map(|limit| format!("${:.2}", (limit - answer.totals.dollars).max(0.0)));
    let parts: Vec<String> = [experiments, time, dollars].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A number of seconds as a time. A file may say more than one can hold.
fn seconds_of(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A time that is only known roughly: in minutes, below one of them in steps of ten seconds.
fn about(seconds: f64) -> String {
    let step = if seconds < 60.0 { 10.0 } else { 60.0 };
    report::duration(seconds_of((seconds / step).ceil() * step))
}
