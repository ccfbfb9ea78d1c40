//! Proposers for autoresearch.
//!
//! Without a model: [`KnobProposer`] searches over constants with ranges, in any language ([`constants`]), [`DesignProposer`]
//! proposes the points of a factorial design, [`MergeProposer`] combines changes that failed narrowly, [`ReplayProposer`]
//! proposes a recorded run again. A [`Portfolio`] lets several proposers take turns.
//!
//! With a model: [`ClaudeProposer`] and [`OpenAiProposer`] ask over their vendors' interfaces, [`AgentCliProposer`] lets
//! Claude Code, Codex or any other agent's command line edit a scratch copy ([`agent_cli`]). [`digest()`] is the history of the
//! search that they are shown, of bounded length.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod agent_cli;
pub mod constants;
pub mod design;
pub mod digest;
pub mod knobs;
pub mod merge;
pub mod portfolio;
pub mod replay;
mod space;
pub mod suggestions;

pub mod http;

pub mod model;

pub mod prompt;

pub mod claude;
pub mod openai;

mod files;
mod lab_files;
mod text;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod testing;

pub use agent_cli::{Agent, AgentCliProposer, AgentSettings};
pub use claude::{ClaudeProposer, ClaudeSettings};
pub use constants::{Constant, ConstantError, Knob, RangeError};
pub use design::{DesignProposer, Factorial};
pub use digest::{Strategy, digest, strategy};
pub use knobs::{KnobProposer, Search};
pub use merge::MergeProposer;
pub use openai::{OpenAiProposer, OpenAiSettings};
pub use portfolio::Portfolio;
pub use replay::{ReplayError, ReplayProposer};
pub use suggestions::{Suggestion, suggestions};
