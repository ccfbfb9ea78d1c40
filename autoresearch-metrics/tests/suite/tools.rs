//! The table of tools' formats: each result is the one that the tool's own output names.

use std::collections::BTreeSet;
use std::path::Path;

use autoresearch_core::{Direction, Metric, Outcome, RunLog, Which};
use autoresearch_metrics::{FilePlace, Part, Source, SourceMetric, TOOLS, Tool, ToolResult};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    format: Vec<Format>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    name: String,
    /// The tool; without one a place in a file is read.
    reader: Option<Tool>,
    /// The file with the output or the result, in `data/tools`.
    data: String,
    /// The path that the run wrote it to; without one it is the output.
    path: Option<String>,
    /// The key `file` of the configuration.
    file: Option<String>,
    pointer: Option<String>,
    metric: String,
    entry: Option<String>,
    #[serde(default)]
    unit: String,
    which: Option<Which>,
    value: Option<f64>,
    #[serde(default)]
    refused: Vec<String>,
}

impl Format {
    fn read(&self) -> Result<f64, String> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tools").join(&self.data);
        let log = match &self.path {
            Some(path) => RunLog { artifacts: [(path.clone(), data)].into(), ..RunLog::default() },
            None => RunLog::saying(std::fs::read_to_string(data).unwrap()),
        };
        let source: Source = match (self.reader, &self.pointer) {
            (Some(tool), None) => {
                let mut result = ToolResult::new(tool);
                if let Some(file) = &self.file {
                    result = result.file(file);
                }
                if let Some(entry) = &self.entry {
                    result = result.entry(entry);
                }
                result.into()
            }
            (None, Some(pointer)) => FilePlace::new(self.file.as_ref().unwrap(), pointer).into(),
            _ => panic!("{}: a reader or a pointer", self.name),
        };
        let part = Part::new(&self.metric, source).with_unit(&self.unit).which(self.which);
        let metric = SourceMetric::new(&self.metric, Direction::Minimise, part);
        let read = metric.read(&Outcome::Completed(log)).map_err(|error| error.to_string())?;
        assert!(read.source.is_some_and(|source| !source.is_empty()), "{}: where it was read", self.name);
        Ok(read.score.get())
    }
}

/// Reads the number `name` of a run that wrote these files.
fn of_files(tool: Tool, name: &str, files: &[(&str, String)]) -> Result<f64, String> {
    let folder = tempfile::tempdir().unwrap();
    let written = files.iter().enumerate().map(|(at, (path, text))| {
        let place = folder.path().join(at.to_string());
        std::fs::write(&place, text).unwrap();
        ((*path).to_owned(), place)
    });
    let log = RunLog { artifacts: written.collect(), ..RunLog::default() };
    let metric = SourceMetric::new(name, Direction::Minimise, Part::new(name, ToolResult::new(tool)));
    metric.read(&Outcome::Completed(log)).map(|read| read.score.get()).map_err(|error| error.to_string())
}

#[test]
fn of_several_files_the_order_of_their_paths_decides_nothing() {
    let state = |steps: &[u64]| {
        let history = steps.iter().map(|step| format!("{{\"step\": {step}, \"eval_loss\": {}}}", 2000 - step));
        let last = steps.last().unwrap();
        format!("{{\"global_step\": {last}, \"log_history\": [{}]}}", history.collect::<Vec<_>>().join(","))
    };
    // Sorted as texts, 1000 is before 500.
    let checkpoints = [
        ("out/checkpoint-1000/trainer_state.json", state(&[500, 1000])),
        ("out/checkpoint-500/trainer_state.json", state(&[500])),
    ];
    assert_eq!(of_files(Tool::TrainerState, "eval_loss", &checkpoints), Ok(1000.0));

    let run = |id: &str| format!("mlruns/0/{id}/metrics/loss");
    let (first, second) = (run("0a"), run("9f"));
    let series = |value: f64| format!("1700000000000 3.0 0\n1700000000001 {value} 1\n");
    let two = [(first.as_str(), series(0.5)), (second.as_str(), series(0.75))];
    let said = of_files(Tool::Mlflow, "loss", &two).unwrap_err();
    assert!(said.contains("0.5 in mlruns/0/0a/metrics, 0.75 in mlruns/0/9f/metrics; give `file`"), "{said}");
    assert_eq!(of_files(Tool::Mlflow, "loss", &two[..1]), Ok(0.5));
}

#[test]
fn the_number_that_counts_may_stand_anywhere_in_a_long_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (rows, filling) = ((0..9000).map(|row| format!("loss={}\n", 5.0 + f64::from(row))), "-\n".repeat(60_000));
    let output = format!("loss=0.5\n{}{filling}", rows.collect::<String>());
    let tail = output[output.len() - 65_536..].to_owned();
    let read = |output: &str, which: Option<Which>| {
        std::fs::write(&path, output).unwrap();
        let log = RunLog { path: Some(path.clone()), ..RunLog::saying(tail.clone()) };
        let pattern = autoresearch_metrics::Pattern::new("loss=(.*)").unwrap();
        let metric = SourceMetric::new("loss", Direction::Minimise, Part::new("loss", pattern).which(which));
        metric.read(&Outcome::Completed(log)).map(|read| read.score.get()).map_err(|error| error.to_string())
    };
    assert_eq!(read(&output, Some(Which::Min)), Ok(0.5));
    assert_eq!(read(&output, Some(Which::First)), Ok(0.5));
    assert_eq!(read(&output, Some(Which::Last)), Ok(9004.0), "the end has none");
    // The executor's log of an output that is longer still.
    let cut = output.replacen("loss=5\n", "\n[... 123 bytes left out ...]\n", 1);
    assert!(read(&cut, Some(Which::Min)).unwrap_err().contains("123 bytes in the middle of the output were left out"));
    assert_eq!(read(&cut, Some(Which::Last)), Ok(9004.0));
    // A number before the gap may be older than one in it.
    let cut = format!("loss=1\n\n[... 123 bytes left out ...]\n{filling}");
    for which in [None, Some(Which::Last)] {
        let said = read(&cut, which).unwrap_err();
        assert!(said.contains("123 bytes in the middle of the output were left out"), "{which:?}: {said}");
    }
}

#[test]
fn every_tool_s_format_is_read_rightly_or_refused_with_the_candidates() {
    let table: Table = toml::from_str(include_str!("../data/tools.toml")).unwrap();
    let mut wrong = Vec::new();
    for format in &table.format {
        let name = &format.name;
        assert!(format.value.is_some() == format.refused.is_empty(), "{name}: a value, or words of a message");
        match (format.read(), format.value) {
            (Ok(read), Some(value)) if read == value => {}
            (Err(error), None) if format.refused.iter().all(|word| error.contains(word)) => {}
            (read, _) => wrong.push(format!("{name}: {read:?}")),
        }
    }
    let readers: BTreeSet<&str> = table.format.iter().filter_map(|format| format.reader).map(Tool::name).collect();
    let missing: Vec<&str> = TOOLS.map(Tool::name).into_iter().filter(|name| !readers.contains(name)).collect();
    assert!(missing.is_empty(), "without a format in the table: {}", missing.join(", "));
    let count = table.format.len();
    println!("tool-formats: {} of {count}", count - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 15, "{count} formats");
}

#[test]
fn a_series_that_ends_without_a_number_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let state =
        r#"{"log_history": [{"step": 1, "eval_loss": 0.5, "grad": NaN}, {"step": 2, "eval_loss": NaN, "grad": 1}]}"#;
    for (tool, name, text, entry, expected) in [
        (Tool::TrainerState, "trainer_state.json", state, "eval_loss", None),
        (Tool::TrainerState, "trainer_state.json", state, "grad", Some(1.0)),
        (Tool::Wandb, "wandb-summary.json", r#"{"epoch": 10, "accuracy": NaN}"#, "accuracy", None),
        (Tool::Keras, "log.csv", "epoch,loss,note\n0,0.5,warm\n1,nan,ok\n", "loss", None),
        (Tool::Keras, "log.csv", "epoch,loss,note\n0,nan,warm\n1,0.5,ok\n", "loss", Some(0.5)),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let log = RunLog { artifacts: [(name.to_owned(), path)].into(), ..RunLog::default() };
        let part = Part::new(entry, ToolResult::new(tool).file(name));
        let read = SourceMetric::new(entry, Direction::Minimise, part).read(&Outcome::Completed(log));
        let read = read.map(|read| read.score.get()).map_err(|error| error.to_string());
        match expected {
            Some(value) => assert_eq!(read, Ok(value), "{tool:?} {text}"),
            None => {
                assert!(read.as_ref().is_err_and(|why| why.contains("NaN") || why.contains("nan")), "{read:?} {text}")
            }
        }
    }
}
