//! How fast a training program is, by the lines that it prints for its steps and the reader's own clock.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::sh;

/// Steps before the steady state; torch.compile compiles during the first ones.
const WARM: u64 = 10;
/// torch.compile takes minutes to its first step on a small machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Where a program is stopped.
#[derive(Clone, Copy)]
pub enum Until {
    /// So long after its step [`WARM`].
    Steady(Duration),
    /// So long after its start.
    After(Duration),
}

/// The middle one of an odd number of values.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Tokens per second in steady state, or the tokens trained on until then, at `tokens` a step. What the program says on its
/// standard error goes to the file `log`.
pub fn run(command: Command, until: Until, tokens: f64, log: &Path) -> Result<f64, String> {
    let (shown, began) = (sh::shown(&command), Instant::now());
    let (mut child, lines) = start(command, log)?;
    let (mut first, mut last) = (None, None);
    let mut end = if let Until::After(end) = until { end } else { PATIENCE };
    // A program whose output has ended has ended itself, even where it cannot be waited for yet.
    let mut alive = true;
    loop {
        let (line, at) = match lines.recv_timeout(end.saturating_sub(began.elapsed())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => {
                alive = false;
                break;
            }
        };
        let Some(step) = step_of(&line) else { continue };
        let at = at - began;
        if at > end {
            break;
        }
        last = Some((step, at));
        if first.is_none() && step >= WARM {
            first = last;
            end = if let Until::Steady(measured) = until { at + measured } else { end };
        }
    }
    let waited = began.elapsed().as_secs();
    let _ = child.kill();
    let _ = child.wait();
    if !alive {
        return Err(ended(&shown, log));
    }
    match (until, first, last) {
        // Steps count from 0.
        (Until::After(_), _, last) => Ok(last.map_or(0.0, |(step, _)| (step + 1) as f64 * tokens)),
        (Until::Steady(_), Some((from, at)), Some((to, then))) if to > from => {
            Ok((to - from) as f64 * tokens / (then - at).as_secs_f64())
        }
        _ => Err(format!("`{shown}` made no two steps after its first {WARM} in {waited} s")),
    }
}

/// Runs a program to its own end: tokens per second in steady state, and all that it printed.
pub fn to_the_end(command: Command, tokens: f64, log: &Path) -> Result<(f64, String), String> {
    let (shown, began) = (sh::shown(&command), Instant::now());
    let (mut child, lines) = start(command, log)?;
    let (mut first, mut last, mut output) = (None, None, String::new());
    loop {
        match lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            Ok((line, at)) => {
                if let Some(step) = step_of(&line) {
                    last = Some((step, at));
                    first = first.or(last.filter(|(step, _)| *step >= WARM));
                }
                output += &(line + "\n");
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("`{shown}` did not end in {} s", PATIENCE.as_secs()));
            }
        }
    }
    if !child.wait().is_ok_and(|status| status.success()) {
        return Err(format!("{}\n{output}", ended(&shown, log)));
    }
    match (first, last) {
        (Some((from, at)), Some((to, then))) if to > from => {
            Ok(((to - from) as f64 * tokens / (then - at).as_secs_f64(), output))
        }
        _ => Err(format!("`{shown}` did hardly a step:\n{output}")),
    }
}

fn ended(shown: &str, log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    // A Python program ends with its error, which may go on for pages.
    let lines: Vec<&str> = said.lines().collect();
    let last = lines.iter().rposition(|line| line.contains("Error: ")).unwrap_or(lines.len().saturating_sub(15));
    format!("`{shown}` ended by itself: {}", lines[last..].iter().take(15).copied().collect::<Vec<_>>().join("\n"))
}

type Lines = Receiver<(String, Instant)>;

/// Lines come through a channel, so that a silent program is stopped in time as well.
fn start(mut command: Command, log: &Path) -> Result<(Child, Lines), String> {
    let shown = sh::shown(&command);
    let file = fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
    let mut child = command.spawn().map_err(|e| format!("`{shown}`: {e}"))?;
    let output = child.stdout.take().ok_or("no output")?;
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if send.send((line, Instant::now())).is_err() {
                break;
            }
        }
    });
    Ok((child, lines))
}

/// The number of a line like `step 00012 (3.4%) | loss: 5.1`.
fn step_of(line: &str) -> Option<u64> {
    line.trim_start().strip_prefix("step ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn steps_are_counted_from_the_lines() {
        let log = std::env::temp_dir().join(format!("autoresearch-pace-{}", std::process::id()));
        let counting = "for i in $(seq 0 14); do printf '\\rstep %05d (1%%) | loss: 1\\n' $i; sleep 0.02; done";
        let (speed, output) = to_the_end(shell(&format!("{counting}; echo done")), 10.0, &log).unwrap();
        // Four steps of ten tokens after the warm-up, in no less time than they slept.
        assert!(speed > 0.0 && speed <= 10.0 / 0.02, "{speed}");
        assert!(output.ends_with("done\n"), "{output}");
        let hangs = format!("{counting}; sleep 60");
        let speed = run(shell(&hangs), Until::Steady(Duration::from_millis(300)), 10.0, &log).unwrap();
        assert!(speed > 0.0 && speed <= 10.0 / 0.02, "{speed}");
        let tokens = run(shell(&hangs), Until::After(Duration::from_millis(900)), 10.0, &log).unwrap();
        assert_eq!(tokens, 150.0);
        assert!(to_the_end(shell("echo no >&2; exit 3"), 10.0, &log).unwrap_err().contains("ended by itself: no"));
        assert!(run(shell("exit 0"), Until::After(Duration::from_secs(60)), 10.0, &log).is_err());
        let _ = fs::remove_file(&log);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}
