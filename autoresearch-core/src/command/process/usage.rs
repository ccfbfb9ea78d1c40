//! The resources that a command used.

use std::time::Duration;

/// The resources that a command used with all its descendants, as its supervisor reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time of all processes.
    pub(super) cpu: Duration,
    /// Resident memory of the largest process, in bytes.
    pub(super) peak_memory: u64,
    /// Processes that could not be killed.
    pub(super) survivors: u32,
    /// Wall clock from the start to the end, to the limit, or to the request to end, by the monotonic clock.
    pub(super) elapsed: Duration,
    /// Tells whether the limit was reached, however the command ended after that.
    pub(super) overrun: bool,
}
