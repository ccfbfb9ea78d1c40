//! Reads the body of a response as it comes: a stream of events, or one document from a server that does not stream,
//! whatever it is asked for.

use super::{Fold, Trouble};
use crate::http::sse::Reader;

#[derive(Default)]
pub(crate) struct Reading {
    form: Form,
    reader: Reader,
    /// What came before the form was known, or the document so far.
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
    /// Takes the next piece, and returns whether the reply is complete.
    pub fn push(&mut self, piece: &[u8], fold: &mut dyn Fold) -> Result<bool, Trouble> {
        if self.form == Form::Events {
            return self.events(piece, fold);
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
                    return self.events(&held, fold);
                }
            };
        }
        Ok(false)
    }

    fn events(&mut self, piece: &[u8], fold: &mut dyn Fold) -> Result<bool, Trouble> {
        for event in self.reader.push(piece).map_err(|e| Trouble::Again(e.to_string()))? {
            fold.event(&event)?;
            if fold.done() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The body is over.
    pub fn end(self, fold: &mut dyn Fold) -> Result<(), Trouble> {
        match self.form {
            Form::Document => {
                let reply = serde_json::from_slice(&self.held);
                fold.whole(reply.map_err(|e| Trouble::Again(format!("the response is not valid JSON: {e}")))?)
            }
            _ if fold.may_end() => Ok(()),
            _ => Err(Trouble::Again("the response ended before the reply did".into())),
        }
    }
}
