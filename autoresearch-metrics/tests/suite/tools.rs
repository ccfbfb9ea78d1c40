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
