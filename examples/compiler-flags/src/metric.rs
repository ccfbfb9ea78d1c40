//! The number: the least CPU time of a run's repeats, if all of them printed what the baseline prints.

use autoresearch_core::Statistic;
use autoresearch_core::{Direction, Measurement, Metric, MetricError, Outcome, Timing};

/// Reads the least `cpu_ms` of a run's repeats, and refuses a run whose output is another than the baseline's.
pub struct SameOutput {
    time: Timing,
    checksum: String,
}

impl SameOutput {
    /// A metric that demands `checksum`.
    pub fn new(checksum: impl Into<String>) -> SameOutput {
        let time = Timing::new("cpu_ms").with_unit("ms").statistic(Statistic::Minimum).at_least(1);
        SameOutput { time, checksum: checksum.into() }
    }
}

/// Lines that each repeat printed.
fn blocks(tail: &str) -> impl Iterator<Item = &str> {
    tail.split("---\n").skip(1)
}

/// The checksum that the first repeat printed.
pub fn checksum(tail: &str) -> Option<&str> {
    blocks(tail).next().and_then(|block| block.lines().find_map(|line| line.strip_prefix("checksum: ")))
}

impl Metric for SameOutput {
    fn name(&self) -> &str {
        self.time.name()
    }

    fn direction(&self) -> Direction {
        self.time.direction()
    }

    fn unit(&self) -> &str {
        self.time.unit()
    }

    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError> {
        if let Outcome::Completed(log) = outcome {
            for block in blocks(&log.tail) {
                let found = block.lines().find_map(|line| line.strip_prefix("checksum: "));
                let found = found.ok_or_else(|| MetricError::Missing("checksum".into()))?;
                if found != self.checksum {
                    let why = format!("its output differs: checksum {found}, the baseline's is {}", self.checksum);
                    return Err(MetricError::Refused(why));
                }
            }
        }
        self.time.read(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoresearch_core::RunLog;

    fn read(tail: &str) -> Result<Measurement, MetricError> {
        SameOutput::new("00ff").read(&Outcome::Completed(RunLog { tail: tail.into(), ..RunLog::default() }))
    }

    #[test]
    fn it_keeps_the_contract_of_a_metric() {
        let log = RunLog::saying("---\nchecksum: 00ff\ncpu_ms: 2\n");
        autoresearch_core::testkit::conformance::metric(&SameOutput::new("00ff"), log);
    }

    #[test]
    fn the_fastest_repeat_is_the_score() {
        let tail = ["3", "1.5", "2"].map(|ms| format!("---\nchecksum: 00ff\ncpu_ms: {ms}\n")).concat();
        let measurement = read(&tail).unwrap();
        assert_eq!((measurement.score.get(), measurement.secondary["cpu_ms_samples"]), (1.5, 3.0));
    }

    #[test]
    fn one_repeat_with_another_output_is_no_score() {
        let error = read("---\nchecksum: 00ff\ncpu_ms: 2\n---\nchecksum: 00fe\ncpu_ms: 1\n").unwrap_err();
        assert!(error.to_string().contains("00fe"), "{error}");
        assert!(matches!(read("---\ncpu_ms: 1\n"), Err(MetricError::Missing(_))));
        assert!(matches!(read(""), Err(MetricError::Missing(_))));
    }
}
