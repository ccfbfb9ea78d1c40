//! The live display of a night: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use autoresearch_core::{Event, Experiment, Observer, Phase, State, Status};
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::report;

mod board;
mod output;
mod progress;

use board::Board;
use output::{Bars, Output, Style};
use progress::Progress;

/// Without a terminal, an experiment says how it goes this often at most.
const PLAIN_PAUSE: Duration = Duration::from_secs(30);

/// What the display must know beside the events.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The run's name.
    pub tag: String,
    /// The metric's name.
    pub metric: String,
    /// How many experiments are wanted, if that is known.
    pub total: Option<usize>,
    /// How many workers there are.
    pub workers: usize,
    /// Whether proposals or builds are made while experiments run.
    pub ahead: bool,
}

/// Shows events as they happen. Nothing of it can fail or disturb the run.
pub struct Display {
    options: Options,
    inner: Mutex<Inner>,
}

struct Inner {
    out: Output,
    began: Instant,
    board: Board,
    /// How many workers there are.
    workers: usize,
}

impl Display {
    /// A display on standard error, in the form that fits it.
    pub fn new(options: Options) -> Display {
        if std::io::stderr().is_terminal() {
            let bars = Bars::new(&options, MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5)));
            Display::with(options, Output::Terminal(bars))
        } else {
            Display::plain(options, Box::new(std::io::stderr()))
        }
    }

    /// Plain lines with the time of day.
    pub fn plain(options: Options, out: Box<dyn Write + Send>) -> Display {
        Display::with(options, Output::Plain(out))
    }

    fn with(options: Options, out: Output) -> Display {
        let workers = options.workers.max(1);
        let board = Board::new(workers, options.ahead);
        Display { options, inner: Mutex::new(Inner { out, began: Instant::now(), board, workers }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Display {
    fn on_event(&self, event: &Event<'_>) {
        let inner = &mut *self.inner();
        match event {
            Event::RunStarted { state } => inner.began(state, &self.options),
            Event::ProposalRequested { experiment } => inner.board.thinks(*experiment),
            Event::Staged { experiment, .. } => {
                inner.board.thought();
                inner.board.waits(*experiment);
            }
            Event::Rejected { description, reason } => {
                inner.board.thought();
                inner.out.line(&format!("refused: {description}: {reason}"), Some(Style::Dim));
            }
            Event::Retrying { error, pause } => {
                inner.board.thought();
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
                let moved = shift.map_or("".into(), |by| format!("; the machine has shifted by {by:+.6}"));
                let style = if shift.is_some() { Style::Yellow } else { Style::Dim };
                let text = format!("the incumbent, measured again: {:.6}{moved}", score.get());
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
            Event::TrialEnded { experiment, worker } => inner.board.rests(*experiment, *worker),
            Event::Rebased { experiment, onto, in_merge_queue, conflict } => {
                inner.rebased(*experiment, *onto, *in_merge_queue, conflict.is_some());
            }
            Event::Phase { experiment, worker, phase } => {
                let doing = match phase {
                    Phase::Build => "building",
                    Phase::Run => "starting",
                };
                let message = format!("{doing} | {}", inner.board.description(*experiment));
                inner.board.now(*experiment, *worker, message, 0.0);
            }
            Event::Line { experiment, worker, line } => inner.progress(*experiment, *worker, line),
            Event::Decided { experiment, state } => {
                inner.board.decided(experiment.id);
                inner.decided(state, experiment);
                inner.night(state, &self.options);
            }
            Event::Stopped { reason, .. } => {
                inner.out.clear();
                let took = inner.began.elapsed();
                inner.out.line(&format!("stopped: {reason} ({} after the start)", report::duration(took)), None);
                return;
            }
            _ => {}
        }
        inner.draw();
    }
}

impl Inner {
    fn began(&mut self, state: &State, options: &Options) {
        let done = state.experiments.len();
        if done > 0 {
            self.out.line(&format!("going on with {}: {done} experiments are done", options.tag), None);
        }
        state.pending().for_each(|pending| self.board.waits(pending.id));
        self.night(state, options);
    }

    /// Shows on the bars what the board says.
    fn draw(&self) {
        let Output::Terminal(bars) = &self.out else { return };
        for (number, worker) in self.board.workers().iter().enumerate() {
            bars.worker(number, &worker.name, &worker.message, worker.share);
        }
        bars.ahead(self.board.ahead());
    }

    fn staged(&mut self, experiment: u32, description: &str) {
        self.board.staged(experiment, description);
        if experiment == 0 {
            self.out.plain_line("baseline: building and running the unchanged program");
        } else if self.workers == 1 {
            self.out.plain_line(&format!("experiment {experiment:03}: {description}"));
        }
    }

    /// Where there are several workers, a plain line names the one that an experiment begins on.
    fn running(&mut self, experiment: u32, worker: Option<u32>) {
        self.board.runs(experiment, worker);
        if let (Some(worker), true) = (worker, self.workers > 1 && experiment > 0)
            && let Some(description) = self.board.first_run(experiment)
        {
            self.out.plain_line(&format!("worker {worker}: experiment {experiment:03}: {description}"));
        }
    }

    fn rebased(&mut self, experiment: u32, onto: u32, better: bool, conflict: bool) {
        let (text, style) = match (better, conflict) {
            (_, true) => (
                format!(
                    "experiment {experiment:03} changes the same as experiment {onto:03}, which was kept meanwhile"
                ),
                Style::Yellow,
            ),
            (true, false) => (
                format!(
                    "experiment {experiment:03} is better than its parent; moved onto experiment {onto:03} and measured again"
                ),
                Style::Yellow,
            ),
            (false, false) => {
                (format!("experiment {experiment:03} is moved onto experiment {onto:03}, kept meanwhile"), Style::Dim)
            }
        };
        self.out.line(&text, Some(style));
        if !conflict {
            self.board.waits(experiment);
        }
    }

    fn progress(&mut self, experiment: u32, worker: Option<u32>, line: &str) {
        let progress = Progress::parse(line);
        // What changes first: a narrow terminal cuts the end.
        let text = progress.as_ref().map_or(line, |p| &p.text);
        let message = format!("{text} | {}", self.board.description(experiment));
        self.board.now(experiment, worker, message, progress.as_ref().map_or(0.0, |p| p.share));
        if let (Output::Plain(_), Some(worker), Some(progress)) = (&self.out, worker, progress)
            && self.board.is_due(worker, PLAIN_PAUSE)
        {
            let place = if self.workers > 1 { format!("worker {worker}: ") } else { String::new() };
            let percent = 100.0 * progress.share;
            self.out.plain_line(&format!("{place}{}: {percent:.0}% | {}", name(experiment), progress.text));
        }
    }

    fn decided(&mut self, state: &State, experiment: &Experiment) {
        let style = match experiment.status {
            Status::Keep => Style::Green,
            Status::Discard => Style::Dim,
            Status::Crash => Style::Red,
        };
        self.out.line(&report::line(state, experiment), Some(style));
    }

    fn night(&self, state: &State, options: &Options) {
        let Output::Terminal(bars) = &self.out else { return };
        let keeps = state.experiments.iter().skip(1).filter(|e| e.status == Status::Keep).count();
        let best = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let left = options.total.and_then(|total| {
            let durations: Vec<Duration> = state.experiments.iter().map(report::took).collect();
            let mean = durations.iter().sum::<Duration>().checked_div(durations.len() as u32)?;
            Some(mean * u32::try_from(total.saturating_sub(state.finished())).ok()? / self.workers as u32)
        });
        let best =
            best.map_or(String::new(), |best| format!("best {} {:.6}, {keeps} kept", options.metric, best.get()));
        let left = left.map_or(String::new(), |left| format!(", about {} left", report::duration(left)));
        bars.night(state.finished() as u64, format!("{best}{left}"));
    }
}

fn name(experiment: u32) -> String {
    if experiment == 0 { "baseline".into() } else { format!("exp {experiment:03}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn without_a_terminal_there_are_plain_lines() {
        let captured = Captured::default();
        let display = Display::plain(Options::default(), Box::new(captured.clone()));
        display.on_event(&Event::ExperimentStarted { experiment: 0, description: "baseline" });
        display.on_event(&Event::Line { experiment: 0, worker: Some(0), line: "step 1 (1%) | loss: 2" });
        display.on_event(&Event::Rejected { description: "A 1 -> 2", reason: "same" });
        let state = crate::report::tests::example();
        for experiment in &state.experiments {
            display.on_event(&Event::Decided { experiment, state: &state });
        }
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("baseline:"), "{text}");
        assert!(lines[1].ends_with("refused: A 1 -> 2: same"), "progress lines wait: {text}");
        assert!(lines[3].contains("KEPT") && !text.contains('\x1b'), "{text}");
    }
}
