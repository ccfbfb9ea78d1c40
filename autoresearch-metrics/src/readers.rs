//! Readers of the results that known tools print or write.

use autoresearch_core::internal::metric::of_output;
use autoresearch_core::{MetricError, RunLog, Which};
use serde::{Deserialize, Serialize};

mod benches;
mod benchmarks;
mod entry;
mod json;
mod tensorboard;
mod tests_run;
mod training;

pub use benchmarks::{Benchmark, benchmarks};
use entry::Entry;

use crate::files::{Written, written};
use crate::reading::{Reading, choose};

/// A tool whose results are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Tool {
    /// Criterion for Rust: its lines `time: [… … …]`, or its files `estimates.json`.
    Criterion,
    /// `cargo bench` with the standard library's `#[bench]`.
    CargoBench,
    /// hyperfine with `--export-json`.
    Hyperfine,
    /// pytest-benchmark with `--benchmark-json`.
    PytestBenchmark,
    /// `go test -bench`.
    GoBench,
    /// Google Benchmark: its table, or its JSON.
    GoogleBenchmark,
    /// Logs of MLPerf.
    Mlperf,
    /// Hugging Face's `trainer_state.json`.
    TrainerState,
    /// Lightning's lines, or `metrics.csv` of its CSV logger.
    Lightning,
    /// Keras' lines, or the file of its CSV logger.
    Keras,
    /// TensorBoard's event files.
    Tensorboard,
    /// Files of MLflow runs.
    Mlflow,
    /// The summary file of Weights & Biases.
    Wandb,
    /// JMH with `-rf json`.
    Jmh,
    /// BenchmarkDotNet's JSON.
    Benchmarkdotnet,
    /// Counts of pytest's last line.
    Pytest,
    /// Counts of `cargo test`.
    CargoTest,
    /// `time`: real, user and sys.
    Time,
}

/// All tools.
pub const TOOLS: [Tool; 18] = [
    Tool::Criterion,
    Tool::CargoBench,
    Tool::Hyperfine,
    Tool::PytestBenchmark,
    Tool::GoBench,
    Tool::GoogleBenchmark,
    Tool::Mlperf,
    Tool::TrainerState,
    Tool::Lightning,
    Tool::Keras,
    Tool::Tensorboard,
    Tool::Mlflow,
    Tool::Wandb,
    Tool::Jmh,
    Tool::Benchmarkdotnet,
    Tool::Pytest,
    Tool::CargoTest,
    Tool::Time,
];

/// The results of a tool, and the one among them that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    tool: Tool,
    file: Option<String>,
    entry: Option<String>,
}

impl ToolResult {
    /// The result of a tool that has the metric's name, or its only one.
    pub fn new(tool: Tool) -> ToolResult {
        ToolResult { tool, file: None, entry: None }
    }

    /// Reads a file below the candidate's folder, instead of the tool's usual place.
    pub fn file(mut self, file: impl Into<String>) -> ToolResult {
        self.file = Some(file.into());
        self
    }

    /// Names the result, where the tool calls it otherwise than the metric: a benchmark, a tag, a command; `fib/median` is another
    /// statistic of the benchmark `fib`.
    pub fn entry(mut self, entry: impl Into<String>) -> ToolResult {
        self.entry = Some(entry.into());
        self
    }

    /// The files that are read, as a pattern. `None` for the output.
    pub fn files(&self) -> Option<&str> {
        self.file.as_deref().or_else(|| self.tool.usual_files())
    }

    pub(crate) fn reading(&self, log: &RunLog, name: &str, which: Option<Which>) -> Result<Reading, MetricError> {
        let which = which.or(self.tool.usual_which());
        let entries = self.entries(log, name, which)?;
        let wanted = self.entry.as_deref().unwrap_or(name);
        let named = |equal: fn(&str, &str) -> bool| {
            let found = entries.iter().filter(|entry| equal(&entry.name, wanted));
            found.map(|entry| entry.reading.clone()).collect::<Vec<_>>()
        };
        let mut found = named(|one, other| one == other);
        if found.is_empty() {
            found = named(|one, other| one.eq_ignore_ascii_case(other));
        }
        let mut names: Vec<&str> =
            entries.iter().filter(|entry| !entry.is_other).map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        // A metric has a name of its own where the tool has one result.
        if found.is_empty() && self.entry.is_none() && names.len() == 1 {
            let only = entries.iter().filter(|entry| !entry.is_other);
            found = only.map(|entry| entry.reading.clone()).collect();
        }
        if found.is_empty() {
            let more = if names.len() > 12 { format!(", and {} more", names.len() - 12) } else { String::new() };
            names.truncate(12);
            return Err(MetricError::Refused(format!(
                "{} has no result `{wanted}`; it has: {}{more}. Give `entry` one of these",
                self.tool.name(),
                names.join(", ")
            )));
        }
        self.one_series(&found, name, which)?;
        choose(found, name, which)
    }

    /// Refuses a first or last number of several folders that disagree: each has a series of its own, and the order of folders says
    /// nothing about which one counts.
    fn one_series(&self, found: &[Reading], name: &str, which: Option<Which>) -> Result<(), MetricError> {
        if !matches!(which, Some(Which::Last | Which::First)) {
            return Ok(());
        }
        let mut folders: Vec<&str> = found.iter().map(|reading| reading.folder.as_str()).collect();
        folders.dedup();
        let ends = folders.iter().filter_map(|folder| {
            let mut own = found.iter().filter(|reading| reading.folder == *folder).map(|reading| reading.value);
            if which == Some(Which::First) { own.next() } else { own.next_back() }
        });
        let ends: Vec<f64> = ends.collect();
        if ends.iter().all(|end| Some(end) == ends.first()) {
            return Ok(());
        }
        let shown = folders.iter().zip(&ends).take(8).map(|(folder, end)| format!("{end} in {folder}"));
        Err(MetricError::Refused(format!(
            "{name} has a series in each of {} folders: {}; give `file` a path that only one of them has",
            folders.len(),
            shown.collect::<Vec<_>>().join(", ")
        )))
    }

    fn entries(&self, log: &RunLog, name: &str, which: Option<Which>) -> Result<Vec<Entry>, MetricError> {
        let some = |entries: Vec<Entry>| match entries.is_empty() {
            true => Err(MetricError::Refused(format!(
                "{} has no result of {}; {}",
                self.files().unwrap_or("the output"),
                self.tool.name(),
                self.tool.hint()
            ))),
            false => Ok(entries),
        };
        let Some(pattern) = self.files() else {
            let wanted = self.entry.as_deref().unwrap_or(name);
            return of_output(log, which, |output| some(self.tool.of_output(output, wanted)?));
        };
        let mut entries = Vec::new();
        for file in self.tool.counting(written(log, pattern)?) {
            let read = self.tool.of_file(&file);
            let read = read.map_err(|why| MetricError::Refused(format!("{} {why}", file.path)))?;
            let folder = file.path.rsplit_once('/').map_or(".", |(folder, _)| folder);
            entries.extend(read.into_iter().map(|entry| entry.in_folder(folder)));
        }
        some(entries)
    }
}

impl Tool {
    /// The tool's name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Criterion => "criterion",
            Tool::CargoBench => "cargo-bench",
            Tool::Hyperfine => "hyperfine",
            Tool::PytestBenchmark => "pytest-benchmark",
            Tool::GoBench => "go-bench",
            Tool::GoogleBenchmark => "google-benchmark",
            Tool::Mlperf => "mlperf",
            Tool::TrainerState => "trainer-state",
            Tool::Lightning => "lightning",
            Tool::Keras => "keras",
            Tool::Tensorboard => "tensorboard",
            Tool::Mlflow => "mlflow",
            Tool::Wandb => "wandb",
            Tool::Jmh => "jmh",
            Tool::Benchmarkdotnet => "benchmarkdotnet",
            Tool::Pytest => "pytest",
            Tool::CargoTest => "cargo-test",
            Tool::Time => "time",
        }
    }

    /// The place of the tool's files, where it always writes some and prints no results.
    fn usual_files(self) -> Option<&'static str> {
        match self {
            Tool::TrainerState => Some("**/trainer_state.json"),
            Tool::Tensorboard => Some("**/events.out.tfevents.*"),
            Tool::Mlflow => Some("**/mlruns/*/*/metrics/**"),
            Tool::Wandb => Some("**/wandb-summary.json"),
            Tool::Hyperfine => Some("hyperfine.json"),
            Tool::PytestBenchmark => Some("benchmark.json"),
            Tool::Jmh => Some("jmh-result.json"),
            Tool::Benchmarkdotnet => Some("BenchmarkDotNet.Artifacts/results/*.json"),
            _ => None,
        }
    }

    /// The number of a series that counts, for tools that write one for each step.
    fn usual_which(self) -> Option<Which> {
        let is_series = matches!(
            self,
            Tool::Mlperf | Tool::TrainerState | Tool::Lightning | Tool::Keras | Tool::Tensorboard | Tool::Mlflow
        );
        is_series.then_some(Which::Last)
    }

    /// Those of a run's files that count: each checkpoint of Hugging Face has the whole history until then, so the latest has all.
    fn counting(self, mut files: Vec<Written>) -> Vec<Written> {
        if self == Tool::TrainerState {
            let step = |file: &Written| json::parse(file).ok().and_then(|state| state.get("global_step")?.as_u64());
            // Of equal ones the last: the one beside the checkpoints is written at the end.
            let latest = (0..files.len()).max_by_key(|at| step(&files[*at]));
            return latest.map(|at| vec![files.swap_remove(at)]).unwrap_or_default();
        }
        files
    }

    fn of_output(self, output: &str, name: &str) -> Result<Vec<Entry>, MetricError> {
        let text = autoresearch_core::internal::text::clean(&output.replace('\r', "\n")).into_owned();
        Ok(match self {
            Tool::Criterion => benches::criterion(&text),
            Tool::CargoBench => benches::libtest(&text),
            Tool::GoBench => benches::go(&text),
            Tool::GoogleBenchmark => match text.find("{\n").map(|at| &text[at..]) {
                Some(json) if json.contains("\"benchmarks\"") => self.of_json(json).unwrap_or_default(),
                _ => benches::google(&text),
            },
            Tool::Mlperf => training::mlperf(&text),
            Tool::Lightning | Tool::Keras => training::lines(output, name)?,
            Tool::Pytest => tests_run::pytest(&text),
            Tool::CargoTest => tests_run::cargo(&text),
            Tool::Time => tests_run::time(&text),
            _ => self.of_json(text.trim()).unwrap_or_default(),
        })
    }

    fn of_file(self, file: &Written) -> Result<Vec<Entry>, String> {
        match self {
            Tool::Tensorboard => tensorboard::scalars(&file.bytes, &file.path),
            Tool::Mlflow => training::mlflow(&file.text(), &file.path),
            Tool::Criterion if file.path.ends_with(".json") => json::criterion(&json::parse(file)?, &file.path),
            Tool::Lightning | Tool::Keras if file.path.ends_with(".csv") => training::csv(file),
            Tool::Hyperfine
            | Tool::PytestBenchmark
            | Tool::TrainerState
            | Tool::Wandb
            | Tool::Jmh
            | Tool::Benchmarkdotnet => self.of_json(&file.text()),
            Tool::GoogleBenchmark if file.text().trim_start().starts_with('{') => self.of_json(&file.text()),
            _ => self.of_output(&file.text(), "").map_err(|error| error.to_string()),
        }
    }

    fn of_json(self, text: &str) -> Result<Vec<Entry>, String> {
        let value = crate::file::Format::Json.rows(text.as_bytes())?.pop().unwrap_or_default();
        Ok(match self {
            Tool::Hyperfine => json::hyperfine(&value),
            Tool::PytestBenchmark => json::pytest_benchmark(&value),
            Tool::GoogleBenchmark => json::google(&value),
            Tool::TrainerState => training::trainer_state(&value),
            Tool::Wandb => json::wandb(&value),
            Tool::Jmh => json::jmh(&value),
            Tool::Benchmarkdotnet => json::benchmarkdotnet(&value),
            _ => Vec::new(),
        })
    }

    /// The way to let the tool tell its results.
    fn hint(self) -> &'static str {
        match self {
            Tool::Criterion => "run `cargo bench`, or give file = \"target/criterion/**/new/estimates.json\"",
            Tool::CargoBench => "run `cargo bench`",
            Tool::Hyperfine => "run hyperfine with --export-json hyperfine.json",
            Tool::PytestBenchmark => "run pytest with --benchmark-json=benchmark.json",
            Tool::GoBench => "run `go test -bench=.`",
            Tool::GoogleBenchmark => "run the benchmark, or give `file` the name behind --benchmark_out",
            Tool::Mlperf => "lines begin with :::MLLOG",
            Tool::Lightning | Tool::Keras => "print the metrics, or give `file` the CSV logger's file",
            Tool::Jmh => "run JMH with -rf json",
            Tool::Time => "run the command by `time`",
            _ => "let the run write them anew",
        }
    }
}
