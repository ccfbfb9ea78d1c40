//! The seam between what all vendors share and one vendor's interface.

use serde_json::Value;

use super::conversation::{Conversation, Reply};
use super::prices::Usage;
use super::server_error::ReplyError;
use crate::http::Request;
use crate::http::sse::Event;

/// One vendor's interface.
pub(crate) trait Vendor: Send + Sync {
    /// Returns the model's name.
    fn model(&self) -> &str;

    /// Returns the next request of a conversation.
    fn request(&self, conversation: &Conversation) -> Request;

    /// Starts to assemble one reply. `input` is the estimated number of the request's tokens, for servers that do not count.
    fn reply_builder(&self, input: u64) -> Box<dyn ReplyBuilder>;
}

/// Assembles one reply from the events of its response.
pub(crate) trait ReplyBuilder: Send {
    /// Reads the next event.
    fn read_event(&mut self, event: &Event) -> Result<(), ReplyError>;

    /// Reads the whole reply as one document, as servers send it that never stream.
    fn read_document(&mut self, reply: Value) -> Result<(), ReplyError>;

    /// Returns true once the reply is complete.
    fn is_complete(&self) -> bool;

    /// Returns true if the response may end here: some servers close it without a last event.
    fn may_end(&self) -> bool {
        self.is_complete()
    }

    /// Returns the tokens used so far as far as the server counted them, or `None` if it began no answer.
    fn usage(&self) -> Option<Usage>;

    /// Returns the assembled reply.
    fn finish(self: Box<Self>) -> Result<Reply, ReplyError>;
}
