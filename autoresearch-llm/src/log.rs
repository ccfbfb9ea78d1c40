//! The line of a training step, for people and for the lab, which reads it while a trial is in flight.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Lines come no faster: a log of every step of a fast run would be long.
const INTERVAL: Duration = Duration::from_millis(200);

/// The figures of one training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// From 0.
    pub number: u64,
    /// The share of the training time that is spent, from 0 to 1.
    pub progress: f64,
    /// The training loss in nats; what is shown is its running mean.
    pub loss: f64,
    /// Factor of the learning rates.
    pub lrm: f64,
    /// Time that the step took.
    pub duration: Duration,
    /// Tokens per second of this step.
    pub tokens_per_second: f64,
    /// Model FLOPs utilisation, see [`crate::device::mfu_percent`].
    pub mfu_percent: f64,
    /// Epoch of the data, from 1.
    pub epoch: u32,
    /// Training seconds left.
    pub remaining: f64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "step {:05} ({:.1}%) | loss: {:.6} | lrm: {:.2} | dt: {:.0}ms | tok/sec: {:.0} | mfu: {:.1}% | epoch: {} | remaining: {:.0}s    ",
            self.number,
            100.0 * self.progress,
            self.loss,
            self.lrm,
            1000.0 * self.duration.as_secs_f64(),
            self.tokens_per_second,
            self.mfu_percent,
            self.epoch,
            self.remaining,
        )
    }
}

/// Prints steps: a line that is written over on a terminal, else a few lines per second.
#[derive(Debug, Default)]
pub struct Log {
    smooth_loss: f64,
    shown: Option<Instant>,
}

impl Log {
    /// A step is done; the last one is always shown.
    ///
    /// # Errors
    ///
    /// The output is closed.
    pub fn step(&mut self, step: Step, last: bool) -> io::Result<()> {
        let smoothed = self.smoothed(&step);
        if !last && self.shown.is_some_and(|at| at.elapsed() <= INTERVAL) {
            return Ok(());
        }
        self.shown = Some(Instant::now());
        let mut out = io::stdout().lock();
        write!(out, "\r{}", Step { loss: smoothed, ..step })?;
        if last || !out.is_terminal() {
            writeln!(out)?;
        }
        out.flush()
    }

    /// The running mean, without its bias towards the zero that it began with.
    fn smoothed(&mut self, step: &Step) -> f64 {
        self.smooth_loss = 0.9 * self.smooth_loss + 0.1 * step.loss;
        self.smooth_loss / (1.0 - 0.9f64.powf(step.number as f64 + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: u64, loss: f64) -> Step {
        let duration = Duration::from_millis(130);
        let (tokens_per_second, mfu_percent) = (15123.4, 0.0);
        Step {
            number,
            progress: 0.034,
            loss,
            lrm: 1.0,
            duration,
            tokens_per_second,
            mfu_percent,
            epoch: 1,
            remaining: 58.2,
        }
    }

    #[test]
    fn a_step_is_a_line_in_karpathy_s_form() {
        let line = step(12, 5.123_456).to_string();
        let expected = "step 00012 (3.4%) | loss: 5.123456 | lrm: 1.00 | dt: 130ms | tok/sec: 15123 | mfu: 0.0% | epoch: 1 | remaining: 58s";
        assert_eq!(line.trim_end(), expected);
    }

    #[test]
    fn the_loss_is_a_mean_without_bias() {
        let mut log = Log::default();
        assert!((log.smoothed(&step(0, 4.0)) - 4.0).abs() < 1e-12, "the first is itself");
        assert!((log.smoothed(&step(1, 2.0)) - (0.09 * 4.0 + 0.1 * 2.0) / 0.19).abs() < 1e-12);
    }
}
