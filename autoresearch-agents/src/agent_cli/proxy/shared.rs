//! State and totals of one proxy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use autoresearch_core::ProposerError;

use super::server::Upstream;
use crate::model::{Ledger, Prices, Usage};

/// Totals of a proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Number of requests forwarded, without those that only count tokens.
    pub calls: u32,
    /// Number of requests rejected because they might have passed a limit.
    pub over_budget: u32,
    /// Tokens of the forwarded requests and their answers.
    pub usage: Usage,
    /// HTTP status with which the server rejected the real key, if it did.
    pub key_rejected: Option<u16>,
    /// Number of requests for which the server was out of reach, or too busy.
    pub(in crate::agent_cli) unserved: u32,
}

/// State that all connections of a proxy share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: Upstream,
    pub(super) token: String,
    pub(super) client: reqwest::Client,
    pub(super) prices: Prices,
    pub(super) ledger: Ledger,
    pub(super) tally: Mutex<Tally>,
    /// Reason for which the first request over budget was rejected.
    pub(super) over_budget: Mutex<Option<ProposerError>>,
}

/// Locks a mutex; a panic of another holder leaves plain numbers behind it, which stay valid.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
