//! The figures of faults: for each kind of fault that was found once the tests that hold its mend, and what whole runs show.
//!
//! The kinds are those of docs/decisions/0011-faults.md, which says what happened and where it was mended.

use super::noise;
use crate::figure::{self, Line, Measure, number};

pub(super) mod held;
mod search;
mod surroundings;

use held::held;

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("A1-candidate-s-own-fault", || held(search::A1)),
    ("A2-journal-reads-back", || held(search::A2)),
    ("A3-losses-are-deaths", || held(search::A3)),
    ("B4-bounded-spending", || held(search::B4)),
    ("B5-one-conversation", || held(search::B5)),
    ("C6-discrete-scores", || held(search::C6)),
    ("C7-wrong-numbers", || held(search::C7)),
    ("C8-promised-level", || held(search::C8)),
    ("C9-limits-and-clocks", || held(search::C9)),
    ("D10-branches", || held(search::D10)),
    ("D11-nothing-bound-too-early", || held(search::D11)),
    ("D12-odd-repositories", || held(search::D12)),
    ("D13-odd-paths", || held(search::D13)),
    ("E14-agents-files", || held(surroundings::E14)),
    ("E15-keys", || held(surroundings::E15)),
    ("E16-variables", || held(surroundings::E16)),
    ("E16b-every-proposal-recorded", || held(surroundings::E16B)),
    ("F17-clean-text", || held(surroundings::F17)),
    ("F18-early-errors", || held(surroundings::F18)),
    ("F19-right-messages", || held(surroundings::F19)),
    ("F20-safe-settings", || held(surroundings::F20)),
    ("hostile-runs", hostile_runs),
    ("discrete-scores", noise::discrete_scores),
    ("quantised-noise", quantised_noise),
    ("spend-cap", spend_cap),
];

/// Number of whole runs.
const RUNS: f64 = 2000.0;

fn hostile_runs() -> Result<Line, String> {
    let words = figure::printed("processes", "hostile_runs::", "hostile-runs")?;
    let number = |key| number(&words, key);
    let (runs, errors, blocked, unsound) = (number("runs")?, number("errors")?, number("blocked")?, number("unsound")?);
    let value =
        format!("{runs} runs: {errors} ended in an error, {blocked} blocked a restart, {unsound} are not sound");
    let fine = runs >= RUNS && errors + blocked + unsound == 0.0;
    Ok(Line::Measured(fine, value, "2,000 runs, none"))
}

fn quantised_noise() -> Result<Line, String> {
    let words = figure::printed("processes", "quantised::", "quantised-noise")?;
    let number = |key| number(&words, key);
    let (runs, proposals) = (number("runs")?, number("proposals")?);
    let (kept, on_one_trial) = (number("kept")?, number("on_one_trial")?);
    let value =
        format!("{kept} of {proposals} changes of a comment kept in {runs} runs, {on_one_trial} of them on one trial");
    let fine = runs >= 8.0 && kept * 100.0 <= proposals && on_one_trial == 0.0;
    Ok(Line::Measured(fine, value, "8 runs, at most 1 in 100, none on one trial"))
}

fn spend_cap() -> Result<Line, String> {
    let words = figure::printed("suite", "spending::", "spend-cap")?;
    let number = |key| number(&words, key);
    let (scenarios, beyond, in_a_row) = (number("scenarios")?, number("calls_beyond_cap")?, number("in_a_row")?);
    let value = format!(
        "{scenarios} scenarios: at most {beyond} calls beyond the cap, at most {in_a_row} rejected proposals in a row \
         without an end or a wait"
    );
    Ok(Line::Measured(scenarios > 0.0 && beyond <= 1.0 && in_a_row <= 20.0, value, "1 call, 20 proposals"))
}
