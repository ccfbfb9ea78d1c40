//! What each request may cost, and what it did.

use std::sync::Arc;

use autoresearch_core::ProposerError;
use serde_json::Value;

use super::{Shared, lock};
use crate::model::prices::no_price;
use crate::model::{Price, Usage};

impl Shared {
    /// Books the most that a request can cost, unless that would go beyond a cap.
    pub(super) fn begin(self: &Arc<Self>, body: &[u8]) -> Result<Call, ProposerError> {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let model = asked["model"].as_str().unwrap_or_default();
        // As many bytes as in `Conversation::tokens`. Some clients leave the longest answer to the server.
        let input = (body.len() as u64).div_ceil(3);
        let longest = ["max_tokens", "max_output_tokens", "max_completion_tokens"].map(|name| asked[name].as_u64());
        let longest = longest.into_iter().flatten().max().unwrap_or(0);
        let price = match self.prices.of(model) {
            Some(price) => price,
            None if self.ledger.limits_dollars() => {
                return Err(ProposerError::Fatal(no_price(model)));
            }
            None => Price::NOTHING,
        };
        let number = self.ledger.begin(price.worst(input, longest))?;
        Ok(Call { shared: self.clone(), number, price, input, usage: None })
    }
}

/// A request that is on its way. Its bill is in the books when this is dropped.
pub(super) struct Call {
    shared: Arc<Shared>,
    number: u64,
    price: Price,
    /// The tokens of the request, estimated.
    pub(super) input: u64,
    /// What it used so far.
    pub(super) usage: Option<Usage>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(usage) = self.usage {
            let mut tally = lock(&self.shared.tally);
            tally.usage = tally.usage.plus(usage);
        }
        self.shared.ledger.end(self.number, self.usage.map(|usage| self.price.cost(usage)));
    }
}
