//! The figures of the durable core: a ratchet that can be trusted, and what it costs beside the experiments.

use std::path::Path;
use std::process::Command;

use super::mutants;
use crate::figure::{self, Line, Measure};
use crate::{places, setup, sh};

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[
    ("recorded-lineage", recorded_lineage),
    ("lab-overhead", lab_overhead),
    ("memory-flat", memory_flat),
    ("git-overhead", git_overhead),
    ("optuna-ratio", optuna_ratio),
    ("kill-suite", kill_suite),
    ("state-machine", state_machine),
    ("write-order", write_order),
    ("crash-points", crash_points),
    ("kill-loop", kill_loop),
    ("mutations", mutants::mutations),
];

/// The program that the lab is compared with.
const OPTUNA: &str = "5.0.0";
/// Number of repeats; odd, so that there is a median.
const ROUNDS: usize = 5;

fn recorded_lineage() -> Result<Line, String> {
    let words = figure::printed("suite", "lineage::the_lab_decides", "recorded-lineage")?;
    let number = |key| figure::number(&words, key);
    let (rows, other, last) = (number("rows")?, number("decided_otherwise")?, number("final")?);
    let value = format!(
        "{other} of {rows} decided otherwise ({} keeps, {} discards, {} crash), final {last}; strict improvement \
         deviates in row {}",
        number("keeps")?,
        number("discards")?,
        number("crashes")?,
        number("strict_row")?
    );
    Ok(Line::Measured(other == 0.0 && last == 0.969686 && rows == 126.0, value, "0 of 126, final 0.969686"))
}

fn kill_suite() -> Result<Line, String> {
    let words = figure::printed("processes", "kill::nothing_survives_a_timeout", "kill-timeout")?;
    let (cases, survivors) = (figure::number(&words, "cases")?, figure::number(&words, "survivors")?);
    let late = figure::number(&words, "worst_ms")?;
    let value = format!("{survivors} survivors of {cases} kinds of children, at most {late} ms after the grace period");
    Ok(Line::Measured(survivors == 0.0 && cases >= 5.0 && late <= 2000.0, value, "0 within 2000 ms"))
}

fn state_machine() -> Result<Line, String> {
    let words = figure::printed("suite", "semantics::no_history", "state-machine")?;
    let (steps, violations) = (figure::number(&words, "transitions")?, figure::number(&words, "violations")?);
    let value = format!("{violations} violations in {steps} transitions");
    Ok(Line::Measured(violations == 0.0 && steps >= 100_000.0, value, "0 in at least 100000"))
}

fn write_order() -> Result<Line, String> {
    let words = figure::printed("processes", "git_s_files", "write-order")?;
    let (files, violations) = (figure::number(&words, "files")?, figure::number(&words, "violations")?);
    let value = format!("{violations} of {files} of git's files were not durable when the journal named them");
    Ok(Line::Measured(violations == 0.0 && files >= 10.0, value, "0"))
}

fn crash_points() -> Result<Line, String> {
    let words = figure::printed("processes", "crash::every_write_boundary", "crash-points")?;
    let number = |key| figure::number(&words, key);
    let (points, pairs, violations) = (number("points")?, number("pairs")?, number("violations")?);
    let value = format!("{violations} violations at {points} write boundaries and {pairs} more inside recovery");
    Ok(Line::Measured(violations == 0.0 && points > 50.0 && pairs > 100.0, value, "0"))
}

fn kill_loop() -> Result<Line, String> {
    let words = figure::printed("processes", "crash::random_kills", "kill-loop")?;
    let number = |key| figure::number(&words, key);
    let (kills, lost) = (number("kills")?, number("lost")?);
    let (runs, equal) = (number("runs")?, number("equal")?);
    let value = format!("{lost} records lost by {kills} kills, {equal} of {runs} runs end at the same commit");
    Ok(Line::Measured(kills >= 200.0 && lost == 0.0 && equal == runs, value, "0 by at least 200, all"))
}

/// Runs the core's example `measure` and returns its output.
pub fn measured(what: &str) -> Result<String, String> {
    Ok(sh::output(&mut measure(what))?.trim().to_owned())
}

/// The core's example `measure`.
pub fn measure(what: &str) -> Command {
    let mut cargo = sh::cargo();
    cargo.args(["run", "--locked", "-q", "--release", "-p", "autoresearch-core", "--example", "measure", "--", what]);
    cargo
}

/// The numbers before a unit, in order.
pub fn before(text: &str, unit: &str) -> Result<Vec<f64>, String> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "(),".contains(c)).collect();
    let pairs = words.windows(2).filter(|pair| pair[1] == unit);
    let numbers: Vec<f64> = pairs.filter_map(|pair| pair[0].parse().ok()).collect();
    if numbers.is_empty() { Err(format!("no number of {unit} in: {text}")) } else { Ok(numbers) }
}

fn lab_overhead() -> Result<Line, String> {
    let text = measured("memory-overhead")?;
    // Over all trials and over the last thousand of them: it must not grow.
    let micros = before(&text, "us")?;
    Ok(Line::Measured(micros.iter().take(2).all(|micros| *micros <= 20.0), text, "20 us per trial, the last ones too"))
}

fn git_overhead() -> Result<Line, String> {
    let text = measured("git-overhead")?;
    let millis = before(&text, "ms")?;
    Ok(Line::Measured(millis[0] <= 60.0, text, "60 ms, everything included"))
}

fn memory_flat() -> Result<Line, String> {
    if !Path::new("/proc/self/status").exists() {
        return Ok(Line::Skip("this system does not tell the resident memory in /proc".into()));
    }
    let text = measured("memory-growth")?;
    let bytes = before(&text, "bytes")?;
    Ok(Line::Measured(bytes[0] <= 1024.0, text, "1024 bytes per experiment"))
}

fn optuna_ratio() -> Result<Line, String> {
    let venv = sh::target()?.join("optuna-venv");
    if let Err(why) = setup::packages(&venv, &[&format!("optuna=={OPTUNA}")]) {
        return Ok(Line::Skip(format!("Optuna {OPTUNA} cannot be installed: {why}")));
    }
    // The first run compiles, and its figures are of a busy machine.
    measured("thousand-trials")?;
    let script = places::root().join("autoresearch-core/benches/optuna_ask_tell.py");
    // Turn by turn, and the medians of the ratios: how long an fsync takes depends on what else writes at the time.
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = sh::output(Command::new(venv.join("bin/python")).arg(&script))?;
        rounds.push((pair(&measured("thousand-trials")?)?, pair(&theirs)?));
    }
    let median = |number: fn(&([f64; 2], [f64; 2])) -> f64| {
        let mut numbers: Vec<f64> = rounds.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[ROUNDS / 2]
    };
    let (memory, journal) =
        (median(|(ours, theirs)| theirs[0] / ours[0]), median(|(ours, theirs)| theirs[1] / ours[1]));
    let value = format!(
        "{memory:.1} times as fast in memory ({:.2} beside {:.2} us per trial), {journal:.1} times with a journal ({:.0} beside {:.0} us), Optuna {OPTUNA}, medians of {ROUNDS}",
        median(|(ours, _)| ours[0]),
        median(|(_, theirs)| theirs[0]),
        median(|(ours, _)| ours[1]),
        median(|(_, theirs)| theirs[1])
    );
    Ok(Line::Measured(memory >= 1.0 && journal >= 1.0, value, "1 in both"))
}

/// The times in memory and with a journal.
fn pair(text: &str) -> Result<[f64; 2], String> {
    before(text, "us")?.try_into().map_err(|_| format!("there are not two times in: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_unit() {
        let text = "median 1.50 us per trial of 10000, 1.25 us of the last (means 2.00 and 3.00 us)";
        assert_eq!(before(text, "us").unwrap(), [1.5, 1.25, 3.0]);
        assert!(before(text, "ms").is_err());
    }
}
