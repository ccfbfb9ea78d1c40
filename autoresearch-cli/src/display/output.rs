//! Where the display goes: bars on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Options;
use crate::terminal;

pub enum Output {
    Terminal(Bars),
    Plain(Box<dyn Write + Send>),
}

/// One bar for the night, one for each worker, and a line for what is prepared.
pub struct Bars {
    all: MultiProgress,
    night: ProgressBar,
    workers: Vec<ProgressBar>,
    ahead: Option<ProgressBar>,
    colour: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Style {
    Dim,
    Yellow,
    Green,
    Red,
}

impl Bars {
    pub fn new(options: &Options, all: MultiProgress) -> Bars {
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
        let night = add(
            options.total.unwrap_or(0) as u64,
            match (options.total, several) {
                (Some(_), false) => "night      {bar:30.green} {pos}/{len} {elapsed} {wide_msg}",
                (Some(_), true) => "night              {bar:20.green} {pos}/{len} {elapsed} {wide_msg}",
                (None, false) => "night      {pos} experiments {elapsed} {wide_msg}",
                (None, true) => "night              {pos} experiments {elapsed} {wide_msg}",
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
        Bars { all, night, workers, ahead, colour }
    }

    /// What a worker does, and how far it is, from 0 to 1.
    pub fn worker(&self, worker: usize, name: &str, message: &str, share: f64) {
        let Some(bar) = self.workers.get(worker) else { return };
        bar.set_prefix(match self.workers.len() {
            1 => name.to_owned(),
            _ => format!("worker {worker} {name}"),
        });
        bar.set_position((share * 1000.0) as u64);
        bar.set_message(message.to_owned());
    }

    /// What is prepared.
    pub fn ahead(&self, message: String) {
        if let Some(bar) = &self.ahead {
            bar.set_message(message);
        }
    }

    pub fn night(&self, finished: u64, message: String) {
        self.night.set_position(finished);
        self.night.set_message(message);
    }

    fn clear(&self) {
        let bars = self.workers.iter().chain(&self.ahead).chain([&self.night]);
        bars.for_each(ProgressBar::finish_and_clear);
    }
}

impl Output {
    /// A line that stays.
    pub fn line(&mut self, text: &str, style: Option<Style>) {
        match self {
            Output::Terminal(bars) => {
                let code = style.filter(|_| bars.colour).map(|style| match style {
                    Style::Dim => "2",
                    Style::Yellow => "33",
                    Style::Green => "1;32",
                    Style::Red => "31",
                });
                let text = code.map_or(text.to_owned(), |code| format!("\x1b[{code}m{text}\x1b[0m"));
                // Not the bars' own `println`, which is silent once the bars are finished.
                bars.all.suspend(|| terminal::err(&text));
            }
            Output::Plain(_) => self.plain_line(text),
        }
    }

    /// A line only where there are no bars.
    pub fn plain_line(&mut self, text: &str) {
        if let Output::Plain(out) = self {
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
