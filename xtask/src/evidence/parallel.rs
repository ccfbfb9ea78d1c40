//! The figures of parallel research on one machine.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use super::main_run;
use crate::figure::{self, Line, Measure, number, printed};
use crate::sh;

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("busy", busy),
    ("sooner", sooner),
    ("links", links),
    ("histories", histories),
    ("kills", kills),
    ("cpu-run", cpu_run),
];

const CORE: &str = "autoresearch-core";
/// Simulated seconds in one real second: a whole recorded run in seven minutes, and what the lab itself takes counts a hundred
/// times.
const SCALE: &str = "100";
/// An accelerator with one worker works at least so long, and a loop that does one thing after the other as long as its parts
/// say: 300 of 353 s.
const BUSY: f64 = 0.98;
const SEQUENTIAL: std::ops::RangeInclusive<f64> = 0.83..=0.86;
const SOONER: f64 = 12.0;

/// Each run of the trainer is interrupted after this time, the same for both.
const RUN_TIME: Duration = Duration::from_secs(12 * 60);
/// More than it could do in that time.
const MANY: &str = "1000";

type Runs = BTreeMap<String, Vec<String>>;

/// The simulated runs by their number of workers. One simulation serves all figures.
fn simulated() -> Result<&'static Runs, String> {
    static RUNS: OnceLock<Result<Runs, String>> = OnceLock::new();
    let runs = RUNS.get_or_init(|| {
        let arguments =
            ["run", "--release", "--locked", "-q", "-p", CORE, "--example", "parallel", "--", "--scale", SCALE];
        let output = sh::output(sh::cargo().args(arguments))?;
        let table: Vec<&str> = output.lines().filter(|line| !line.starts_with("evidence")).collect();
        eprintln!("{}", table.join("\n"));
        let lines = figure::all_words_after(&output, "evidence parallel workers ");
        Ok(lines.into_iter().filter_map(|words| Some((words.first()?.clone(), words))).collect())
    });
    runs.as_ref().map_err(Clone::clone)
}

fn simulated_run(workers: &str) -> Result<&'static Vec<String>, String> {
    simulated()?.get(workers).ok_or_else(|| format!("the simulation has no run with {workers} workers"))
}

/// The share of the run in which the accelerator works: one worker with all prepared ahead, beside the loop that waits.
fn busy() -> Result<Line, String> {
    let one = number(simulated_run("1")?, "busy")?;
    let sequential = number(simulated_run("sequential")?, "busy")?;
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
    let times = number(simulated_run("16")?, "sooner")?;
    let busy = number(simulated_run("16")?, "busy")?;
    Ok(Line::Measured(
        times >= SOONER,
        format!("{times:.1} times sooner, {:.1} % busy", 100.0 * busy),
        "16 workers, at least 12 times sooner",
    ))
}

/// Keeps of the simulated runs that were not measured on what stands before them.
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
        format!("{unmeasured} of {} keeps in {} runs", keeps.iter().sum::<f64>(), keeps.len()),
        "0, and the same number of keeps in every run",
    ))
}

/// Random tapes, workers, interruptions and power cuts.
fn histories() -> Result<Line, String> {
    let words = printed("suite", "parallel::workers_kills", "parallel-histories")?;
    let (histories, violations) = (number(&words, "histories")?, number(&words, "violations")?);
    Ok(Line::Measured(
        violations == 0.0 && histories >= 1000.0,
        format!("{violations} in {histories} histories with {} interruptions", number(&words, "interruptions")?),
        "0 violations in at least 1000",
    ))
}

/// SIGKILL at every write boundary of a run of three workers with a real repository and real processes.
fn kills() -> Result<Line, String> {
    let words = printed("processes", "workers::a_lab_of_several", "crash-workers")?;
    let (kills, violations) = (number(&words, "kills")?, number(&words, "violations")?);
    Ok(Line::Measured(
        violations == 0.0 && kills >= 300.0,
        format!("{violations} after {kills} kills, one at each boundary"),
        "0 violations after at least 300 kills",
    ))
}

/// The result of a run of the trainer on the CPU.
struct Came {
    experiments: usize,
    best: f64,
    busy: f64,
    minutes: f64,
}

/// The run over the GPT trainer: two workers of one core each beside one worker of both.
fn cpu_run() -> Result<Line, String> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Ok(Line::Skip("this machine has one core".into()));
    }
    let two = trained("two", "cpus:0,cpus:1")?;
    let one = trained("one", "cpus:0-1")?;
    let shown = |came: &Came| {
        let Came { experiments, best, busy, minutes } = came;
        format!("{experiments} experiments in {minutes:.1} min, best val_bpb {best:.6}, busy {busy:.1} %")
    };
    Ok(Line::Measured(
        two.experiments > one.experiments,
        format!("2 workers of one core each: {}; 1 worker of two cores: {}", shown(&two), shown(&one)),
        "more experiments finished in the same 12 min",
    ))
}

fn trained(tag: &str, devices: &str) -> Result<Came, String> {
    let options = ["--preset", "cpu", "--tag", tag, "--experiments", MANY, "--devices", devices];
    let said = main_run::nanochat(&options, Some(RUN_TIME))?;
    let share =
        said.lines.iter().find_map(|line| line.split_once("busy with trials ")?.1.split(' ').next()?.parse().ok());
    let results = said.named("results:").ok_or("it named no results")?;
    let rows = main_run::rows(&results)?;
    let best = rows.iter().filter(|row| row.status == "keep").map(|row| row.val_bpb).next_back();
    Ok(Came {
        // The baseline is none.
        experiments: rows.len().saturating_sub(1),
        best: best.ok_or("nothing was measured")?,
        busy: share.ok_or("it did not say how busy its workers were")?,
        minutes: said.minutes_of_research().ok_or("it never began with the baseline")?,
    })
}
