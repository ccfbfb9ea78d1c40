//! The live display of a night: two bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use autoresearch_core::{Event, Experiment, Observer, Phase, State, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{report, terminal};

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
}

/// Shows events as they happen. Nothing of it can fail or disturb the run.
pub struct Display {
    options: Options,
    inner: Mutex<Inner>,
}

struct Inner {
    out: Output,
    began: Instant,
    /// What the current experiment changes, and when it began.
    description: String,
    experiment_began: Instant,
    said: Option<Instant>,
}

enum Output {
    Terminal { bars: MultiProgress, night: ProgressBar, experiment: ProgressBar, colour: bool },
    Plain(Box<dyn Write + Send>),
}

impl Display {
    /// A display on standard error, in the form that fits it.
    pub fn new(options: Options) -> Display {
        if std::io::stderr().is_terminal() {
            Display::terminal(options, MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5)))
        } else {
            Display::plain(options, Box::new(std::io::stderr()))
        }
    }

    fn terminal(options: Options, bars: MultiProgress) -> Display {
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━━─")
        };
        let night = bars.add(ProgressBar::new(options.total.unwrap_or(0) as u64));
        night.set_style(style(match options.total {
            Some(_) => "night      {bar:30.green} {pos}/{len} {elapsed} {wide_msg}",
            None => "night      {pos} experiments {elapsed} {wide_msg}",
        }));
        let experiment = bars.add(ProgressBar::new(1000));
        experiment.set_style(style("{prefix:10} {bar:30.cyan} {wide_msg}"));
        for bar in [&night, &experiment] {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Display::with(options, Output::Terminal { bars, night, experiment, colour })
    }

    /// Plain lines with the time of day.
    pub fn plain(options: Options, out: Box<dyn Write + Send>) -> Display {
        Display::with(options, Output::Plain(out))
    }

    fn with(options: Options, out: Output) -> Display {
        let now = Instant::now();
        let inner = Inner { out, began: now, description: String::new(), experiment_began: now, said: None };
        Display { options, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Display {
    fn on_event(&self, event: &Event<'_>) {
        let inner = &mut *self.inner();
        match event {
            Event::Began { state } => inner.began(state, &self.options),
            Event::Proposing { experiment } => inner.now(&name(*experiment), "thinking of something to try", 0.0),
            Event::Refused { description, reason } => {
                inner.line(&format!("refused: {description}: {reason}"), Some(Style::Dim))
            }
            Event::Retrying { error, pause } => {
                inner.line(
                    &format!("trouble: {error}; trying again in {:.0} s", pause.as_secs_f64()),
                    Some(Style::Yellow),
                );
            }
            Event::Checking { crashes } => {
                inner.line(
                    &format!(
                        "{crashes} crashes in a row: running the incumbent again, to see whether it is the machine"
                    ),
                    Some(Style::Yellow),
                );
            }
            Event::Remeasured { score, shift } => {
                let moved = shift.map_or("".into(), |by| format!("; the machine has shifted by {by:+.6}"));
                let style = if shift.is_some() { Style::Yellow } else { Style::Dim };
                inner.line(&format!("the incumbent, measured again: {:.6}{moved}", score.get()), Some(style));
            }
            Event::Paused { why, pause } => {
                inner.line(
                    &format!(
                        "PAUSED: the incumbent, which ran before, gives no number any more ({why}); no experiment is \
                         spent until it does; trying again in {:.0} s",
                        pause.as_secs_f64()
                    ),
                    Some(Style::Red),
                );
            }
            Event::Staged { experiment, description } => {
                inner.description = (*description).to_owned();
                inner.experiment_began = Instant::now();
                inner.said = None;
                inner.plain_line(&match experiment {
                    0 => "baseline: building and running the unchanged program".to_owned(),
                    number => format!("experiment {number:03}: {description}"),
                });
            }
            Event::Phase { experiment, phase } => {
                let doing = match phase {
                    Phase::Build => "building",
                    Phase::Run => "starting",
                };
                let message = format!("{doing} | {}", inner.description);
                inner.now(&name(*experiment), &message, 0.0);
            }
            Event::Line { experiment, line } => inner.progress(*experiment, line),
            Event::Decided { experiment, state } => {
                inner.decided(state, experiment);
                inner.night(state, &self.options);
            }
            Event::Stopped { reason, .. } => {
                if let Output::Terminal { night, experiment, .. } = &inner.out {
                    experiment.finish_and_clear();
                    night.finish_and_clear();
                }
                let took = inner.began.elapsed();
                inner.line(&format!("stopped: {reason} ({} after the start)", report::duration(took)), None);
            }
            _ => {}
        }
    }
}

enum Style {
    Dim,
    Yellow,
    Green,
    Red,
}

impl Inner {
    fn began(&mut self, state: &State, options: &Options) {
        let done = state.experiments.len();
        if done > 0 {
            self.line(&format!("going on with {}: {done} experiments are done", options.tag), None);
        }
        self.night(state, options);
    }

    /// A line that stays.
    fn line(&mut self, text: &str, style: Option<Style>) {
        match &mut self.out {
            Output::Terminal { bars, colour, .. } => {
                let code = style.filter(|_| *colour).map(|style| match style {
                    Style::Dim => "2",
                    Style::Yellow => "33",
                    Style::Green => "1;32",
                    Style::Red => "31",
                });
                let text = code.map_or(text.to_owned(), |code| format!("\x1b[{code}m{text}\x1b[0m"));
                // Not the bars' own `println`, which is silent once the bars are finished.
                bars.suspend(|| terminal::err(&text));
            }
            Output::Plain(_) => self.plain_line(text),
        }
    }

    /// A line only where there are no bars.
    fn plain_line(&mut self, text: &str) {
        if let Output::Plain(out) = &mut self.out {
            let time = jiff::Zoned::now().strftime("%H:%M:%S");
            // `baseline:` begins its line: scripts wait for it.
            let line =
                if text.starts_with("baseline:") { format!("{text} ({time})\n") } else { format!("{time} {text}\n") };
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
    }

    fn now(&mut self, name: &str, message: &str, share: f64) {
        if let Output::Terminal { experiment, .. } = &self.out {
            experiment.set_prefix(name.to_owned());
            experiment.set_position((share * 1000.0) as u64);
            experiment.set_message(message.to_owned());
        }
    }

    fn progress(&mut self, experiment: u32, line: &str) {
        let progress = Progress::parse(line);
        // What changes first: a narrow terminal cuts the end.
        let message = format!("{} | {}", progress.as_ref().map_or(line, |p| &p.text), self.description);
        self.now(&name(experiment), &message, progress.as_ref().map_or(0.0, |p| p.share));
        let due = self.said.map_or(self.experiment_began, |at| at).elapsed() >= PLAIN_PAUSE;
        if let (Output::Plain(_), true, Some(progress)) = (&self.out, due, progress) {
            self.said = Some(Instant::now());
            self.plain_line(&format!("{}: {:.0}% | {}", name(experiment), 100.0 * progress.share, progress.text));
        }
    }

    fn decided(&mut self, state: &State, experiment: &Experiment) {
        let style = match experiment.status {
            Status::Keep => Style::Green,
            Status::Discard => Style::Dim,
            Status::Crash => Style::Red,
        };
        self.line(&report::line(state, experiment), Some(style));
    }

    fn night(&mut self, state: &State, options: &Options) {
        let Output::Terminal { night, .. } = &self.out else { return };
        night.set_position(state.finished() as u64);
        let keeps = state.experiments.iter().skip(1).filter(|e| e.status == Status::Keep).count();
        let best = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean());
        let left = options.total.and_then(|total| {
            let durations: Vec<Duration> = state.experiments.iter().map(report::took).collect();
            let mean = durations.iter().sum::<Duration>().checked_div(durations.len() as u32)?;
            Some(mean * u32::try_from(total.saturating_sub(state.finished())).ok()?)
        });
        let best =
            best.map_or(String::new(), |best| format!("best {} {:.6}, {keeps} kept", options.metric, best.get()));
        let left = left.map_or(String::new(), |left| format!(", about {} left", report::duration(left)));
        night.set_message(format!("{best}{left}"));
    }
}

fn name(experiment: u32) -> String {
    if experiment == 0 { "baseline".into() } else { format!("exp {experiment:03}") }
}

/// A progress line of the form `step 00012 (3.4%) | loss: 5.1 | tok/sec: 15,123 | remaining: 58s`.
#[derive(Debug, PartialEq)]
struct Progress {
    /// From 0 to 1.
    share: f64,
    /// What is worth showing of it.
    text: String,
}

impl Progress {
    fn parse(line: &str) -> Option<Progress> {
        let mut parts = line.split('|').map(str::trim);
        let first = parts.next()?;
        let (what, percent) = first.split_once('(')?;
        let percent: f64 = percent.split_once('%')?.0.trim().parse().ok()?;
        let wanted = |part: &&str| ["loss", "tok/sec", "remaining"].iter().any(|name| part.starts_with(name));
        let shown: Vec<&str> = std::iter::once(what.trim()).chain(parts.filter(wanted)).collect();
        percent.is_finite().then(|| Progress { share: (percent / 100.0).clamp(0.0, 1.0), text: shown.join(" | ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn progress_lines_are_understood() {
        let line = "step 00012 (3.4%) | loss: 5.123456 | lrm: 1.00 | dt: 130ms | tok/sec: 15123 | mfu: 0.0% | epoch: 1 | remaining: 58s";
        let progress = Progress::parse(line).unwrap();
        assert_eq!(progress.text, "step 00012 | loss: 5.123456 | tok/sec: 15123 | remaining: 58s");
        assert!((progress.share - 0.034).abs() < 1e-9);
        for odd in ["", "|", "(", "a (x%) | b", "(%)", "Compiling é (99", "step (NaN%)"] {
            assert_eq!(Progress::parse(odd), None, "{odd}");
        }
    }

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
        display.on_event(&Event::Staged { experiment: 0, description: "baseline" });
        display.on_event(&Event::Line { experiment: 0, line: "step 1 (1%) | loss: 2" });
        display.on_event(&Event::Refused { description: "A 1 -> 2", reason: "same" });
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
