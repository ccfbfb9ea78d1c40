//! `autoresearch pictures`: draws the two pictures of the README from a recorded run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use autoresearch_core::internal::journal::{Entry, Record};
use autoresearch_core::internal::results::write_atomically;
use autoresearch_core::{ExperimentId, Journal, State, Status};
use clap::Args;

use crate::display::{Options, Running, bars};
use crate::error::CommandError;
use crate::svg_terminal::{self, Line};
use crate::text::terminal::{self, Style};
use crate::{plot, report};

/// Width of the terminal, in characters.
const COLUMNS: usize = 120;
/// Experiment whose trial goes on: those before it, the baseline included, are on the screen.
const SHOWN: ExperimentId = ExperimentId(13);

/// Draw terminal.svg and staircase.svg of a recorded run. Times are those of the time zone: give TZ=UTC.
#[derive(Debug, Args)]
pub struct PicturesArgs {
    /// The journal of the run.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// The folder for the pictures.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
}

/// Draws both pictures.
pub fn pictures(args: &PicturesArgs) -> Result<ExitCode, CommandError> {
    let entries = Journal::read(&args.journal)?;
    let state = State::replay(&entries)?;
    plot::svg(&state, &args.folder.join("staircase.svg"))?;
    let path = args.folder.join("terminal.svg");
    write_atomically(&path, screen(&entries, &state)?.as_bytes())?;
    terminal::out(path.display());
    Ok(ExitCode::SUCCESS)
}

/// Draws the terminal in the middle of the run, during the trial of an experiment.
fn screen(entries: &[Entry], whole: &State) -> Result<String, CommandError> {
    let during = |record: &Record| matches!(record, Record::TrialStarted(start) if start.experiment == SHOWN);
    let at = entries.iter().position(|entry| during(&entry.record));
    let none = || CommandError::Other(format!("the run has no trial of experiment {SHOWN}; give a longer one"));
    let (before, after) = entries.split_at_checked(at.ok_or_else(none)? + 1).ok_or_else(none)?;
    let state = State::replay(before)?;
    let open = state.pending().find(|experiment| experiment.id == SHOWN).ok_or_else(none)?;
    let (Some(header), Some(now)) = (&state.header, before.last()) else { return Err(none()) };

    let total = whole.finished();
    let command = format!("autoresearch run --tag {} --experiments {total}", header.tag);
    let mut lines: Vec<Line> = vec![
        vec![(Some(Style::Green), "$ ".into()), (None, command)],
        vec![(None, format!("run: {}", header.tag))],
        vec![(None, format!("results: .autoresearch/{}/results.tsv", header.tag))],
    ];
    for experiment in &state.experiments {
        let style = match experiment.status {
            Status::Keep => Style::Green,
            Status::Discard => Style::Dim,
            Status::Crash => Style::Red,
        };
        lines.push(vec![(Some(style), report::line(&state, experiment))]);
    }
    let options = Options {
        tag: header.tag.clone(),
        metric: header.metric.clone(),
        total: Some(total),
        workers: 1,
        ahead: false,
    };
    let elapsed = now.at.since(header.started);
    let elapsed = Duration::from_secs(elapsed.as_secs());
    let line = progress(after);
    let running = Running { experiment: open.id, description: &open.description, line: &line };
    lines.extend(bars(&state, &options, elapsed, &running, COLUMNS as u16).iter().map(|bar| coloured(bar)));
    Ok(svg_terminal::draw("autoresearch", COLUMNS, &lines))
}

/// A line of progress in the middle of the trial that ends first.
fn progress(after: &[Entry]) -> String {
    let ended = after.iter().find_map(|entry| match &entry.record {
        Record::TrialMeasured(result) => Some(result.outcome.log().tail.clone()),
        _ => None,
    });
    let tail = ended.unwrap_or_default();
    let lines: Vec<&str> = tail.lines().filter(|line| line.contains("%)")).collect();
    lines.get(lines.len() * 3 / 5).copied().unwrap_or_default().to_owned()
}

/// The parts of a line with a bar: what is done stands out.
fn coloured(bar: &str) -> Line {
    let Some(start) = bar.find(['━', '─']) else { return vec![(None, bar.to_owned())] };
    let (name, rest) = bar.split_at(start);
    let done = rest.find(|c| c != '━').unwrap_or(rest.len());
    let (done, rest) = rest.split_at(done);
    let left = rest.find(|c| c != '─').unwrap_or(rest.len());
    let (left, text) = rest.split_at(left);
    vec![
        (None, name.to_owned()),
        (Some(Style::Green), done.to_owned()),
        (Some(Style::Dim), left.to_owned()),
        (None, text.to_owned()),
    ]
}
