//! The two forms of the display: bars on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::options::Options;
use crate::text::terminal::{self, Style};
use crate::text::{clean, clean_line};

/// The form that fits the output.
pub enum Output {
    Terminal(Bars),
    Plain(Box<dyn Write + Send>),
}

/// One bar for the run, one for each worker, and a line for what is prepared.
pub struct Bars {
    all: MultiProgress,
    whole_run: ProgressBar,
    workers: Vec<ProgressBar>,
    ahead: Option<ProgressBar>,
    colour: bool,
    /// Takes the lines that stay above the bars.
    lines: Box<dyn Write + Send>,
}

impl Bars {
    pub fn new(options: &Options, all: MultiProgress, lines: Box<dyn Write + Send>) -> Bars {
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━━─")
        };
        let several = options.workers > 1;
        let add = |length: u64, template: &str| {
            let bar = all.add(ProgressBar::new(length));
            bar.set_style(style(template));
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        };
        let whole_run = add(
            options.total.unwrap_or(0) as u64,
            match (options.total, several) {
                (Some(_), false) => "run        {bar:30.green} {pos}/{len} {elapsed} {wide_msg}",
                (Some(_), true) => "run                {bar:20.green} {pos}/{len} {elapsed} {wide_msg}",
                (None, false) => "run        {pos} experiments {elapsed} {wide_msg}",
                (None, true) => "run                {pos} experiments {elapsed} {wide_msg}",
            },
        );
        let worker = match several {
            false => "{prefix:10} {bar:30.cyan} {wide_msg}",
            true => "{prefix:18} {bar:20.cyan} {wide_msg}",
        };
        let workers = (0..options.workers.max(1)).map(|_| add(1000, worker)).collect();
        let ahead = if several { "ahead              {wide_msg}" } else { "ahead      {wide_msg}" };
        let ahead = options.ahead.then(|| add(0, ahead));
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Bars { all, whole_run, workers, ahead, colour, lines }
    }

    /// Replaces the time since the start of the run.
    pub fn set_elapsed(&mut self, elapsed: Duration) {
        self.whole_run = self.whole_run.clone().with_elapsed(elapsed);
    }

    /// Shows the work of one worker; `share` is how far it is, from 0 to 1.
    pub fn worker(&self, worker: usize, name: &str, message: &str, share: f64) {
        let Some(bar) = self.workers.get(worker) else { return };
        bar.set_prefix(match self.workers.len() {
            1 => name.to_owned(),
            _ => format!("worker {worker} {name}"),
        });
        bar.set_position((share * 1000.0) as u64);
        bar.set_message(clean_line(message));
    }

    /// Shows what is prepared.
    pub fn ahead(&self, message: String) {
        if let Some(bar) = &self.ahead {
            bar.set_message(message);
        }
    }

    /// Shows how far the run is.
    pub fn whole_run(&self, finished: u64, message: String) {
        self.whole_run.set_position(finished);
        self.whole_run.set_message(message);
    }

    fn clear(&self) {
        let bars = self.workers.iter().chain(&self.ahead).chain([&self.whole_run]);
        bars.for_each(ProgressBar::finish_and_clear);
    }
}

impl Output {
    /// Writes a line that stays.
    pub fn line(&mut self, text: &str, style: Option<Style>) {
        match self {
            Output::Terminal(bars) => {
                let text = match style.filter(|_| bars.colour) {
                    Some(style) => terminal::styled(text, style),
                    None => clean(text).into_owned(),
                };
                // Not the bars' own `println`, which is silent once the bars are finished.
                let Bars { all, lines, .. } = bars;
                all.suspend(|| _ = writeln!(lines, "{text}"));
            }
            Output::Plain(_) => self.plain_line(text),
        }
    }

    /// Writes a line only where there are no bars.
    pub fn plain_line(&mut self, text: &str) {
        if let Output::Plain(out) = self {
            let text = clean_line(text);
            let time = jiff::Zoned::now().strftime("%H:%M:%S");
            // `baseline:` begins its line: scripts wait for it.
            let line =
                if text.starts_with("baseline:") { format!("{text} ({time})\n") } else { format!("{time} {text}\n") };
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
    }

    /// Takes the bars away; lines may follow.
    pub fn clear(&self) {
        if let Output::Terminal(bars) = self {
            bars.clear();
        }
    }
}
