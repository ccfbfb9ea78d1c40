//! The transport to every model server: time limits, documented retry rules, rate limits obeyed ahead of time,
//! server-sent events, keys that never print, and cassettes.

pub mod cassette;
pub mod key;
pub mod limits;
mod request;
pub mod retry;
pub mod sse;
mod timeouts;
mod transport;

pub use cassette::{Cassette, CassetteError};
pub use key::{KeyError, KeySource, Secret};
pub use request::{Headers, Request};
pub use retry::Retry;
pub use timeouts::Timeouts;
pub(crate) use timeouts::seconds;
pub use transport::{Failure, Stream, Transport};
