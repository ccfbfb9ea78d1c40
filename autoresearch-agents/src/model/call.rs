//! One call of a model: within its budget, and again after failures that a retry may mend.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use autoresearch_core::{ProposerError, RejectedDraft};
use jiff::Timestamp;
use serde_json::Value;

use super::conversation::{Conversation, Reply};
use super::ledger::Ledger;
use super::prices::Price;
use super::reading::Reading;
use super::server_error::{ReplyError, read_server_error};
use super::vendor::{ReplyBuilder, Vendor};
use crate::http::retry::Next;
use crate::http::{Failure, Headers, Request, Retry, Stream, Transport, seconds};
use crate::text::shorten;

/// Largest error body that is read, in bytes.
const LARGEST_ERROR: usize = 64 << 10;
/// First calls of conversations in a row that a server may turn down before the run ends: then the settings or the files are
/// to blame, and no single conversation.
const FIRST_CALLS: u32 = 3;

/// Sends conversations to one server.
pub(crate) struct Caller {
    pub transport: Transport,
    pub retry: Retry,
    pub price: Price,
    /// First calls of conversations in a row that the server turned down.
    turned_down: AtomicU32,
}

impl Caller {
    pub fn new(transport: Transport, retry: Retry, price: Price) -> Caller {
        Caller { transport, retry, price, turned_down: AtomicU32::new(0) }
    }

    /// Sends a conversation and returns the reply. Every billed attempt is in the ledger.
    pub async fn call(
        &self,
        vendor: &dyn Vendor,
        conversation: &Conversation,
        ledger: &Ledger,
    ) -> Result<Reply, ProposerError> {
        let mut request = vendor.request(conversation);
        // A run may have printed the key where the model will read it.
        request.censor_body();
        let input = Conversation::estimate_tokens(&request);
        let worst = self.price.worst(input, conversation.max_tokens);
        let mut attempt = 0;
        loop {
            self.wait_until_open().await?;
            let started = ledger.start_call(worst)?;
            let mut builder = vendor.reply_builder(input);
            let mut headers = Headers::new();
            let sent = self.transport.send(&request).await;
            // A server that took the request may work on an answer that nobody waits for, and bill it.
            let is_unanswered = matches!(sent, Err(Failure::Unanswered(_)));
            let result = match sent {
                Ok(stream) => read(&request, stream, builder.as_mut(), &mut headers).await,
                Err(failure) => Err(failed(failure)),
            };
            let usage = builder.usage().map(|usage| self.price.cost(usage));
            ledger.finish_call(started, usage.or(is_unanswered.then_some(worst)));
            let why = match result.and_then(|()| builder.finish()) {
                Ok(reply) => {
                    self.turned_down.store(0, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(ReplyError::Final(ProposerError::Rejected(RejectedDraft { reason, .. })))
                    if conversation.is_new() && self.turned_down.fetch_add(1, Ordering::Relaxed) + 1 >= FIRST_CALLS =>
                {
                    return Err(ProposerError::Fatal(format!(
                        "the server turned down the first calls of {FIRST_CALLS} proposals in a row: {reason}; check the \
                         settings of the proposer and the size of the editable files"
                    )));
                }
                Err(ReplyError::Final(error)) => return Err(error),
                Err(ReplyError::Retry(why)) => why,
            };
            match self.retry.next(attempt, &headers, Timestamp::now()) {
                Next::After(pause) => self.sleep(pause).await,
                Next::TooLong(pause) => return Err(too_long(&why, pause)),
                Next::Never => return Err(ProposerError::Transient(format!("{why} ({} attempts)", attempt + 1))),
            }
            attempt += 1;
        }
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

/// Gives the events of the response to `request` to `builder`.
async fn read(
    request: &Request,
    mut stream: Stream,
    builder: &mut dyn ReplyBuilder,
    headers: &mut Headers,
) -> Result<(), ReplyError> {
    headers.clone_from(&stream.headers);
    // The response may quote the key.
    let censor = |text: &str| request.key.as_ref().map_or(text.to_owned(), |(_, _, key)| key.censor(text));
    if !(200..300).contains(&stream.status) {
        let body = censor(&stream.text(LARGEST_ERROR).await.unwrap_or_default());
        let fallback = || serde_json::json!({ "error": { "message": shorten(&body) } });
        let error: Value = serde_json::from_str(&body)
            .ok()
            .filter(|error: &Value| error.is_object() || error.is_array())
            .unwrap_or_else(fallback);
        return Err(read_server_error(&error, Some(stream.status), headers));
    }
    let mut reading = Reading::default();
    while let Some(piece) = stream.next().await.map_err(failed)? {
        if reading.push(&piece, builder)? {
            return Ok(());
        }
    }
    reading.end(builder)
}

fn too_long(why: &str, pause: Duration) -> ProposerError {
    ProposerError::Transient(format!("{why}; the server asks for a pause of {:.0} s", pause.as_secs_f64()))
}

fn failed(failure: Failure) -> ReplyError {
    match failure {
        Failure::Broken(why) | Failure::Unanswered(why) => ReplyError::Retry(why),
        Failure::Unusable(_) | Failure::Cassette(_) => ReplyError::Final(ProposerError::Fatal(failure.to_string())),
    }
}
