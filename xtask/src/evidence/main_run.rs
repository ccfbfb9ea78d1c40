//! The whole job in a fresh clone, with no caches: `cargo xtask nanochat -- --experiments 8`.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::figure::Line;
use crate::{places, sh};

const EXPERIMENTS: usize = 8;
/// The exit status of a run that was interrupted.
const INTERRUPTED: i32 = 130;
const CONFIG: &str = "examples/nanochat/autoresearch.toml";

/// The finished run of this evidence.
struct MainRun {
    tag: String,
    setup_and_build: f64,
    research: f64,
    rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) val_bpb: f64,
    pub(super) status: String,
    description: String,
}

/// A command in the clone, as a newcomer would run it: nothing of ours in the environment.
fn in_clone(clone: &Path, cache: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(clone).env("AUTORESEARCH_CACHE", cache);
    for name in ["LIBTORCH", "CARGO_TARGET_DIR", "AUTORESEARCH_ROOT", "AUTORESEARCH_DATA", "CARGO_MANIFEST_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Runs the search once, for all figures that need it.
fn once() -> Result<&'static MainRun, String> {
    static FINISHED: OnceLock<Result<MainRun, String>> = OnceLock::new();
    FINISHED.get_or_init(run).as_ref().map_err(Clone::clone)
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("autoresearch-evidence-{}", std::process::id()))
}

/// Removes the clone and its caches, several gigabytes.
pub fn clean() {
    let _ = std::fs::remove_dir_all(folder());
}

/// A fresh clone, once for all figures, with the folder for its caches.
fn fresh_clone() -> Result<(PathBuf, PathBuf), String> {
    let (clone, cache) = (folder().join("clone"), folder().join("cache"));
    if !clone.exists() {
        sh::output(Command::new("git").args(["clone", "--quiet"]).arg(places::root()).arg(&clone))?;
    }
    Ok((clone, cache))
}

/// The output of a run.
pub(super) struct Said {
    /// On its standard output: the names of files, and the summary.
    pub(super) lines: Vec<String>,
    /// Seconds until the baseline began, and altogether.
    baseline: Option<f64>,
    all: f64,
}

impl Said {
    pub(super) fn minutes_of_research(&self) -> Option<f64> {
        Some((self.all - self.baseline?) / 60.0)
    }

    pub(super) fn named(&self, key: &str) -> Option<String> {
        self.lines.iter().find_map(|line| line.strip_prefix(key)).map(str::trim).map(str::to_owned)
    }
}

/// `cargo xtask nanochat -- …` in the fresh clone, to its end, or until it is interrupted so long after its baseline began.
pub(super) fn nanochat(arguments: &[&str], until: Option<Duration>) -> Result<Said, String> {
    let (clone, cache) = fresh_clone()?;
    let began = Instant::now();
    let mut command = in_clone(&clone, &cache);
    command.args(["xtask", "nanochat", "--"]).args(arguments);
    eprintln!("> cd {} && {}", clone.display(), sh::shown(&command));
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let stderr = child.stderr.take().ok_or("no output")?;
    // The display is on standard error, the names of files on standard output.
    let names = std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).collect::<Vec<_>>());
    let mut baseline = None;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if line.starts_with("baseline:") && baseline.is_none() {
            baseline = Some(began.elapsed().as_secs_f64());
            if let Some(until) = until {
                let group = format!("-{}", child.id());
                std::thread::spawn(move || {
                    std::thread::sleep(until);
                    // As Ctrl-C does: an orderly end, at once.
                    let _ = Command::new("kill").args(["-INT", "--", &group]).status();
                });
            }
        }
        eprintln!("  {line}");
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let all = began.elapsed().as_secs_f64();
    let names = names.join().map_err(|_| "the reader failed")?;
    let as_wanted = status.success() || (until.is_some() && status.code() == Some(INTERRUPTED));
    if !as_wanted {
        return Err(format!("it ended with {status}"));
    }
    Ok(Said { lines: names, baseline, all })
}

fn run() -> Result<MainRun, String> {
    let said = nanochat(&["--experiments", &EXPERIMENTS.to_string()], None)?;
    let (named, all) = (|key: &str| said.named(key), said.all);
    let setup_and_build = said.baseline.ok_or("it never began with the baseline")?;
    let results = named("results:").ok_or("it named no results")?;
    let tag =
        named("run:").and_then(|text| text.split_whitespace().next().map(str::to_owned)).ok_or("it named no run")?;
    let rows = rows(&results)?;
    Ok(MainRun { tag, setup_and_build, research: all - setup_and_build, rows })
}

/// The rows of a table of results, the baseline first.
pub(super) fn rows(results: &str) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(results).map_err(|e| format!("{results}: {e}"))?;
    let rows = text.lines().skip(1).map(row).collect::<Option<Vec<_>>>();
    rows.ok_or_else(|| format!("a row of {results} is odd"))
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.split('\t').collect();
    let [_, val_bpb, _, status, description] = cells[..] else { return None };
    Some(Row { val_bpb: val_bpb.parse().ok()?, status: status.into(), description: description.into() })
}

/// The rows of that status beside the baseline.
fn count(main_run: &MainRun, status: &str) -> usize {
    main_run.rows.iter().skip(1).filter(|row| row.status == status).count()
}

/// A command of `autoresearch` about a run in the fresh clone; the options name it, and what it was made with.
pub(super) fn autoresearch(command: &str, options: &[&str]) -> Result<Command, String> {
    let (clone, cache) = fresh_clone()?;
    let mut cargo = in_clone(&clone, &cache);
    cargo.args(["run", "--locked", "-q", "-p", "autoresearch-cli", "--bin", "autoresearch", "--", command]);
    cargo.args(["--config", CONFIG, "--preset", "cpu"]).args(options);
    Ok(cargo)
}

/// Judges every decision of a run in the fresh clone again, and looks at its journal, commits and table; all of them must be sound.
pub(super) fn verified(options: &[&str], decisions: usize) -> Result<(), String> {
    let verified = sh::output(&mut autoresearch("verify", options)?)?;
    let sound = verified.contains(&format!("decisions: {decisions} judged again: sound"));
    if sound { Ok(()) } else { Err(verified) }
}

/// It ends by itself, in time, and its decisions follow from its numbers.
pub fn main_run() -> Result<Line, String> {
    let main_run = once()?;
    let mut wrong = Vec::new();
    if main_run.rows.len() != EXPERIMENTS + 1 {
        wrong.push(format!("{} rows", main_run.rows.len()));
    }
    let mut best = f64::NAN;
    for Row { val_bpb, status, description } in &main_run.rows {
        match status.as_str() {
            "crash" => {}
            "keep" | "discard" if !val_bpb.is_finite() || *val_bpb <= 0.0 => {
                wrong.push(format!("{status} of {val_bpb}: {description}"));
            }
            "keep" => best = *val_bpb,
            _ => {}
        }
    }
    if let Err(verified) = verified(&["--tag", &main_run.tag], EXPERIMENTS - count(main_run, "crash")) {
        wrong.push(verified);
    }
    let baseline = main_run.rows.first().map_or(f64::NAN, |row| row.val_bpb);
    let value = format!(
        "{:.1} min after {:.1} min of set-up and build; val_bpb {baseline:.6} -> {best:.6}; {} kept, {} discarded, {} crashed; wrong decisions: {wrong:?}",
        main_run.research / 60.0,
        main_run.setup_and_build / 60.0,
        count(main_run, "keep"),
        count(main_run, "discard"),
        count(main_run, "crash"),
    );
    Ok(Line::Measured(
        wrong.is_empty() && main_run.research <= 1200.0,
        value,
        "8 experiments in 20 min, no wrong decision",
    ))
}

/// The lineage's tip, run again three times in turns with the baseline, gives what was recorded.
///
/// The training time is fixed, so a machine that became slower changes every number of a run alike (seen: 10 % of the
/// steps within ten minutes). The baseline, run again beside the incumbent, tells by how much; what is left is compared with the
/// spread of single runs.
pub fn incumbent_reproduces() -> Result<Line, String> {
    let main_run = once()?;
    let mut rerun = autoresearch("rerun", &["--tag", &main_run.tag])?;
    rerun.args(["--times", "3", "--baseline"]);
    let output = sh::output(&mut rerun)?;
    let again = |key: &str| -> Result<Vec<f64>, String> {
        let found: Vec<f64> = output.lines().filter_map(|line| line.strip_prefix(key)?.trim().parse().ok()).collect();
        if found.len() == 3 { Ok(found) } else { Err(format!("3 reruns were asked for: {output}")) }
    };
    let (tip, baseline) = (again("val_bpb:")?, again("baseline val_bpb:")?);
    let kept = || main_run.rows.iter().filter(|row| row.status == "keep").map(|row| row.val_bpb);
    let (first, last) = kept().next().zip(kept().next_back()).ok_or("nothing was kept")?;

    let (drift, off) = (mean(&baseline) - first, mean(&tip) - last);
    // Both arms together: two means are estimated from six runs.
    let single = ((squares(&tip) + squares(&baseline)) / 4.0).sqrt();
    // Recorded are the mean of the baseline's five runs and of the last keep's three fresh ones; held against them are two
    // means of three.
    let error = single * (1.0 / 5.0 + 1.0 / 3.0 + 2.0 / 3.0f64).sqrt();
    let value = format!(
        "recorded {last:.6}, again {tip:?}, off by {off:+.6}; the baseline {first:.6}, again {baseline:?}, off by {drift:+.6}; \
         apart from that {:+.6}, {:.1} standard errors (single runs spread by {single:.6})",
        off - drift,
        (off - drift).abs() / error,
    );
    Ok(Line::Measured((off - drift).abs() <= 3.0 * error, value, "within 3 standard errors"))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of the squared distances from the mean.
fn squares(values: &[f64]) -> f64 {
    values.iter().map(|value| (value - mean(values)).powi(2)).sum()
}
