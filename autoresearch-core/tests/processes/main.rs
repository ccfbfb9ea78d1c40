//! Runs over real processes: what they leave behind, when they end, and what a kill at any moment leaves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod aa;
#[cfg(target_os = "linux")]
mod accelerator;
mod beside;
mod conformance;
mod container;
mod crash;
mod evaluation;
mod executor;
mod hostile;
mod hostile_runs;
mod isolation;
mod kill;
mod quantised;
mod run;
mod slots;
mod soak;
mod timing;
mod workers;
