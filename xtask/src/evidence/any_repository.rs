//! The figures of any repository in any language: what is read from the output of programs, which values are found as knobs,
//! which tables are imported, and repositories of other people from `init` to a decided change.

use crate::figure::{self, Line, Measure};
use crate::sh;

pub mod folder;
mod foreign;
mod newcomer;

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[
    ("metric-forms", || table(&["--test", "suite"], "forms::", "metric-forms", 80, "at least 80 forms, all")),
    ("tool-formats", || table(&["--test", "suite"], "tools::", "tool-formats", 15, "at least 15 formats, all")),
    ("metric-never-wrong", never_wrong),
    ("knob-forms", knob_forms),
    ("import-tables", || {
        table(&["--bin", "autoresearch"], "import::tests::", "import tables", 41, "at least 41 tables, all")
    }),
    ("mistakes", || table(&["--test", "suite"], "mistakes::", "mistakes", 30, "at least 30, all before a trial")),
    ("help", || {
        table(
            &["--test", "suite"],
            "reference::every_help",
            "help",
            15,
            "every command, at most 24 lines with an example",
        )
    }),
    ("karpathy-layout", karpathy_layout),
    ("first-baseline", newcomer::first_baseline),
    ("foreign-small", foreign::small),
    ("foreign", foreign::all),
];

/// A table that a test counts: it prints `NAME: RIGHT of ALL`.
fn table(target: &[&str], only: &str, name: &str, least: u32, bar: &'static str) -> Result<Line, String> {
    let output = test(target, only)?;
    let marker = format!("{name}: ");
    let said = output.lines().find_map(|line| Some(line.split_once(&marker)?.1));
    let said = said.ok_or_else(|| format!("the tests {only} printed no `{marker}`"))?;
    let mut words = said.split_whitespace();
    let mut number = || words.by_ref().find_map(|word| word.parse::<u32>().ok());
    let (Some(right), Some(all)) = (number(), number()) else { return Err(format!("`{marker}{said}` counts nothing")) };
    Ok(Line::Measured(right == all && all >= least, format!("{right} of {all}"), bar))
}

/// Random logs with decoys: the reader returns the printed number, or an error.
fn never_wrong() -> Result<Line, String> {
    let output = test(&["--test", "suite"], "never_wrong::")?;
    let count = figure::passed(&output);
    let value =
        format!("{count} properties over random logs with decoys hold: no number but the one printed for the name");
    Ok(Line::Measured(count > 0, value, "never another number"))
}

fn knob_forms() -> Result<Line, String> {
    let output = test(&["--lib"], "constants::corpus::")?;
    let words = figure::words_after(&output, "knob-forms")?;
    let number = |key| figure::number(&words, key);
    let (right, all, languages) = (number("right")?, number("of")?, number("languages")?);
    let value = format!("{right} of {all} lines in {languages} languages, byte for byte outside the value");
    Ok(Line::Measured(
        right == all && all >= 60.0 && languages >= 14.0,
        value,
        "at least 60 lines in 14 languages, all",
    ))
}

/// A repository in karpathy's layout, driven as it is by a script for an agent.
fn karpathy_layout() -> Result<Line, String> {
    let output = test(&["--test", "suite"], "karpathy")?;
    let count = figure::passed(&output);
    Ok(Line::Measured(
        count > 0,
        format!("{count} whole runs pass"),
        "from init to his table, no line of configuration by hand",
    ))
}

/// Runs the tests whose names have `only` in them.
fn test(target: &[&str], only: &str) -> Result<String, String> {
    sh::output(&mut crate::test::of(target, &["--nocapture", only])?)
}
