//! Decisions that strict improvement would not have made.

use std::fmt::Write as _;

use autoresearch_core::State;
use autoresearch_core::internal::results::deviations;

use super::line::cells;

/// The title of the list.
pub const TITLE: &str = "Decisions that strict improvement would not have made";

/// Lists these decisions; empty for most runs.
pub fn list(state: &State) -> String {
    let mut list = String::new();
    for deviation in deviations(state) {
        let [number, _, change, scores, _, verdict] = cells(state, deviation.experiment);
        let _ = writeln!(list, "- {number} {change}: {scores}, {verdict} ({})", deviation.strict);
    }
    list
}
