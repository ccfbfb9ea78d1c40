//! Writes to the terminal. The reader may be gone (`autoresearch report | head`, a closed window): that ends no run.
//!
//! All text passes [`clean`], so that nothing that a candidate printed or a model wrote can command the terminal.

use std::fmt::Display;
use std::io::Write;

use super::clean;

/// A colour or weight of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Dim,
    Yellow,
    Green,
    Red,
}

/// Writes a line, or several, to standard output.
pub fn out(text: impl Display) {
    write(std::io::stdout(), &clean(&text.to_string()));
}

/// Writes a line, or several, to standard error.
pub fn err(text: impl Display) {
    write(std::io::stderr(), &clean(&text.to_string()));
}

/// Writes a line to standard error in a style.
pub fn err_styled(text: &str, style: Style) {
    let code = match style {
        Style::Dim => "2",
        Style::Yellow => "33",
        Style::Green => "1;32",
        Style::Red => "31",
    };
    write(std::io::stderr(), &format!("\x1b[{code}m{}\x1b[0m", clean(text)));
}

fn write(mut to: impl Write, text: &str) {
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let _ = to.write_all(format!("{text}{end}").as_bytes()).and_then(|()| to.flush());
}
