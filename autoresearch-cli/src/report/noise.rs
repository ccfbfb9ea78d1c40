//! The section of the report on certainty: the noise, the keeps by measurements that did not choose them, the machine's shifts.

use std::fmt::Write as _;

use autoresearch_core::State;
use autoresearch_core::internal::audit;
use autoresearch_core::internal::audit::Kept;

use super::line::escape_cell;
use crate::text::{signed, significant};

/// A keep that luck brings with more than this probability would not be kept today.
const ALPHA: f64 = 0.10;

/// Formats the section; empty while there is nothing to say.
pub fn section(state: &State) -> String {
    let kept = audit::keeps(state);
    let noise = audit::noise(state);
    let mut text = String::new();
    match noise.sigma() {
        Some(0.0) => text.push_str("Trials of the same code agree to the last bit: there is no noise.\n"),
        Some(sigma) => {
            let _ = writeln!(
                text,
                "One trial differs from another of the same code by {} (standard deviation, from {} differences).",
                significant(sigma),
                noise.degrees()
            );
        }
        None if kept.is_empty() => {}
        None => text.push_str(
            "Each change was measured once: gains as small as the difference between two trials of the same code may be luck. \
             `autoresearch audit` measures the kept ones again and says which are real.\n",
        ),
    }
    if let Some(expected) = audit::expected_false_keeps(state).filter(|_| !text.is_empty()) {
        let _ = writeln!(
            text,
            "{} candidates were tested; had none of them any effect, about {expected:.1} would have been kept.",
            state.tested
        );
    }
    if !kept.is_empty() && noise.sigma().is_some_and(|sigma| sigma > 0.0) {
        text.push_str(
            "\n| keep | change | gain when chosen | gain since | of trials | luck |\n|---|---|---|---|---|---|\n",
        );
        for keep in &kept {
            let change = escape_cell(&keep.experiment.description);
            let (id, since) = (keep.experiment.id, since(keep));
            let (new, old) = keep.measured;
            let luck = keep.chance.map_or("?".into(), chance);
            let _ = writeln!(
                text,
                "| {id:03} | {change} | {} | {since} | {new} and {old} | {luck} |",
                signed(keep.chosen_gain)
            );
        }
        let doubtful: Vec<String> = kept
            .iter()
            .filter(|keep| keep.doubtful(ALPHA) == Some(true))
            .map(|keep| format!("{:03}", keep.experiment.id))
            .collect();
        if !doubtful.is_empty() {
            let _ = writeln!(
                text,
                "\nWould not be kept today (luck brings such a gain more than once in ten): {}. \
                 `autoresearch audit` measures the keeps again.",
                doubtful.join(", ")
            );
        }
    }
    for shift in &state.shifts {
        let _ = writeln!(
            text,
            "\nThe machine shifted about experiment {:03}: the same code gave scores {} from then on. Only scores from \
             after it were compared with later ones.",
            shift.experiment,
            signed(shift.by)
        );
    }
    text
}

/// The gain by trials that did not choose the candidate.
fn since(keep: &Kept<'_>) -> String {
    match (keep.by_selection, keep.error) {
        (true, _) => "not measured again".into(),
        (false, Some(error)) => format!("{} ± {}", signed(keep.gain), significant(error)),
        (false, None) => signed(keep.gain),
    }
}

fn chance(chance: f64) -> String {
    if chance < 0.001 { "< 0.1 %".into() } else { format!("{:.1} %", 100.0 * chance) }
}
