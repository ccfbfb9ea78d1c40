//! Text for people: no escape sequences, numbers with the digits that count.

mod clean;
mod number;
pub mod terminal;

pub use clean::{clean_line, clean_text};
pub use number::{significant, significant_change};
