//! An agent's command line as a proposer.
//!
//! The agent works in a scratch copy of the editable files, and the difference that it leaves there is the proposal, whatever
//! its message says. It runs under a hard limit, every process that it started ends with it, and its environment holds no key:
//! a proxy on loopback adds the key to its requests to the model's server.
//!
//! Limits of this protection: the agent runs as the user and may read what the user may, unless it has a sandbox of its own.

mod agent;
mod answer;
mod change;
mod description;
mod folder;
mod litter;
mod prompt;
mod proposer;
mod proxy;
mod settings;
mod usage;

pub use agent::Agent;
pub use description::DescriptionPattern;
pub use proposer::AgentCliProposer;
pub use proxy::{Auth, KeyProxy, Tally, Upstream};
pub use settings::{AgentSettings, Outside};
