//! Proposers for autoresearch: who has the ideas.
//!
//! [`KnobProposer`] needs no model: it searches over annotated constants of a source file ([`constants`]).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod constants;
pub mod knobs;
mod space;

pub use constants::{Constant, ConstantError, Knob};
pub use knobs::{KnobProposer, Search};
