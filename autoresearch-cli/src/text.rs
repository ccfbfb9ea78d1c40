//! Text for people: no escape sequences, numbers with the digits that count.

pub mod terminal;

pub use autoresearch_core::internal::metric::{signed, significant};
pub use autoresearch_core::internal::text::{clean, one_line};

/// Returns `text` as one line of any length, cleaned.
pub fn clean_line(text: &str) -> String {
    one_line(text, usize::MAX)
}
