//! Quantities of the run itself, which need nothing printed.

use autoresearch_core::internal::{SIZES, Sizes};
use autoresearch_core::{MetricError, RunLog};
use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// A quantity that the lab measures or counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quantity {
    /// The exit code of the run; any code is a result then.
    ExitCode,
    /// Wall clock of the run in seconds; of several repeats the median.
    Wall,
    /// Processor time of the run in seconds; of several repeats the median.
    Cpu,
    /// Peak resident memory of all processes together, in bytes.
    MaxRss,
    /// Lines that are not blank, in files of the candidate.
    LinesOfCode,
    /// Bytes of a file, such as the program that the build makes.
    BinarySize,
}

impl Quantity {
    /// The quantity's name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::ExitCode => "exit_code",
            Quantity::Wall => "wall",
            Quantity::Cpu => "cpu",
            Quantity::MaxRss => "max_rss",
            Quantity::LinesOfCode => "lines_of_code",
            Quantity::BinarySize => "binary_size",
        }
    }

    /// The unit in which it is measured; empty for a count.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::Wall | Quantity::Cpu => "s",
            Quantity::MaxRss | Quantity::BinarySize => "B",
            Quantity::ExitCode | Quantity::LinesOfCode => "",
        }
    }

    /// True if files are counted for it, which the executor must be told.
    pub fn counts_files(self) -> bool {
        matches!(self, Quantity::LinesOfCode | Quantity::BinarySize)
    }

    pub(crate) fn reading(self, log: &RunLog) -> Result<Reading, MetricError> {
        let unknown = |why: &str| MetricError::Refused(format!("{} is not known: {why}", self.name()));
        let of_clock = |time: Option<f64>| time.ok_or_else(|| unknown("the system, or the sandbox, does not tell it"));
        let value = match self {
            Quantity::ExitCode => {
                log.exit_code.map(f64::from).ok_or_else(|| unknown("the sandbox does not tell it"))?
            }
            Quantity::Wall => {
                let walls = log.repeats.iter().map(|repeat| repeat.wall.as_secs_f64()).collect();
                median(walls).unwrap_or(log.elapsed.as_secs_f64())
            }
            Quantity::Cpu => {
                let times =
                    log.repeats.iter().map(|repeat| Some(repeat.cpu?.as_secs_f64())).collect::<Option<Vec<_>>>();
                let once = log.cpu.map(|time| time.as_secs_f64());
                of_clock(times.and_then(median).or(once.filter(|_| log.repeats.is_empty())))?
            }
            Quantity::MaxRss => of_clock(log.peak_memory.map(|bytes| bytes as f64))?,
            Quantity::LinesOfCode => sizes(log)?.lines as f64,
            Quantity::BinarySize => sizes(log)?.bytes as f64,
        };
        Ok(Reading::new(value, self.unit(), format!("{} of the run", self.name())))
    }
}

/// The counts that the executor left.
fn sizes(log: &RunLog) -> Result<Sizes, MetricError> {
    let refused = |why: String| MetricError::Refused(why);
    let path = log.artifacts.get(SIZES).ok_or_else(|| refused("no files were counted; name them in `files`".into()))?;
    let text = std::fs::read(path).map_err(|e| refused(format!("reading {}: {e}", path.display())))?;
    let sizes: Sizes =
        serde_json::from_slice(&text).map_err(|e| refused(format!("{} is no count: {e}", path.display())))?;
    match sizes.files {
        0 => Err(refused(
            "no file matches `files`, so there is nothing to count; paths are below the candidate's folder".into(),
        )),
        _ => Ok(sizes),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(below / 2.0 + above / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoresearch_core::internal::Repeat;
    use std::time::Duration;

    #[test]
    fn quantities_are_those_of_the_run() {
        let wall = |seconds| Repeat { wall: Duration::from_secs(seconds), cpu: Some(Duration::from_secs(1)) };
        let log = RunLog {
            exit_code: Some(3),
            elapsed: Duration::from_millis(1500),
            peak_memory: Some(2048),
            ..RunLog::default()
        };
        let value = |quantity: Quantity, log: &RunLog| quantity.reading(log).map(|reading| reading.value).ok();
        assert_eq!(value(Quantity::ExitCode, &log), Some(3.0));
        assert_eq!(value(Quantity::Wall, &log), Some(1.5));
        assert_eq!(value(Quantity::MaxRss, &log), Some(2048.0));
        assert_eq!((value(Quantity::Cpu, &log), value(Quantity::LinesOfCode, &log)), (None, None));
        let repeated = RunLog { repeats: vec![wall(1), wall(9), wall(2)], ..log };
        assert_eq!((value(Quantity::Wall, &repeated), value(Quantity::Cpu, &repeated)), (Some(2.0), Some(1.0)));
    }

    #[test]
    fn counted_files_are_lines_or_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SIZES);
        let log = RunLog { artifacts: [(SIZES.to_owned(), path.clone())].into(), ..RunLog::default() };
        std::fs::write(&path, r#"{"files":2,"bytes":300,"lines":10}"#).unwrap();
        assert_eq!(Quantity::LinesOfCode.reading(&log).unwrap().value, 10.0);
        assert_eq!(Quantity::BinarySize.reading(&log).unwrap().value, 300.0);
        std::fs::write(&path, r#"{"files":0,"bytes":0,"lines":0}"#).unwrap();
        assert!(Quantity::BinarySize.reading(&log).unwrap_err().to_string().contains("no file matches"));
    }
}
