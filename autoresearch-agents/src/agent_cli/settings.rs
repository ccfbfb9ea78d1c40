//! How an agent is used.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use autoresearch_core::EditablePaths;

use super::agent::Agent;
use super::proxy::Upstream;
use crate::model::{Caps, Price};

/// So many requests an agent may make for one proposal, unless it is set otherwise.
const CALLS: u64 = 100;

/// How an agent is used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AgentSettings {
    /// Which one.
    pub agent: Agent,
    /// What it may change.
    pub editable: EditablePaths,
    /// A folder outside of every repository for its scratch copies, which belongs to this proposer alone.
    pub scratch: PathBuf,
    /// Files and folders that it may read, by the path at which it finds them.
    pub references: Vec<(String, PathBuf)>,
    /// The model, if not the agent's own choice.
    pub model: Option<String>,
    /// More arguments for it.
    pub arguments: Vec<String>,
    /// More variables for it.
    pub environment: Vec<(String, OsString)>,
    /// The server that it reaches through the key proxy. Without one it has its own login, and the user's home.
    pub upstream: Option<Upstream>,
    /// What one proposal may cost. The proxy refuses the requests that may go beyond it.
    pub per_proposal: Caps,
    /// What all proposals together may cost, likewise.
    pub night: Caps,
    /// Prices by model, instead of those that are compiled in.
    pub prices: BTreeMap<String, Price>,
    /// Wall clock for one proposal.
    pub limit: Duration,
}

impl AgentSettings {
    /// An agent with its own login, ten minutes and a hundred requests for each proposal.
    pub fn new(agent: Agent, editable: EditablePaths, scratch: impl Into<PathBuf>) -> AgentSettings {
        AgentSettings {
            agent,
            editable,
            scratch: scratch.into(),
            references: Vec::new(),
            model: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            upstream: None,
            per_proposal: Caps { calls: Some(CALLS), ..Caps::default() },
            night: Caps::default(),
            prices: BTreeMap::new(),
            limit: Duration::from_secs(600),
        }
    }
}
