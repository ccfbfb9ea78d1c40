//! Writing to the terminal. Who reads may be gone (`autoresearch report | head`, a closed window): that ends no night.

use std::fmt::Display;
use std::io::Write;

/// A line, or several, on standard output.
pub fn out(text: impl Display) {
    write(std::io::stdout(), text);
}

/// A line, or several, on standard error.
pub fn err(text: impl Display) {
    write(std::io::stderr(), text);
}

fn write(mut to: impl Write, text: impl Display) {
    let text = text.to_string();
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let _ = to.write_all(format!("{text}{end}").as_bytes()).and_then(|()| to.flush());
}
