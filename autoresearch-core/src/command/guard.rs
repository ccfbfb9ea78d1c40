//! Guards: commands beside the measurement that a candidate must pass, such as its tests.

use std::time::Duration;

/// A command that a candidate must pass. It decides nothing about the number and costs no time of the run.
///
/// A candidate is guarded once, on the first trial that reaches its guards: later trials of the same files only measure.
///
/// ```
/// use std::time::Duration;
/// use autoresearch_core::{Guard, GuardTime};
/// let guard = Guard::new(["pytest", "-q"], GuardTime::After, Duration::from_secs(60));
/// assert_eq!(guard.argv, ["pytest", "-q"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guard {
    /// The program and its arguments, in the candidate's folder.
    pub argv: Vec<String>,
    /// Its place in the trial.
    pub when: GuardTime,
    /// Wall clock after which it is killed and counts as failed.
    pub limit: Duration,
}

/// The place of a guard in a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GuardTime {
    /// Before the run: a candidate that fails is never measured.
    Before,
    /// After the run, which it cannot disturb; a candidate without a number is not guarded.
    #[default]
    After,
}

impl Guard {
    /// A guard that runs `argv` for at most `limit`.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>, when: GuardTime, limit: Duration) -> Guard {
        Guard { argv: argv.into_iter().map(Into::into).collect(), when, limit }
    }
}
