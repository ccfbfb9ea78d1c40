//! The figures of isolation: attempts of candidates without walls and behind them, honest work, and what the walls cost.

use super::durable_core;
use super::faults::held;
use crate::figure::{self, Line, Measure, number};

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("attempts", attempts),
    ("honest-work", || held::held(HONEST)),
    ("shown-attacks", || held::held(SHOWN)),
    ("hostile-lines", || held::held(LINES)),
    ("launch", launch),
    ("tokens", || not_built("tokens/s of the trainer behind walls")),
    ("soak", || not_built("ten minutes of a hostile mix")),
    ("trusted-number", || not_built("an evaluator out of the candidate's reach")),
    ("bundle", || not_built("a run in one file that others check")),
];

const HONEST: &[held::Held] = &[held::processes(&[
    "isolation::honest_work_goes_on_behind_walls",
    "isolation::a_crate_is_built_behind_walls_without_a_network",
    "isolation::the_local_executor_keeps_its_contract_behind_walls",
    "isolation::strict_isolation_runs_nothing_without_all_protections",
    "isolation::the_walls_hold_for_an_ordinary_user_too",
])];

const SHOWN: &[held::Held] = &[held::suite(&[
    "isolation::a_candidate_does_no_harm_behind_walls",
    "isolation::paths_that_are_named_are_open_and_no_others",
    "isolation::the_level_is_checked_and_told",
])];

const LINES: &[held::Held] = &[
    held::unit(&[
        "journal::tests::lines_of_somebody_else_cost_themselves_alone",
        "journal::tests::a_record_that_is_missing_is_no_line_of_somebody_else",
    ]),
    held::suite(&["verify::a_line_of_somebody_else_is_named_and_set_aside_with_a_copy"]),
];

fn attempts() -> Result<Line, String> {
    let words = figure::printed("processes", "isolation::what_a_candidate", "attempts")?;
    let number = |key| number(&words, key);
    let (tried, open, idle) = (number("tried")?, number("open")?, number("idle")?);
    let could = tried - idle;
    let value =
        format!("{open} of {could} attempts that succeed without walls succeed behind them ({tried} were tried)");
    Ok(Line::Measured(could >= 25.0 && open == 0.0, value, "none of 25"))
}

fn launch() -> Result<Line, String> {
    let text = durable_core::measured("launch")?;
    let millis = durable_core::before(&text, "ms")?;
    Ok(Line::Measured(millis.first().is_some_and(|millis| *millis <= 15.0), text, "15 ms"))
}

fn not_built(what: &str) -> Result<Line, String> {
    Ok(Line::Measured(false, format!("{what}: not built yet"), "built"))
}
