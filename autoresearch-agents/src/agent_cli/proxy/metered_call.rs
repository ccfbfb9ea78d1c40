//! A forwarded request with its greatest and its actual cost.

use std::sync::Arc;

use autoresearch_core::{Cost, ProposerError};
use serde_json::Value;

use super::shared::{Shared, lock};
use crate::model::{Price, Usage, explain_missing_price};

impl Shared {
    /// Books the greatest cost of a request, unless it might pass a limit.
    pub(super) fn start_call(self: &Arc<Self>, body: &[u8]) -> Result<MeteredCall, ProposerError> {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let model = asked["model"].as_str().unwrap_or_default();
        // As in `Conversation::estimate_tokens`. Some clients leave the longest answer to the server.
        let input = (body.len() as u64).div_ceil(3);
        let longest = ["max_tokens", "max_output_tokens", "max_completion_tokens"].map(|name| asked[name].as_u64());
        let longest = longest.into_iter().flatten().max().unwrap_or(0);
        let price = match self.prices.of(model) {
            Some(price) => price,
            None if self.ledger.limits_dollars()
                || self.upstream.is_vendors_own() && self.ledger.run_caps().dollars.is_some_and(f64::is_finite) =>
            {
                return Err(ProposerError::Fatal(explain_missing_price(model)));
            }
            None => Price::NOTHING,
        };
        let worst = price.worst(input, longest);
        let number = self.ledger.start_call(worst)?;
        let greatest = Usage { input, output: longest, ..Usage::default() };
        Ok(MeteredCall { shared: self.clone(), number, price, input, worst, greatest, is_free: false, usage: None })
    }
}

/// A request in flight. Its bill is in the books once this is dropped.
pub(super) struct MeteredCall {
    shared: Arc<Shared>,
    number: u64,
    price: Price,
    /// Estimated tokens of the request.
    pub(super) input: u64,
    worst: Cost,
    greatest: Usage,
    /// True once it is certain that the server bills nothing.
    is_free: bool,
    /// Tokens used so far, once the server has begun its answer.
    pub(super) usage: Option<Usage>,
}

impl MeteredCall {
    /// Books nothing: the request never reached the server, or was turned down.
    pub(super) fn release(mut self) {
        self.is_free = true;
    }
}

impl Drop for MeteredCall {
    fn drop(&mut self) {
        // The server may work on an answer that nobody waits for, and bill it.
        let (usage, bill) = match self.usage {
            Some(usage) => (usage, Some(self.price.cost(usage))),
            None if self.is_free => (Usage::default(), None),
            None => (self.greatest, Some(self.worst)),
        };
        let mut tally = lock(&self.shared.tally);
        tally.usage = tally.usage.plus(usage);
        drop(tally);
        self.shared.ledger.finish_call(self.number, bill);
    }
}
