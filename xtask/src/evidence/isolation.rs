//! The figures of isolation: attempts of candidates without walls and behind them, honest work, and what the walls cost.

use super::faults::held;
use super::walls::tokens;
use super::{durable_core, strict};
use crate::figure::{self, Line, Measure, number};
use crate::sh;

mod bundle;

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("attempts", attempts),
    ("honest-work", || held::held(HONEST)),
    ("layouts", layouts),
    ("containers", containers),
    ("shown-attacks", || held::held(SHOWN)),
    ("hostile-lines", || held::held(LINES)),
    ("launch", launch),
    ("tokens", tokens),
    ("soak", soak),
    ("trusted-number", trusted_number),
    ("evaluation", || held::held(EVALUATION)),
    ("strict", strict::tricks),
    ("strict-cost", strict::cost),
    ("bundle", bundle::bundle),
];

const HONEST: &[held::Held] = &[held::processes(&[
    "isolation::honest_work_goes_on_behind_walls",
    "isolation::a_crate_is_built_behind_walls_without_a_network",
    "isolation::the_local_executor_keeps_its_contract_behind_walls",
    "isolation::strict_isolation_runs_nothing_without_all_protections",
    "isolation::a_program_ends_behind_walls_as_it_does_without",
    "isolation::orphans_are_reaped_and_only_processes_of_its_own_are_seen",
    "isolation::each_candidate_builds_in_what_the_baseline_left",
    "isolation::the_walls_hold_for_an_ordinary_user_too",
    "kill::nothing_survives_a_timeout",
    "kill::nothing_survives_the_lab",
])];

const SHOWN: &[held::Held] = &[held::suite(&[
    "isolation::a_candidate_does_no_harm_behind_walls",
    "isolation::paths_that_are_named_are_open_and_no_others",
    "isolation::the_level_is_checked_and_told",
])];

const EVALUATION: &[held::Held] = &[
    held::processes(&[
        "evaluation::a_number_is_measured_over_what_the_run_left",
        "evaluation::a_failed_evaluation_is_a_crash_of_the_candidate_and_one_that_cannot_start_is_ours",
        "evaluation::the_scores_of_items_are_the_evaluations_too",
        "evaluation::behind_walls_the_evaluation_alone_reads_its_data",
    ]),
    held::suite(&[
        "evaluate::a_candidate_is_kept_for_what_it_left_and_not_for_what_it_prints",
        "evaluate::data_that_a_candidate_changes_ends_the_run_until_it_is_put_back",
        "evaluate::a_run_that_leaves_nothing_to_evaluate_is_told_with_the_key",
        "evaluate::the_holdout_is_measured_by_the_evaluation_alone",
        "evaluate::the_report_says_that_candidates_print_the_number_where_they_do",
        "evaluate::what_does_not_go_together_is_told_before_anything_runs",
    ]),
];

const LINES: &[held::Held] = &[
    held::unit(&[
        "journal::tests::lines_of_somebody_else_cost_themselves_alone",
        "journal::tests::a_record_that_is_missing_is_no_line_of_somebody_else",
    ]),
    held::suite(&["verify::a_line_of_somebody_else_is_named_and_set_aside_with_a_copy"]),
];

/// Attempts that succeed without walls, at least: root has 89 on an ordinary Linux, another user 73, who may not try the others. A few are
/// less where a program is missing; many less, and the figure would say nothing.
const ATTEMPTS: f64 = 70.0;

fn attempts() -> Result<Line, String> {
    let words = figure::printed("processes", "isolation::what_a_candidate", "attempts")?;
    let number = |key| number(&words, key);
    let (tried, open, idle) = (number("tried")?, number("open")?, number("idle")?);
    let could = tried - idle;
    let value =
        format!("{open} of {could} attempts that succeed without walls succeed behind them ({tried} were tried)");
    Ok(Line::Measured(could >= ATTEMPTS && open == 0.0, value, "none of 70"))
}

/// The layouts that `init` sets up, each run behind the walls that it writes.
fn layouts() -> Result<Line, String> {
    let words = figure::printed("suite", "layouts::each_layout_that_init_writes", "layouts")?;
    let (tried, known) = (number(&words, "tried")?, number(&words, "known")?);
    let value = format!(
        "{tried} of {known} layouts run behind the walls that init writes; of the others the program is missing"
    );
    Ok(Line::Measured(tried >= 4.0, value, "all whose program is there, 4 at least"))
}

/// The executors' contract and a candidate's attempts in containers, by the real podman.
fn containers() -> Result<Line, String> {
    let mut test = crate::test::of(&["--test", "processes"], &["--nocapture", "container::"])?;
    let output = sh::output(&mut test)?;
    match output.lines().find_map(|line| line.split_once("skipped: ")) {
        Some((_, why)) => Ok(Line::Skip(why.to_owned())),
        None => Ok(Line::Measured(true, format!("{} tests hold with podman", figure::passed(&output)), "all")),
    }
}

fn trusted_number() -> Result<Line, String> {
    let words = figure::printed("processes", "evaluation::no_candidate", "cheats")?;
    let (tried, counted, printed) = (number(&words, "tried")?, number(&words, "counted")?, number(&words, "printed")?);
    let value =
        format!("{counted} of {tried} cheats count under an evaluation, {printed} where the run prints its number");
    Ok(Line::Measured(tried >= 10.0 && counted == 0.0 && printed >= 9.0, value, "none of 10, which count without"))
}

fn launch() -> Result<Line, String> {
    let text = durable_core::measured("launch")?;
    let millis = durable_core::before(&text, "ms")?;
    Ok(Line::Measured(millis.first().is_some_and(|millis| *millis <= 15.0), text, "15 ms"))
}

/// Seconds of the hostile mix; a variable of this name gives another number.
const SOAK_SECONDS: (&str, &str) = ("SOAK_SECONDS", "600");

fn soak() -> Result<Line, String> {
    let mut test = crate::test::of(&["--test", "processes"], &["--nocapture", "--ignored", "soak::"])?;
    let (name, usual) = SOAK_SECONDS;
    let seconds = std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let words = figure::words_after(&sh::output(test.env(name, &seconds))?, "soak")?;
    let number = |key| number(&words, key);
    let (seconds, hostile, honest) = (number("seconds")?, number("hostile")?, number("honest")?);
    let (wrong, unsound, processes) = (number("wrong")?, number("unsound")?, number("processes")?);
    let (files, left) = (number("files")?, number("left_mb")?);
    let value = format!(
        "after {seconds} s with {hostile} hostile and {honest} honest candidates: {wrong} wrong scores, {unsound} faults of the \
         journal or the lab, {processes} processes, {files} files outside and {left} MB in the slots are left"
    );
    let is_clean = [wrong, unsound, processes, files].iter().all(|count| *count == 0.0) && left <= 1.0;
    let is_long = seconds >= 600.0 && hostile >= 100.0 && honest >= 100.0;
    Ok(Line::Measured(is_clean && is_long, value, "none after 600 s with 100 of each"))
}
