//! Reads the body of a response as it comes: a stream of events, or one document from a server that does not stream,
//! whatever it is asked for.

use super::server_error::ReplyError;
use super::vendor::ReplyBuilder;
use crate::http::sse::Reader;

#[derive(Default)]
pub(crate) struct Reading {
    form: Form,
    reader: Reader,
    /// Bytes before the form is known, or the document so far.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Form {
    #[default]
    Unknown,
    Events,
    Document,
}

impl Reading {
    /// Reads the next piece and returns true once the reply is complete.
    pub fn push(&mut self, piece: &[u8], builder: &mut dyn ReplyBuilder) -> Result<bool, ReplyError> {
        if self.form == Form::Events {
            return self.events(piece, builder);
        }
        self.held.extend_from_slice(piece);
        if self.form == Form::Unknown {
            // The headers of some servers are wrong, but no event begins with a brace.
            self.form = match self.held.trim_ascii_start().first() {
                None => Form::Unknown,
                Some(b'{') => Form::Document,
                Some(_) => {
                    self.form = Form::Events;
                    let held = std::mem::take(&mut self.held);
                    return self.events(&held, builder);
                }
            };
        }
        Ok(false)
    }

    fn events(&mut self, piece: &[u8], builder: &mut dyn ReplyBuilder) -> Result<bool, ReplyError> {
        for event in self.reader.push(piece).map_err(|e| ReplyError::Retry(e.to_string()))? {
            builder.read_event(&event)?;
            if builder.is_complete() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the end of the body.
    pub fn end(self, builder: &mut dyn ReplyBuilder) -> Result<(), ReplyError> {
        match self.form {
            Form::Document => {
                let reply = serde_json::from_slice(&self.held);
                builder.read_document(
                    reply.map_err(|e| ReplyError::Retry(format!("the response is not valid JSON: {e}")))?,
                )
            }
            _ if builder.may_end() => Ok(()),
            _ => Err(ReplyError::Retry("the response ended before the reply did".into())),
        }
    }
}
