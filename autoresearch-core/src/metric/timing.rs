//! A metric over times: several samples of one trial, a statistic that resists outliers, and the machine that they belong to.

use serde::{Deserialize, Serialize};

use super::printed::folded_name;
use super::{Direction, Measurement, Metric, MetricError, Score, secondary, summary};
use crate::sandbox::{Outcome, RunLog};
use crate::text::clean;

/// The statistic of a trial's samples that is its score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// The median (of an even number, the mean of the two in the middle): the usual time.
    #[default]
    Median,
    /// The least sample: the time when nothing disturbs the program. For deterministic work on a busy machine.
    Minimum,
}

/// The source of the samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The program prints them, as `name: number` for each repeat or with several numbers on a line. It can leave out its
    /// start and time mere microseconds, but the candidate itself reports them.
    #[default]
    Printed,
    /// The lab's wall clock, around each repeat of the trial's command as a whole.
    Wall,
    /// The processor time of each repeat with all its processes, as the system counts it.
    Cpu,
}

/// Reads the samples of one trial, where less is better.
///
/// A sample that is not positive is an error, and so are fewer samples than asked for (three by default). `NAME_spread` is
/// reported beside the score: the distance of the quartiles as a share of the median. So is the number of samples. The
/// measurement names its machine, and the lab compares only measurements of one machine.
///
/// One number of one trial says little: let [`crate::ratchet::Paired`], or another rule that measures in turns, decide.
///
/// ```
/// use autoresearch_core::{Metric, Outcome, RunLog, Timing};
/// let metric = Timing::new("time_ms").with_unit("ms");
/// let log = RunLog::saying("---\ntime_ms: 2.0\ntime_ms: 9.0\ntime_ms: 2.5\nchecksum: 12\n");
/// let measurement = metric.read(&Outcome::Completed(log))?;
/// assert_eq!(measurement.score.get(), 2.5);
/// assert_eq!(measurement.secondary["time_ms_spread"], 1.4);
/// # Ok::<(), autoresearch_core::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    name: String,
    unit: String,
    statistic: Statistic,
    clock: Clock,
    samples: usize,
}

impl Timing {
    /// A metric that reads the median of at least three printed samples.
    pub fn new(name: impl Into<String>) -> Timing {
        Timing {
            name: name.into(),
            unit: String::new(),
            statistic: Statistic::Median,
            clock: Clock::Printed,
            samples: 3,
        }
    }

    /// Names the unit for reports. For the lab's clocks it is also the scale: `s` (or none), `ms`, `us` or
    /// `ns`. Other units are allowed only where the program prints its samples.
    pub fn with_unit(mut self, unit: impl Into<String>) -> Timing {
        self.unit = unit.into();
        self
    }

    /// Sets the statistic. Default: the median.
    pub fn statistic(mut self, statistic: Statistic) -> Timing {
        self.statistic = statistic;
        self
    }

    /// Sets the clock. Default: the printed samples.
    pub fn clock(mut self, clock: Clock) -> Timing {
        self.clock = clock;
        self
    }

    /// Sets the fewest samples of a measurement, at least 1. Default: 3.
    pub fn at_least(mut self, samples: usize) -> Timing {
        self.samples = samples.max(1);
        self
    }

    fn samples(&self, log: &RunLog) -> Result<Vec<f64>, MetricError> {
        if self.clock == Clock::Printed {
            return self.printed(&log.tail);
        }
        let scale = units_in_a_second(&self.unit).ok_or_else(|| {
            MetricError::Refused(format!("the lab's clock has no unit `{}`; give s, ms, us or ns", self.unit))
        })?;
        let walls: Vec<_> = match log.repeats.as_slice() {
            [] => vec![log.elapsed],
            repeats => repeats.iter().map(|repeat| repeat.wall).collect(),
        };
        let times = match self.clock {
            Clock::Printed | Clock::Wall => walls,
            Clock::Cpu => log.repeats.iter().filter_map(|repeat| repeat.cpu).collect(),
        };
        if times.len() < log.repeats.len().max(1) {
            let why = "the system, or the sandbox, does not tell the processor time of each repeat; use another clock";
            return Err(MetricError::Refused(why.into()));
        }
        Ok(times.into_iter().map(|time| time.as_secs_f64() * scale).collect())
    }

    /// Parses the numbers of all lines `name: …`, after the first line `---` if there is one, as the build's output is before it.
    fn printed(&self, tail: &str) -> Result<Vec<f64>, MetricError> {
        let tail = clean(&tail.replace('\r', "\n")).into_owned();
        let lines = || tail.split('\n').map(str::trim);
        let from = lines().position(|line| line == "---").map_or(0, |at| at + 1);
        let own = folded_name(&self.name);
        let values = lines().skip(from).filter_map(|line| line.split_once([':', '=']));
        let values = values.filter(|(key, _)| folded_name(key) == own).map(|(_, value)| value);
        let words = values.flat_map(|value| value.split([' ', '\t', ','])).filter(|word| !word.is_empty());
        let number = |word: &str| {
            let value = word.parse::<f64>().ok().filter(|value| value.is_finite());
            value.ok_or_else(|| MetricError::NotFinite { name: self.name.clone(), value: word.to_owned() })
        };
        words.map(number).collect()
    }
}

/// Returns the number of units in a second for `s` (or none), `ms`, `us` and `ns`. `None` for other units.
pub fn units_in_a_second(unit: &str) -> Option<f64> {
    match unit {
        "" | "s" => Some(1.0),
        "ms" => Some(1e3),
        "us" => Some(1e6),
        "ns" => Some(1e9),
        _ => None,
    }
}

impl Metric for Timing {
    fn name(&self) -> &str {
        &self.name
    }

    fn direction(&self) -> Direction {
        Direction::Minimise
    }

    fn unit(&self) -> &str {
        &self.unit
    }

    fn read(&self, outcome: &Outcome) -> Result<Measurement, MetricError> {
        let Outcome::Completed(log) = outcome else {
            return Err(MetricError::NotCompleted(outcome.describe()));
        };
        let mut samples = self.samples(log)?;
        if samples.is_empty() {
            return Err(MetricError::Missing(self.name.clone()));
        }
        if samples.len() < self.samples {
            return Err(MetricError::Refused(format!(
                "{} has {} of the {} samples that a time needs; print more of them, or let the command be repeated more often",
                self.name,
                samples.len(),
                self.samples
            )));
        }
        if let Some(wrong) = samples.iter().find(|sample| **sample <= 0.0) {
            let why =
                format!("{} has a sample of {wrong}, and no work takes no time; let each sample do more", self.name);
            return Err(MetricError::Refused(why));
        }
        samples.sort_by(f64::total_cmp);
        let median = quantile(&samples, 0.5);
        let value = match self.statistic {
            Statistic::Median => median,
            Statistic::Minimum => samples[0],
        };
        let not_finite = || MetricError::NotFinite { name: self.name.clone(), value: value.to_string() };
        let score = Score::new(value).ok_or_else(not_finite)?;
        let mut secondary = secondary(&summary(&log.tail), &self.name);
        let spread = (quantile(&samples, 0.75) - quantile(&samples, 0.25)) / median;
        secondary.insert(format!("{}_spread", self.name), spread);
        secondary.insert(format!("{}_samples", self.name), samples.len() as f64);
        Ok(Measurement { secondary, machine: log.machine.clone(), ..Measurement::new(score) })
    }
}

/// Computes a quantile of sorted samples, of which there is at least one, linear between two of them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::MachineId;
    use crate::sandbox::Repeat;
    use std::time::Duration;

    fn read(metric: &Timing, tail: &str) -> Result<f64, String> {
        let outcome = Outcome::Completed(RunLog::saying(tail));
        metric.read(&outcome).map(|measurement| measurement.score.get()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_statistic_is_as_configured() {
        let (median, minimum) = (Timing::new("t"), Timing::new("t").statistic(Statistic::Minimum));
        for tail in [
            "t: 4\nt: 1\nt: 9\nt: 2\n",
            "t: 9, 4 1\t2",
            "\x1b[1mT = 9, 4 1\t2\x1b[0m",
            "---\nt: 4\nt: 1\n---\nt: 9\nt: 2\n",
        ] {
            assert_eq!((read(&median, tail), read(&minimum, tail)), (Ok(3.0), Ok(1.0)), "{tail}");
        }
        assert_eq!(read(&median, "t: 0.001 0.001 0.001\n---\nt: 4 5 6\n"), Ok(5.0), "the build said something like it");
    }

    #[test]
    fn numbers_that_are_no_times_have_no_score() {
        let metric = Timing::new("t").at_least(3);
        for (tail, word) in [
            ("t: 1\nt: 2\n", "2 of the 3"),
            ("t: 1\nt: 0\nt: 2\n", "sample of 0"),
            ("t: 1 2 -3", "sample of -3"),
            ("t: 1 2 NaN", "NaN"),
            ("t: 1 2 3 inf", "inf"),
            ("time: 1 2 3", "no line `t"),
        ] {
            let error = read(&metric, tail).unwrap_err();
            assert!(error.contains(word), "{tail}: {error}");
        }
        assert!(metric.read(&Outcome::TimedOut { log: RunLog::saying("t: 1 2 3") }).is_err());
    }

    #[test]
    fn the_lab_s_clocks_are_read_in_the_unit() {
        let repeat = |wall, cpu| Repeat {
            wall: Duration::from_millis(wall),
            cpu: (cpu > 0).then(|| Duration::from_millis(cpu)),
        };
        let log = |repeats: &[Repeat]| {
            Outcome::Completed(RunLog { repeats: repeats.into(), elapsed: Duration::from_secs(1), ..RunLog::default() })
        };
        let three = log(&[repeat(30, 10), repeat(20, 12), repeat(25, 11)]);
        let wall = Timing::new("t").with_unit("ms").clock(Clock::Wall);
        assert_eq!(wall.read(&three).unwrap().score.get(), 25.0);
        assert_eq!(wall.clone().clock(Clock::Cpu).read(&three).unwrap().score.get(), 11.0);
        assert!(wall.read(&log(&[])).is_err(), "one repeat is too few");
        assert_eq!(wall.clone().at_least(1).read(&log(&[])).unwrap().score.get(), 1000.0);
        let missing = log(&[repeat(30, 10), repeat(20, 0), repeat(25, 11)]);
        assert!(wall.clone().clock(Clock::Cpu).read(&missing).is_err());
        assert!(wall.with_unit("fortnights").read(&three).is_err());
    }

    #[test]
    fn spread_and_machine_stand_beside_the_score() {
        let log =
            RunLog { machine: Some(MachineId::named("m")), ..RunLog::saying("---\nt: 8\nt: 10\nt: 12\ndepth: 3\n") };
        let measurement = Timing::new("t").read(&Outcome::Completed(log)).unwrap();
        assert_eq!(measurement.machine, Some(MachineId::named("m")));
        assert_eq!(measurement.secondary["t_spread"], 0.2);
        assert_eq!((measurement.secondary["t_samples"], measurement.secondary["depth"]), (3.0, 3.0));
    }
}
