//! Writes to the terminal. The reader may be gone (`autoresearch report | head`, a closed window): that ends no run.
//!
//! All text but that of a file or a pipe ([`raw`]) passes [`clean`], so that nothing that a candidate printed or a model wrote can command the terminal.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::clean;

/// A colour or weight of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Dim,
    Yellow,
    Green,
    Red,
}

/// True if only results and errors are written.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves out notes from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// True if notes are left out.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// True if standard output may have colours: it is a terminal, and `NO_COLOR` is not set.
pub fn has_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a line, or several, to standard output, beside the result: not under `--quiet`.
pub fn note(text: impl Display) {
    if !is_quiet() {
        out(text);
    }
}

/// Writes a line to standard output in a style, where colours are shown.
pub fn out_styled(text: &str, style: Option<Style>) {
    match style.filter(|_| has_colour()) {
        Some(style) => write(std::io::stdout(), &styled(text, style)),
        None => out(text),
    }
}

/// Clears the screen, if standard output is one. Returns false if it is none.
pub fn clear() -> bool {
    let is_terminal = std::io::stdout().is_terminal();
    if is_terminal {
        write(std::io::stdout(), "\x1b[H\x1b[2J\x1b[3J");
    }
    is_terminal
}

/// Writes a line, or several, to standard output.
pub fn out(text: impl Display) {
    write(std::io::stdout(), &clean(&text.to_string()));
}

/// Writes bytes as they are to standard output. The error says that it did not take them all; a reader that is gone has seen what it
/// wanted.
pub fn raw(bytes: &[u8]) -> Result<(), String> {
    let mut to = std::io::stdout();
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Writes a question to standard output; the answer follows on the same line.
pub fn ask(question: impl Display) {
    let mut to = std::io::stdout();
    let _ = to.write_all(clean(&question.to_string()).as_bytes()).and_then(|()| to.flush());
}

/// Writes a line, or several, to standard error.
pub fn err(text: impl Display) {
    write(std::io::stderr(), &clean(&text.to_string()));
}

/// Formats a line in a style.
pub fn styled(text: &str, style: Style) -> String {
    let code = match style {
        Style::Dim => "2",
        Style::Yellow => "33",
        Style::Green => "1;32",
        Style::Red => "31",
    };
    format!("\x1b[{code}m{}\x1b[0m", clean(text))
}

fn write(mut to: impl Write, text: &str) {
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let _ = to.write_all(format!("{text}{end}").as_bytes()).and_then(|()| to.flush());
}
