//! The bars of a run at one moment, as text.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoresearch_core::{ExperimentId, State};
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

use super::Inner;
use super::board::Board;
use super::options::Options;
use super::output::{Bars, Output};
use crate::text::clean;

/// A trial that goes on.
pub struct Running<'a> {
    /// Number of its experiment.
    pub experiment: ExperimentId,
    /// Description of its experiment.
    pub description: &'a str,
    /// The last line of its output.
    pub line: &'a str,
}

/// Draws the bars of a run as a terminal of `columns` characters shows them, one text for each line.
pub fn bars(state: &State, options: &Options, elapsed: Duration, running: &Running<'_>, columns: u16) -> Vec<String> {
    let screen = Screen { columns, drawn: Arc::default() };
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
    let mut bars = Bars::new(options, MultiProgress::with_draw_target(target), Box::new(io::sink()));
    bars.set_elapsed(elapsed);
    let workers = options.workers.max(1);
    let board = Board::new(workers, options.ahead);
    let mut inner = Inner { out: Output::Terminal(bars), began: Instant::now(), board, workers };
    inner.staged(running.experiment, running.description);
    inner.running(running.experiment, Some(0));
    inner.progress(running.experiment, Some(0), running.line);
    inner.draw();
    inner.whole_run(state, options);
    screen.lines()
}

/// A terminal that remembers what was drawn last.
#[derive(Debug, Clone)]
struct Screen {
    columns: u16,
    drawn: Arc<Mutex<Drawn>>,
}

#[derive(Debug, Default)]
struct Drawn {
    /// Text since the last flush; bars are padded to whole lines.
    begun: String,
    whole: String,
}

impl Screen {
    fn lines(&self) -> Vec<String> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let characters: Vec<char> = drawn.whole.chars().collect();
        let lines = characters.chunks(usize::from(self.columns).max(1));
        lines.map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.columns
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        // Colours are the picture's own.
        drawn.begun.push_str(&clean(text));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = std::mem::take(&mut drawn.begun);
        if !begun.trim().is_empty() {
            drawn.whole = begun;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_are_those_of_a_terminal() {
        let state = crate::report::fixtures::example();
        let options = Options { metric: "val_bpb".into(), total: Some(6), workers: 1, ..Options::default() };
        let running =
            Running { experiment: ExperimentId(4), description: "LR up", line: "step 00420 (50.0%) | loss: 2.5" };
        let lines = bars(&state, &options, Duration::from_secs(300), &running, 100);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("run        ━━━━━━━━━━━━━━━") && lines[0].contains(" 3/6 5m val_bpb 1.400000, 1 kept"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("exp 004    ━") && lines[1].ends_with("─ step 00420 | loss: 2.5 | LR up"),
            "{lines:?}"
        );
    }
}
