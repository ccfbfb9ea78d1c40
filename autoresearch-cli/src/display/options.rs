//! Facts of a run that its events do not tell.

/// Facts that the display shows beside the events.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The run's name.
    pub tag: String,
    /// The metric's name.
    pub metric: String,
    /// The number of experiments of the run, if it is known.
    pub total: Option<usize>,
    /// The number of workers.
    pub workers: usize,
    /// True if proposals or builds are made while experiments run.
    pub ahead: bool,
}
