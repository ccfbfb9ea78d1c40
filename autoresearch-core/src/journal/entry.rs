//! One line of the journal: a record with its number and its time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::record::Record;

/// A record with its number and its time, as one line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The format's version.
    pub v: u32,
    /// Its number, from 0, without gaps.
    pub seq: u64,
    /// Time it was written (UTC).
    pub at: Moment,
    /// Time for which the machine was suspended since the record before it, as far as the process saw that.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub suspended: Duration,
    /// The step itself.
    pub record: Record,
}
