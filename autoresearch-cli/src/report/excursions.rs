//! The section of the report on excursions.

use std::fmt::Write as _;

use autoresearch_core::{ExperimentId, State};

use crate::text::{clean_line, count};

/// Formats one line for each excursion, also for one that goes on; empty where there was none.
pub fn excursions(state: &State) -> String {
    let named = |ids: &[ExperimentId]| {
        let of = |id: &ExperimentId| state.experiment(*id).map(|e| format!("{id:03} {}", clean_line(&e.description)));
        ids.iter().filter_map(of).collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    for excursion in &state.excursions {
        let sacrifices = named(&excursion.sacrifices);
        let _ = match excursion.kept {
            true => writeln!(text, "- over {sacrifices}: kept as {}", named(&[excursion.last])),
            false => writeln!(
                text,
                "- over {sacrifices}: dropped after {} on it",
                count(excursion.tried as usize, "experiment")
            ),
        };
    }
    if let Some(line) = &state.side_line {
        let sacrifices = named(&line.sacrifices);
        let _ =
            writeln!(text, "- over {sacrifices}: goes on, after {} on it", count(line.tried as usize, "experiment"));
    }
    text
}
