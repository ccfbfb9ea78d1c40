//! Proposers for autoresearch: who has the ideas.
//!
//! [`KnobProposer`] needs no model: it searches over annotated constants of a source file ([`constants`]).
//! [`ClaudeProposer`] and [`OpenAiProposer`] ask language models over their vendors' interfaces.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod constants;
pub mod knobs;

pub mod http;

pub mod model;

pub mod prompt;

pub mod claude;
pub mod openai;

#[cfg(test)]
mod testing;

pub use claude::{ClaudeProposer, ClaudeSettings};
pub use constants::{Constant, ConstantError, Knob};
pub use knobs::KnobProposer;
pub use openai::{OpenAiProposer, OpenAiSettings};
