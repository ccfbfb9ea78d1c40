//! Text for people: no escape sequences, numbers with the digits that count.

pub mod terminal;

use std::time::SystemTime;

use autoresearch_core::internal::journal::Moment;
pub use autoresearch_core::internal::metric::{signed, significant};
pub use autoresearch_core::internal::text::{clean, one_line};

/// Formats a moment in the time zone of this machine. One that no calendar has is shown as the journal has it.
pub fn local_time(moment: Moment, format: &str) -> String {
    match jiff::Zoned::try_from(SystemTime::from(moment)) {
        Ok(zoned) => zoned.strftime(format).to_string(),
        Err(_) => moment.to_string(),
    }
}

/// Formats a number of things: `1 experiment`, `2 experiments`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Returns `text` as one line of any length, cleaned.
pub fn clean_line(text: &str) -> String {
    one_line(text, usize::MAX)
}
