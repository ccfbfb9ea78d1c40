//! Settings of an agent.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autoresearch_core::EditablePaths;
use serde::Deserialize;

use super::agent::Agent;
use super::description::DescriptionPattern;
use super::proxy::Upstream;
use crate::model::{Backoff, Caps, Check, Price};

/// Most requests of an agent for one proposal by default.
const CALLS: u64 = 100;

/// Settings of an [`AgentCliProposer`](super::AgentCliProposer).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AgentSettings {
    /// Agent to use.
    pub agent: Agent,
    /// Paths that it may change, remove or add.
    pub editable: EditablePaths,
    /// Folder outside every repository for its scratch copies, which belongs to this proposer alone.
    pub scratch: PathBuf,
    /// Root of the repository, which `{repo}` in a command stands for. Relative programs are found there, its `.gitignore`
    /// files say which files are litter, and its files have their executable bits in the scratch copy. Default: none.
    pub repository: Option<PathBuf>,
    /// Files and folders that it may read, by their path in the scratch copy, with the place that each is copied from.
    pub references: Vec<(String, PathBuf)>,
    /// Name of the model. Default: the agent's own choice.
    pub model: Option<String>,
    /// Further arguments of the command.
    pub arguments: Vec<String>,
    /// Further variables of its environment.
    pub environment: Vec<(String, OsString)>,
    /// Server that it reaches through the key proxy. Without one it uses its own login and the user's home.
    pub upstream: Option<Upstream>,
    /// Treatment of files that it leaves outside the editable paths. Default: drop them.
    pub outside: Outside,
    /// Pattern that chooses the description out of its output. Default: the JSON object that the prompt asks for, else the last
    /// line of a plain agent's output, else the first line of a message.
    pub description: Option<DescriptionPattern>,
    /// Check that its change must pass before it is proposed. Default: none.
    pub check: Option<Arc<dyn Check>>,
    /// Limits of one proposal. The proxy rejects requests that might pass them. Default: 100 calls.
    pub per_proposal: Caps,
    /// Limits of all proposals of the run together, likewise. [`DEFAULT_RUN_DOLLARS`](crate::model::DEFAULT_RUN_DOLLARS) holds
    /// where none in dollars is set.
    pub run_caps: Caps,
    /// Prices by model, which override the compiled-in table.
    pub prices: BTreeMap<String, Price>,
    /// Wall clock of one proposal. Default: ten minutes.
    pub limit: Duration,
    /// Waits after proposals in a row that came to nothing.
    pub backoff: Backoff,
}

/// Treatment of new files that an agent leaves outside the editable paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outside {
    /// Drops them with a warning in the next prompt; the rest is the proposal. A file that exists in the repository and was
    /// changed or removed still rejects the proposal, since the rest was made for that change.
    #[default]
    Drop,
    /// Rejects the proposal.
    Reject,
}

impl AgentSettings {
    /// Settings of an agent with its own login.
    pub fn new(agent: Agent, editable: EditablePaths, scratch: impl Into<PathBuf>) -> AgentSettings {
        AgentSettings {
            agent,
            editable,
            scratch: scratch.into(),
            repository: None,
            references: Vec::new(),
            model: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            upstream: None,
            outside: Outside::default(),
            description: None,
            check: None,
            per_proposal: Caps { calls: Some(CALLS), ..Caps::default() },
            run_caps: Caps::default(),
            prices: BTreeMap::new(),
            limit: Duration::from_secs(600),
            backoff: Backoff::default(),
        }
    }
}
