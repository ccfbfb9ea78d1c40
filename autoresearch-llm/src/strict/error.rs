//! Errors of the evaluation, and whose they are.

use std::io;

use thiserror::Error;

use crate::error::DataError;

/// A model has no val_bpb, or cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StrictError {
    /// The data that it is measured on.
    #[error(transparent)]
    Data(#[from] DataError),
    /// This machine lacks something that the evaluation needs.
    #[error("{0}")]
    Machine(String),
    /// The model's server does not do what is asked of it.
    #[error("{0}")]
    Server(String),
    /// The model's answers depend on what they must not depend on.
    #[error("{0}")]
    Probe(String),
}

impl StrictError {
    pub(crate) fn machine(doing: &str) -> impl Fn(io::Error) -> StrictError + '_ {
        move |error| StrictError::Machine(format!("{doing}: {error}"))
    }

    pub(crate) fn server(why: impl Into<String>) -> StrictError {
        StrictError::Server(why.into())
    }
}
