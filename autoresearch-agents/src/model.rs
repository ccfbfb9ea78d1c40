//! Proposals by language models: the parts that all vendors share.
//!
//! A vendor turns a conversation into a request and assembles a reply from the events of the response. Sending, retries,
//! spending limits, tools and repairs are the same for all.

mod answer;
mod backoff;
mod call;
mod caps;
mod check;
mod conversation;
mod draft;
mod dry_run;
mod ledger;
mod options;
mod prices;
mod proposer;
pub(crate) mod reading;
mod report;
mod server_error;
mod tools;
mod vendor;
mod wave;

pub use backoff::Backoff;
pub(crate) use backoff::Streak;
pub use caps::{Caps, DEFAULT_RUN_CALLS, DEFAULT_RUN_DOLLARS};
pub use check::{Check, CommandCheck};
pub(crate) use conversation::{Call, CallResult, Conversation, Reply, Stop, Tool, Turn};
pub use dry_run::DryRun;
pub(crate) use ledger::Ledger;
pub(crate) use options::read_key;
pub use options::{Mode, Options, Surroundings};
pub(crate) use prices::explain_missing_price;
pub use prices::{Price, Prices, Usage};
pub(crate) use proposer::ModelProposer;
pub(crate) use report::report_wave;
pub(crate) use server_error::{ReplyError, read_server_error};
pub(crate) use vendor::{ReplyBuilder, Vendor};
