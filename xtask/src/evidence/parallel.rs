//! The figures of parallel research on one machine.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Line, Measure, number, printed};
use crate::sh;

/// All of them.
pub const FIGURES: &[(&str, Measure)] =
    &[("busy", busy), ("sooner", sooner), ("histories", histories), ("links", links)];

const CORE: &str = "autoresearch-core";
/// One real second stands for so many: a whole recorded night in seven minutes, and what the lab itself takes counts a hundred
/// times.
const SCALE: &str = "100";
/// An accelerator with one worker works at least so long, and a loop that does one thing after the other as long as its parts
/// say: 300 of 353 s.
const BUSY: f64 = 0.98;
const SEQUENTIAL: std::ops::RangeInclusive<f64> = 0.83..=0.86;
const SOONER: f64 = 12.0;

type Nights = BTreeMap<String, Vec<String>>;

/// The simulated nights by their number of workers. One simulation serves all figures.
fn simulated() -> Result<&'static Nights, String> {
    static NIGHTS: OnceLock<Result<Nights, String>> = OnceLock::new();
    let nights = NIGHTS.get_or_init(|| {
        let arguments =
            ["run", "--release", "--locked", "-q", "-p", CORE, "--example", "parallel", "--", "--scale", SCALE];
        let output = sh::output(sh::cargo().args(arguments))?;
        let table: Vec<&str> = output.lines().filter(|line| !line.starts_with("evidence")).collect();
        eprintln!("{}", table.join("\n"));
        let lines = super::all_words_after(&output, "evidence parallel workers ");
        Ok(lines.into_iter().filter_map(|words| Some((words.first()?.clone(), words))).collect())
    });
    nights.as_ref().map_err(Clone::clone)
}

fn night(workers: &str) -> Result<&'static Vec<String>, String> {
    simulated()?.get(workers).ok_or_else(|| format!("the simulation has no night with {workers} workers"))
}

/// The share of the night in which the accelerator works: one worker with all prepared ahead, beside the loop that waits.
fn busy() -> Result<Line, String> {
    let one = number(night("1")?, "busy")?;
    let sequential = number(night("sequential")?, "busy")?;
    Ok(Line::Measured(
        one >= BUSY && SEQUENTIAL.contains(&sequential),
        format!(
            "{:.1} % with one worker and work ahead, {:.1} % one thing after the other",
            100.0 * one,
            100.0 * sequential
        ),
        "98 % against about 85 %, side by side",
    ))
}

/// How much sooner sixteen workers reach the best score of the sequential loop, on the same tape.
fn sooner() -> Result<Line, String> {
    let times = number(night("16")?, "sooner")?;
    let busy = number(night("16")?, "busy")?;
    Ok(Line::Measured(
        times >= SOONER,
        format!("{times:.1} times sooner, {:.1} % busy", 100.0 * busy),
        "16 workers, at least 12 times sooner",
    ))
}

/// Keeps of the simulated nights that were not measured on what stands before them.
fn links() -> Result<Line, String> {
    let mut unmeasured = 0.0;
    let mut keeps = Vec::new();
    for words in simulated()?.values() {
        unmeasured += number(words, "unmeasured_links")?;
        keeps.push(number(words, "keeps")?);
    }
    let same = keeps.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(Line::Measured(
        unmeasured == 0.0 && same,
        format!("{unmeasured} of {} keeps in {} nights", keeps.iter().sum::<f64>(), keeps.len()),
        "0, and the same number of keeps in every night",
    ))
}

/// Random tapes, workers, interruptions and power cuts.
fn histories() -> Result<Line, String> {
    let words = printed(CORE, "parallel", "workers_kills", "parallel-histories")?;
    let (histories, violations) = (number(&words, "histories")?, number(&words, "violations")?);
    Ok(Line::Measured(
        violations == 0.0 && histories >= 1000.0,
        format!("{violations} in {histories} histories with {} interruptions", number(&words, "interruptions")?),
        "0 violations in at least 1000",
    ))
}
