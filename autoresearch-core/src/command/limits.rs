//! Limits on the resources of a command.

use super::cpus::Cpus;

/// Limits on a command's use of the machine. The default limits nothing.
///
/// The kernel enforces them on Linux; elsewhere they have no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of data of each of its processes (`RLIMIT_DATA`, which leaves an accelerator's reservations alone).
    pub memory: Option<u64>,
    /// Bytes of each file that it writes.
    pub file_size: Option<u64>,
    /// Processes and threads of this user altogether, the lab's included; those of the command alone where it is isolated and the
    /// lab's user is not root. Does not bind root.
    pub processes: Option<u64>,
    /// Processors that it runs on; all of them if the set is empty.
    pub cpus: Cpus,
}
