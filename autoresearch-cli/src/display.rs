//! The live display of a run: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use autoresearch_core::{
    Event, Experiment, ExperimentId, Observer, Phase, Progress as Report, State, Status, StopReason,
};
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::report;

mod background;
mod board;
mod options;
mod output;
mod progress;
mod still;

use background::Background;
use board::{Board, name};
pub use options::Options;
use output::{Bars, Output};
use progress::Progress;
pub use still::{Running, bars};

use crate::text::terminal::Style;
use crate::text::{clean_line, count, signed, significant};

/// Time that the last lines may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Without a terminal, the shortest time between two lines on the progress of an experiment.
const PLAIN_PAUSE: Duration = Duration::from_secs(30);

/// Shows events as they happen. It never fails and never disturbs the run.
pub struct Display {
    options: Options,
    inner: Mutex<Inner>,
    /// The queue that it writes to, unless a test wants otherwise.
    queue: Option<Background>,
}

struct Inner {
    out: Output,
    began: Instant,
    board: Board,
    /// The number of workers.
    workers: usize,
}

impl Display {
    /// A display on standard error, in the form that fits it.
    pub fn new(options: Options) -> Display {
        let queue = Background::over(std::io::stderr());
        let mut display = if std::io::stderr().is_terminal() {
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(queue.clone()), 5);
            let bars = Bars::new(&options, MultiProgress::with_draw_target(target), Box::new(queue.clone()));
            Display::with(options, Output::Terminal(bars))
        } else {
            Display::plain(options, Box::new(queue.clone()))
        };
        display.queue = Some(queue);
        display
    }

    /// Plain lines with the time of day.
    pub fn plain(options: Options, out: Box<dyn Write + Send>) -> Display {
        Display::with(options, Output::Plain(out))
    }

    fn with(options: Options, out: Output) -> Display {
        let workers = options.workers.max(1);
        let board = Board::new(workers, options.ahead);
        Display { options, inner: Mutex::new(Inner { out, began: Instant::now(), board, workers }), queue: None }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.queue.iter().for_each(|queue| queue.drain(LAST_WORDS));
    }
}

impl Observer for Display {
    fn on_event(&self, event: &Event<'_>) {
        let inner = &mut *self.inner();
        match event {
            Event::RunStarted { state } => inner.began(state, &self.options),
            Event::ProposalRequested { experiment } => inner.board.start_proposing(*experiment),
            Event::Staged { experiment, .. } => {
                inner.board.finish_proposing();
                inner.board.note_waiting(*experiment);
            }
            Event::Rejected { description, reason } => {
                inner.board.finish_proposing();
                inner.out.line(&format!("rejected: {description}: {reason}"), Some(Style::Dim));
            }
            Event::Retrying { error, pause } => {
                inner.board.finish_proposing();
                let text = format!("trouble: {error}; trying again in {:.0} s", pause.as_secs_f64());
                inner.out.line(&text, Some(Style::Yellow));
            }
            Event::HealthCheckStarted { crashes } => {
                let text = format!(
                    "{crashes} crashes in a row: running the incumbent again, to see whether it is the machine"
                );
                inner.out.line(&text, Some(Style::Yellow));
            }
            Event::Remeasured { score, shift } => {
                let moved = shift.map_or(String::new(), |by| format!("; the machine has shifted by {}", signed(by)));
                let style = if shift.is_some() { Style::Yellow } else { Style::Dim };
                let text = format!("the incumbent, measured again: {}{moved}", significant(score.get()));
                inner.out.line(&text, Some(style));
            }
            Event::Paused { why, pause } => {
                let text = format!(
                    "PAUSED: the incumbent, which ran before, gives no number any more ({why}); no experiment is spent \
                     until it does; trying again in {:.0} s",
                    pause.as_secs_f64()
                );
                inner.out.line(&text, Some(Style::Red));
            }
            Event::ExperimentStarted { experiment, description } => inner.staged(*experiment, description),
            Event::TrialStarted { experiment, worker } => inner.running(*experiment, *worker),
            Event::TrialEnded { experiment, worker } => inner.board.finish_trial(*experiment, *worker),
            Event::Rebased { experiment, onto, in_merge_queue, conflict } => {
                inner.rebased(*experiment, *onto, *in_merge_queue, conflict.is_some());
            }
            Event::Progress { experiment, worker, progress: Report::Line(line) } => {
                inner.progress(*experiment, *worker, line);
            }
            Event::Progress { experiment, worker, progress: Report::Phase(phase) } => {
                let doing = match phase {
                    Phase::Build => "building",
                    Phase::Run => "starting",
                    Phase::Evaluation => "evaluating",
                    Phase::Guard => "testing",
                };
                let message = format!("{doing} | {}", inner.board.description(*experiment));
                inner.board.show_progress(*experiment, *worker, message, 0.0);
            }
            Event::Decided { experiment, state } => {
                inner.board.finish_experiment(experiment.id);
                inner.decided(state, experiment);
                inner.whole_run(state, &self.options);
            }
            Event::Stopped { reason, .. } => {
                inner.out.clear();
                inner.stopped(reason);
                // What follows is printed at once.
                self.queue.iter().for_each(|queue| queue.drain(LAST_WORDS));
                return;
            }
            _ => {}
        }
        inner.draw();
    }
}

impl Inner {
    fn began(&mut self, state: &State, options: &Options) {
        if !state.experiments.is_empty() {
            let done = match state.finished() {
                0 => "the baseline is measured".to_owned(),
                1 => "1 experiment is done".to_owned(),
                more => format!("{} are done", count(more, "experiment")),
            };
            self.out.line(&format!("going on with {}: {done}", options.tag), None);
        }
        state.pending().for_each(|pending| self.board.note_waiting(pending.id));
        self.whole_run(state, options);
    }

    /// Shows on the bars what the board says.
    fn draw(&self) {
        let Output::Terminal(bars) = &self.out else { return };
        for (number, worker) in self.board.workers().iter().enumerate() {
            bars.worker(number, &worker.name, &worker.message, worker.share);
        }
        bars.ahead(self.board.ahead());
    }

    fn staged(&mut self, experiment: ExperimentId, description: &str) {
        let description = &clean_line(description);
        self.board.note_staged(experiment, description);
        if experiment.is_baseline() {
            self.out.plain_line("baseline: building and running the unchanged program");
        } else if self.workers == 1 {
            self.out.plain_line(&format!("experiment {experiment:03}: {description}"));
        }
    }

    /// Notes the start of a trial. With several workers, a plain line names the worker that an experiment begins on.
    fn running(&mut self, experiment: ExperimentId, worker: Option<u32>) {
        self.board.start_trial(experiment, worker);
        if let (Some(worker), true) = (worker, self.workers > 1 && !experiment.is_baseline())
            && let Some(description) = self.board.first_description(experiment)
        {
            self.out.plain_line(&format!("worker {worker}: experiment {experiment:03}: {description}"));
        }
    }

    fn rebased(&mut self, experiment: ExperimentId, onto: ExperimentId, better: bool, conflict: bool) {
        let (text, style) = match (better, conflict) {
            (_, true) => (
                format!(
                    "experiment {experiment:03} changes the same as experiment {onto:03}, which was kept meanwhile"
                ),
                Style::Yellow,
            ),
            (true, false) => (
                format!(
                    "experiment {experiment:03} is better than its parent; rebased onto experiment {onto:03} and measured again"
                ),
                Style::Yellow,
            ),
            (false, false) => {
                (format!("experiment {experiment:03} is rebased onto experiment {onto:03}, kept meanwhile"), Style::Dim)
            }
        };
        self.out.line(&text, Some(style));
        if !conflict {
            self.board.note_waiting(experiment);
        }
    }

    fn progress(&mut self, experiment: ExperimentId, worker: Option<u32>, line: &str) {
        let progress = Progress::parse(line);
        // What changes first: a narrow terminal cuts the end.
        let text = clean_line(progress.as_ref().map_or(line, |p| &p.text));
        let message = format!("{text} | {}", self.board.description(experiment));
        self.board.show_progress(experiment, worker, message, progress.as_ref().map_or(0.0, |p| p.share));
        if let (Output::Plain(_), Some(worker), Some(progress)) = (&self.out, worker, progress)
            && self.board.is_due(worker, PLAIN_PAUSE)
        {
            let place = if self.workers > 1 { format!("worker {worker}: ") } else { String::new() };
            let percent = 100.0 * progress.share;
            self.out.plain_line(&format!(
                "{place}{}: {percent:.0}% | {}",
                name(experiment),
                clean_line(&progress.text)
            ));
        }
    }

    fn decided(&mut self, state: &State, experiment: &Experiment) {
        let style = match experiment.status {
            Status::Keep => Style::Green,
            Status::Discard => Style::Dim,
            Status::Crash => Style::Red,
        };
        self.out.line(&report::line(state, experiment), Some(style));
        if let Some(source) = report::source(state).filter(|_| experiment.id.is_baseline()) {
            self.out.line(&format!("  {source}"), None);
        }
    }

    /// Says why the run ended; a reason of several lines keeps them.
    fn stopped(&mut self, reason: &StopReason) {
        let (took, reason_text) = (report::duration(self.began.elapsed()), reason.to_string());
        let mut lines = reason_text.lines();
        let first = lines.next().unwrap_or_default();
        self.out.line(&format!("stopped: {first} ({took} after the start)"), None);
        lines.for_each(|line| self.out.line(&format!("  {line}"), None));
        if matches!(reason, StopReason::Rejected { .. }) {
            let next = "mend what these reasons name (the programme, editable, [check]); the same command goes on";
            self.out.line(next, Some(Style::Yellow));
        }
    }

    fn whole_run(&self, state: &State, options: &Options) {
        let Output::Terminal(bars) = &self.out else { return };
        let keeps = state.experiments.iter().skip(1).filter(|e| e.status == Status::Keep).count();
        let score = report::scores(state).1;
        let left = options.total.and_then(|total| {
            let durations: Vec<Duration> = state.experiments.iter().map(report::took).collect();
            let mean = durations.iter().sum::<Duration>().checked_div(durations.len() as u32)?;
            Some(mean * u32::try_from(total.saturating_sub(state.finished())).ok()? / self.workers as u32)
        });
        let score = score
            .map_or(String::new(), |score| format!("{} {}, {keeps} kept", options.metric, significant(score.get())));
        let left = left.map_or(String::new(), |left| format!(", about {} left", report::duration(left)));
        bars.whole_run(state.finished() as u64, format!("{score}{left}"));
    }
}

#[cfg(test)]
mod tests;
