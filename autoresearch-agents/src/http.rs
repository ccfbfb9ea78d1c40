//! One transport for all servers of language models: time limits, retries by the documented rules, rate limits that are
//! respected ahead of time, server-sent events, keys that never show, and cassettes.

pub mod cassette;
pub mod key;
pub mod limits;
pub mod retry;
pub mod sse;
mod transport;

use std::time::Duration;

use serde::Deserialize;

pub use cassette::{Cassette, CassetteError};
pub use key::{KeyError, KeySource, Secret};
pub use retry::Retry;
pub use transport::{Failure, Headers, Request, Stream, Transport};

/// The time limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Seconds until the connection stands.
    pub connect: f64,
    /// Seconds from the request to the head of the response.
    pub first_byte: f64,
    /// Seconds between two pieces of the response; servers that think long send pings.
    pub between_bytes: f64,
    /// Seconds for all of it.
    pub whole: f64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: 10.0, first_byte: 120.0, between_bytes: 120.0, whole: 1800.0 }
    }
}

/// A duration out of seconds; nonsense becomes none at all.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
