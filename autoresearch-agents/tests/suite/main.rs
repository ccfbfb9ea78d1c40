//! Behaviour of the proposers, one module for each kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_trait_methods)]

#[cfg(unix)]
mod agent_cli;
mod api;
mod conformance;
mod factorial_design;
mod fixture;
mod history_digest;
mod knob_searches;
mod merges;
mod portfolio;
mod replays;
