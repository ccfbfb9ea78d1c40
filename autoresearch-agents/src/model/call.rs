//! One call of a model: within its budget, and again after failures that are worth it.

use std::time::Duration;

use autoresearch_core::ProposerError;
use jiff::Timestamp;
use serde_json::Value;

use super::budget::Ledger;
use super::reading::Reading;
use super::{Conversation, Fold, Price, Reply, Trouble, Vendor, shorten, trouble};
use crate::http::retry::Next;
use crate::http::{Failure, Headers, Request, Retry, Transport, seconds};

/// The largest error message that is read.
const LARGEST_ERROR: usize = 64 << 10;

pub(crate) struct Caller {
    pub transport: Transport,
    pub retry: Retry,
    pub price: Price,
}

impl Caller {
    /// Sends a conversation and returns the reply. Every attempt that leads to a bill is in the ledger.
    pub async fn call(
        &self,
        vendor: &dyn Vendor,
        conversation: &Conversation,
        ledger: &Ledger,
    ) -> Result<Reply, ProposerError> {
        let request = vendor.request(conversation);
        let input = Conversation::tokens(&request);
        let worst = self.price.worst(input, conversation.max_tokens);
        let mut attempt = 0;
        loop {
            self.wait_until_open().await?;
            let begun = ledger.begin(worst)?;
            let mut fold = vendor.fold(input);
            let mut headers = Headers::new();
            let result = self.attempt(&request, fold.as_mut(), &mut headers).await;
            ledger.end(begun, fold.usage().map(|usage| self.price.cost(usage)));
            let why = match result.and_then(|()| fold.finish()) {
                Ok(reply) => return Ok(reply),
                // What does not fit at the beginning will not fit tomorrow.
                Err(Trouble::Final(ProposerError::Rejected { reason, .. })) if conversation.turns.len() == 1 => {
                    return Err(ProposerError::Fatal(format!("{reason}; are the editable files too large?")));
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Again(why)) => why,
            };
            match self.retry.next(attempt, &headers, Timestamp::now()) {
                Next::After(pause) => self.sleep(pause).await,
                Next::TooLong(pause) => return Err(too_long(&why, pause)),
                Next::Never => return Err(ProposerError::Transient(format!("{why} ({} attempts)", attempt + 1))),
            }
            attempt += 1;
        }
    }

    /// Sends a request once and feeds the events of its response to `fold`.
    async fn attempt(&self, request: &Request, fold: &mut dyn Fold, headers: &mut Headers) -> Result<(), Trouble> {
        let mut stream = self.transport.send(request).await.map_err(failed)?;
        headers.clone_from(&stream.headers);
        // What the response repeats of the request may hold the key.
        let censor = |text: &str| request.key.as_ref().map_or(text.to_owned(), |(_, _, key)| key.censor(text));
        if !(200..300).contains(&stream.status) {
            let body = censor(&stream.text(LARGEST_ERROR).await.unwrap_or_default());
            let fallback = || serde_json::json!({ "error": { "message": shorten(&body) } });
            let error: Value = serde_json::from_str(&body).ok().filter(Value::is_object).unwrap_or_else(fallback);
            return Err(trouble(&error, Some(stream.status), headers));
        }
        let mut reading = Reading::default();
        while let Some(piece) = stream.next().await.map_err(failed)? {
            if reading.push(&piece, fold)? {
                return Ok(());
            }
        }
        reading.end(fold)
    }

    /// Waits while the server takes no more requests.
    async fn wait_until_open(&self) -> Result<(), ProposerError> {
        let pause = self.transport.closed_for();
        if self.transport.replays() || pause.is_zero() {
            return Ok(());
        }
        if pause > seconds(self.retry.patience) {
            return Err(too_long("the rate limit is used up", pause));
        }
        self.sleep(pause).await;
        Ok(())
    }

    async fn sleep(&self, pause: Duration) {
        if !self.transport.replays() {
            tokio::time::sleep(pause).await;
        }
    }
}

fn too_long(why: &str, pause: Duration) -> ProposerError {
    ProposerError::Transient(format!("{why}; the server asks for a pause of {:.0} s", pause.as_secs_f64()))
}

fn failed(failure: Failure) -> Trouble {
    match failure {
        Failure::Broken(why) => Trouble::Again(why),
        Failure::Unusable(_) | Failure::Cassette(_) => Trouble::Final(ProposerError::Fatal(failure.to_string())),
    }
}
