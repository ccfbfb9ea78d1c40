//! From the end of a command to the outcome of an experiment.

use super::ending::{Ending, Finished, describe};
use super::log::log_tail;
use crate::sandbox::{Outcome, RunLog, SandboxError};
use crate::text::one_line;

/// Length to which the line of the log that says why is cut, in characters.
const TELLING_LINE: usize = 160;

/// Turns the end of a command into the outcome of the trial that it belongs to. `who` begins the sentence: "the build", "the run".
///
/// The log's tail is read from `log.path`, if it has one.
pub fn outcome(finished: &Finished, who: &str, mut log: RunLog) -> Result<Outcome, SandboxError> {
    if let Some(path) = &log.path {
        log.tail = log_tail(path).map_err(|e| SandboxError::io(format!("reading {}", path.display()), e))?;
    }
    let Some(how) = describe(finished.ending) else { return Ok(Outcome::Completed(log)) };
    Ok(match finished.ending {
        Ending::Limit => Outcome::TimedOut { log },
        Ending::OutOfMemory => Outcome::OutOfMemory { log },
        Ending::Exit(_) if says_out_of_memory(&log.tail) => Outcome::OutOfMemory { log },
        Ending::Exit(_) => Outcome::Crashed { message: crash_message(&format!("{who} {how}"), &log.tail), log },
    })
}

/// Tells whether the last lines are the words with which programs give up for want of memory: CUDA's, Rust's, C++'s, Python's
/// and the C library's.
fn says_out_of_memory(tail: &str) -> bool {
    const WORDS: [&str; 6] = [
        "out of memory",
        "memory allocation of",
        "bad_alloc",
        "memoryerror",
        "cannot allocate memory",
        "can't allocate memory",
    ];
    let lines = tail.lines().rev().filter(|line| !line.trim().is_empty()).take(20);
    lines.map(str::to_ascii_lowercase).any(|line| WORDS.iter().any(|words| line.contains(words)))
}

/// Describes the end, with the line of the log that most likely says why.
fn crash_message(message: &str, tail: &str) -> String {
    let lines = || tail.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = |line: &&str| {
        line.starts_with("error") || ["panicked at", "Error:", "error:"].iter().any(|word| line.contains(word))
    };
    let line = lines().find(telling).or_else(|| lines().next_back());
    line.map_or(message.to_owned(), |line| format!("{message}: {}", one_line(line, TELLING_LINE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_nothing_that_a_terminal_would_obey() {
        let tail = "starts\nerror: \u{1b}[2Jno\u{1b}[31m file\0 \u{202e}x\tend\nends\n";
        assert_eq!(crash_message("the run failed", tail), "the run failed: error: no file x end");
    }
}
