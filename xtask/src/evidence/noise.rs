//! The figures of decisions under noise: what luck is kept, and what is really better.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::ladder;
use crate::figure::{self, Line, Measure};
use crate::sh;

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("simulation-greedy", simulation_greedy),
    ("simulation-default", simulation_default),
    ("record-bias", record_bias),
    ("sequential-null", sequential_null),
    ("discrete-scores", discrete_scores),
    ("properties", properties),
    ("aa-run", aa_run),
    ("seed-only", seed_only),
    ("ladder", ladder::attack),
];

const CORE: &str = "autoresearch-core";
/// Runs of each cell.
const RUNS: &str = "500";
/// The published table rests on this number of runs of each cell, as far as its own spread tells.
const PUBLISHED_RUNS: f64 = 100.0;
/// Number of standard errors of both tables together that may lie between them.
const ERRORS: f64 = 3.0;
/// So much the share of false keeps and the record bias may differ.
const SHARE: f64 = 0.06;
const BIAS: f64 = 0.2;

/// A row of the published table: true gain, share of false keeps, record bias. Of runs in which nothing helps, instead of the
/// share the number of false keeps.
struct Published {
    row: &'static str,
    greedy: [f64; 3],
    default: [f64; 3],
}

const PUBLISHED: [Published; 3] = [
    Published { row: "15%-good,-mean-0.8", greedy: [20.2, 0.53, 2.25], default: [16.7, 0.19, 0.28] },
    Published { row: "5%-good,-mean-0.5", greedy: [1.07, 0.83, 2.86], default: [2.00, 0.59, 0.27] },
    Published { row: "2%-good,-mean-1.5", greedy: [7.25, 0.79, 2.55], default: [8.48, 0.47, 0.23] },
];
const NULL: (&str, f64, f64) = ("all-null", 6.1, 3.4);

/// The rows of the simulation in which nothing helps and scores take few values.
const DISCRETE: [&str; 3] =
    ["pass-rate-of-20-at-0.9,-all-null", "pass-rate-of-20-at-0.5,-all-null", "steps-of-0.01,-all-null"];

type Cells = BTreeMap<(String, String), Vec<String>>;

/// The simulation's cells, by row and rule. One simulation serves all figures.
fn simulated() -> Result<&'static Cells, String> {
    static CELLS: OnceLock<Result<Cells, String>> = OnceLock::new();
    let cells = CELLS.get_or_init(|| {
        let arguments =
            ["run", "--release", "--locked", "-q", "-p", CORE, "--example", "simulate", "--", "--runs", RUNS];
        let output = sh::output(sh::cargo().args(arguments))?;
        let table: Vec<&str> = output.lines().filter(|line| !line.starts_with("evidence")).collect();
        eprintln!("{}", table.join("\n"));
        let mut cells = Cells::new();
        for line in output.lines().filter_map(|line| line.strip_prefix("evidence simulation ")) {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            if let [_, row, _, rule, ..] = &words[..] {
                cells.insert((row.clone(), rule.clone()), words);
            }
        }
        Ok(cells)
    });
    cells.as_ref().map_err(Clone::clone)
}

fn cell(row: &str, rule: &str) -> Result<&'static Vec<String>, String> {
    let found = simulated()?.get(&(row.to_owned(), rule.to_owned()));
    found.ok_or_else(|| format!("the simulation has no row {row} of {rule}"))
}

/// Holds one rule against the published rows.
fn against(rule: &str, of: fn(&Published) -> [f64; 3], null: f64) -> Result<Line, String> {
    let wider = (1.0 + RUNS.parse::<f64>().unwrap_or(1.0) / PUBLISHED_RUNS).sqrt();
    let (mut fine, mut parts) = (true, Vec::new());
    for published in &PUBLISHED {
        let words = cell(published.row, rule)?;
        let number = |key| figure::number(words, key);
        let [gain, share, bias] = of(published);
        let errors = (number("gain")? - gain).abs() / (number("gain_error")? * wider);
        fine &= errors <= ERRORS;
        fine &= (number("share")? - share).abs() <= SHARE && (number("bias")? - bias).abs() <= BIAS;
        parts.push(format!(
            "{}: {:.2}/{:.2}/{:+.2} (published {gain}/{share}/{bias:+}, {errors:.1} errors)",
            published.row.replace('-', " "),
            number("gain")?,
            number("share")?,
            number("bias")?
        ));
    }
    let words = cell(NULL.0, rule)?;
    let (wrong, error) = (figure::number(words, "false")?, figure::number(words, "false_error")?);
    let errors = (wrong - null).abs() / (error * wider);
    fine &= errors <= ERRORS;
    parts.push(format!("all null: {wrong:.2} false keeps (published {null}, {errors:.1} errors)"));
    let bar = "within 3 standard errors, shares within 0.06, bias within 0.2 of the published rows";
    Ok(Line::Measured(fine, parts.join("; "), bar))
}

fn simulation_greedy() -> Result<Line, String> {
    against("greedy", |published| published.greedy, NULL.1)
}

fn simulation_default() -> Result<Line, String> {
    let line = against("default", |published| published.default, NULL.2)?;
    let mut wins = Vec::new();
    for published in &PUBLISHED {
        let gain = |rule| figure::number(cell(published.row, rule)?, "gain");
        if gain("greedy")? > gain("default")? {
            wins.push(published.row.replace('-', " "));
        }
    }
    Ok(match line {
        Line::Measured(fine, value, bar) => {
            Line::Measured(fine, format!("{value}; greedy gains more where {}", wins.join(" and ")), bar)
        }
        skip => skip,
    })
}

fn record_bias() -> Result<Line, String> {
    let rows = PUBLISHED.iter().map(|published| published.row).chain([NULL.0]);
    let mut worst: f64 = f64::NEG_INFINITY;
    for row in rows {
        for rule in ["default", "default,-end-known"] {
            worst = worst.max(figure::number(cell(row, rule)?, "bias")?);
        }
    }
    Ok(Line::Measured(worst < 0.3, format!("{worst:+.2} sigma at most, over all rows"), "under 0.3 sigma"))
}

fn sequential_null() -> Result<Line, String> {
    let words = cell(NULL.0, "sequential")?;
    let per_hundred = 100.0 * figure::number(words, "false")? / figure::number(words, "proposals")?;
    let value = format!("{per_hundred:.3} false keeps per 100 proposals without effect");
    Ok(Line::Measured(per_hundred < 1.0, value, "under 1.0"))
}

/// A figure of faults, too: the simulation that both read takes minutes.
pub(super) fn discrete_scores() -> Result<Line, String> {
    let (mut worst, mut parts): (f64, Vec<String>) = (0.0, Vec::new());
    for row in DISCRETE {
        for rule in ["default", "default,-end-known", "sequential"] {
            let share = figure::number(cell(row, rule)?, "in_hundred")?;
            worst = worst.max(share);
            parts.push(format!("{} {}: {share:.2}", row.replace('-', " "), rule.replace('-', " ")));
        }
    }
    let value = format!("at most {worst:.2} false keeps in 100 changes without effect ({})", parts.join("; "));
    Ok(Line::Measured(worst <= 1.0, value, "at most 1 in 100"))
}

fn properties() -> Result<Line, String> {
    let output = sh::output(sh::cargo().args([
        "test",
        "--locked",
        "-p",
        CORE,
        "--test",
        "suite",
        "--",
        "--nocapture",
        "noise::",
    ]))?;
    let (mut within, mut rates) = (true, Vec::new());
    for line in output.lines().filter_map(|line| line.split_once("evidence type-one ")) {
        let words: Vec<String> = line.1.split_whitespace().map(str::to_owned).collect();
        let (alpha, rate) = (figure::number(&words, "alpha")?, figure::number(&words, "rate")?);
        let trials = figure::number(&words, "trials")?;
        within &= rate <= alpha + ERRORS * (alpha * (1.0 - alpha) / trials).sqrt();
        rates.push(format!("{rate:.4} at {alpha}"));
    }
    let passed = output.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    let value =
        format!("all {passed} tests of order, zero, unit, replay and drift hold; luck is kept {}", rates.join(", "));
    Ok(Line::Measured(within && rates.len() == 6, value, "no violation; type-I rates within their level"))
}

fn aa_run() -> Result<Line, String> {
    let arguments =
        ["test", "--release", "--locked", "-p", CORE, "--test", "processes", "--", "--ignored", "--nocapture", "aa::"];
    let words = figure::words_after(&sh::output(sh::cargo().args(arguments))?, "aa-run")?;
    let number = |key| figure::number(&words, key);
    let (runs, proposals) = (number("runs")?, number("proposals")?);
    let (aware, worst, strict) = (number("default")?, number("worst")?, number("strict")?);
    let value = format!(
        "in {runs} runs of {proposals} comments in a timed program the default kept {aware}, at most {worst} in one \
         run; strict improvement {strict}"
    );
    let fine = proposals >= 40.0 && worst <= 1.0 && strict >= 2.0 * runs.min(2.0) && strict > 2.0 * aware;
    Ok(Line::Measured(fine, value, "at most 1 in a run by the default, several by strict improvement"))
}

fn seed_only() -> Result<Line, String> {
    let words = figure::printed("processes", "aa::", "seed-only")?;
    let number = |key| figure::number(&words, key);
    let (proposals, aware) = (number("proposals")?, number("default")?);
    let (sequential, strict) = (number("sequential")?, number("strict")?);
    let value = format!(
        "the default kept {aware}, sequential {sequential}, strict improvement {strict} of {proposals} changes of the seed"
    );
    Ok(Line::Measured(aware == 0.0 && sequential == 0.0 && strict > 0.0, value, "none is kept"))
}
