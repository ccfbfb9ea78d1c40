//! Time limits of one request.

use std::time::Duration;

use serde::Deserialize;

/// Time limits of one request, each in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Limit for opening the connection. Default: 10.
    pub connect: f64,
    /// Limit from sending the request to the response's head. Default: 120.
    pub first_byte: f64,
    /// Limit between two pieces of the body; a server that thinks for long sends pings. Default: 120.
    pub between_bytes: f64,
    /// Limit for the whole exchange. Default: 1800.
    pub whole: f64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: 10.0, first_byte: 120.0, between_bytes: 120.0, whole: 1800.0 }
    }
}

/// Converts seconds into a duration; a negative, infinite or missing number gives zero.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
