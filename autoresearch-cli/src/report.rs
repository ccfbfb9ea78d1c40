//! The report of a run: what was tried, what was kept, and what it cost.

mod cost;
mod designs;
mod deviations;
mod excursions;
mod front;
mod holdout;
mod line;
mod markdown;
mod noise;
mod screening;
mod totals;
mod transfer;
mod workers;

#[cfg(test)]
pub mod fixtures;

use autoresearch_core::State;
use autoresearch_core::internal::import::is_imported;

pub use line::{duration, gain, line, source, took};
pub use markdown::markdown;
pub use noise::section as noise;
pub use totals::{scores, summary, time_spent, totals};
pub use transfer::{description, run_gain, section as transfer, transferred, transfers, whole_gain};
pub use workers::terminal as workers;

/// Formats the report for a terminal.
pub fn terminal(state: &State) -> String {
    let lines: String = line::rows(state).map(|cells| line::join(cells) + "\n").collect();
    let section = |text: String| if text.is_empty() { text } else { format!("\n{text}") };
    let titled = |title: &str, list: String| if list.is_empty() { list } else { format!("\n{title}:\n{list}") };
    let noise = if is_imported(state) { String::new() } else { noise(state) };
    [
        lines,
        titled(deviations::TITLE, deviations::list(state)),
        titled("Excursions", excursions::excursions(state)),
        titled(front::TITLE, front::list(state)),
        section(noise),
        section(designs::designs(state)),
        "\n".to_owned(),
        cost::terminal(state),
        summary(state),
        totals::machines(state),
        section(holdout::section(state)),
    ]
    .concat()
}

#[cfg(test)]
mod tests;
