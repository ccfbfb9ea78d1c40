//! A question to the person at the terminal.

use std::io::BufRead;

use crate::error::CommandError;
use crate::text::terminal;

/// Asks a person. An empty answer takes what is proposed.
pub fn ask(question: &str, proposed: &str) -> Result<String, CommandError> {
    terminal::ask(format_args!("{question} [{proposed}]: "));
    let mut answer = String::new();
    let failed = |e| CommandError::Other(format!("the answer cannot be read: {e}; give --yes and flags instead"));
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    let answer = answer.trim();
    Ok(if answer.is_empty() { proposed.to_owned() } else { answer.to_owned() })
}
