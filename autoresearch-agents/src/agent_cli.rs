//! An agent's command line as a proposer.
//!
//! The agent works in a scratch copy of the editable files, and what it changed there is the proposal, whatever it says
//! about it. It runs under a hard limit, with nothing of it left afterwards, in an environment that holds no key: a proxy
//! on loopback adds the key to what it asks of the model's server.
//!
//! What this does not cover: the agent runs as the user and may read what the user may, unless it has a sandbox of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::process::{Command, Ending, Limits, describe};
use autoresearch_core::{Cancel, Context, Cost, EditablePaths, Patch, Proposal, Proposer, ProposerError, SandboxError};

mod agent;
mod answer;
mod folder;
mod prompt;
mod proxy;
mod usage;

pub use agent::Agent;
use agent::Job;
use answer::{Answer, end_of};
use folder::{Change, Folder};
pub use proxy::{Auth, KeyProxy, Tally, Upstream};
pub use usage::{Price, Usage};

/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(2);

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
    /// So many requests pass through the proxy for one proposal.
    pub calls: u32,
    /// Wall clock for one proposal.
    pub limit: Duration,
    /// What tokens cost, for agents that do not say what they cost.
    pub price: Option<Price>,
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
            calls: 100,
            limit: Duration::from_secs(600),
            price: None,
        }
    }
}

/// Asks an agent for each proposal, in a fresh folder and a fresh session.
#[derive(Debug)]
pub struct AgentCliProposer {
    settings: AgentSettings,
    /// What went wrong with the last attempt, for the next prompt.
    trouble: Option<String>,
    /// What attempts without a proposal cost. The next proposal carries it.
    unpaid: Cost,
}

/// What one run of the agent came to.
struct Attempt {
    result: Result<(Patch, String), ProposerError>,
    cost: Cost,
}

impl AgentCliProposer {
    /// A proposer over an agent.
    pub fn new(settings: AgentSettings) -> AgentCliProposer {
        AgentCliProposer { settings, trouble: None, unpaid: Cost::default() }
    }

    async fn attempt(&self, context: &Context<'_>) -> Result<Attempt, ProposerError> {
        let AgentSettings { agent, editable, .. } = &self.settings;
        let folder = Folder::make(&self.settings.scratch, &context.files, &self.settings.references)
            .map_err(|e| ProposerError::Transient(format!("the agent's folder cannot be made: {e}")))?;
        let proxy = match &self.settings.upstream {
            Some(upstream) => Some(KeyProxy::start(upstream, self.settings.calls).await.map_err(ProposerError::Fatal)?),
            None => None,
        };
        let (ending, output) = self.run(context, &folder, proxy.as_ref()).await?;

        let tally = proxy.as_ref().map(KeyProxy::tally).unwrap_or_default();
        let mut answer = agent.read(&output, &folder);
        if let Some(how) = describe(ending) {
            // How it ended says more than that it printed no result; but an agent that failed often says why.
            let why = answer.failure.take().unwrap_or_else(|| end_of(&output));
            answer.failure = Some(match ending {
                Ending::Limit => format!("it was killed after {:.0} s", self.settings.limit.as_secs_f64()),
                _ => format!("it {how}: {why}"),
            });
        }
        let cost = self.cost(&answer, &tally);
        let change = folder.change(&context.files, editable);
        let result = match change.map_err(|e| ProposerError::Transient(format!("reading what the agent changed: {e}")))
        {
            Ok(change) => self.judge(change, &answer, &tally).map(|patch| (patch, answer.message)),
            Err(error) => Err(error),
        };
        Ok(Attempt { result, cost })
    }

    /// Runs the agent to its end, and returns how it ended and what it printed.
    async fn run(
        &self,
        context: &Context<'_>,
        folder: &Folder,
        proxy: Option<&KeyProxy>,
    ) -> Result<(Ending, String), ProposerError> {
        let settings = &self.settings;
        let agent = &settings.agent;
        let prompt = prompt::prompt(context, &settings.editable, self.trouble.as_deref());
        let job = Job {
            folder,
            prompt: &prompt,
            model: settings.model.as_deref(),
            arguments: &settings.arguments,
            proxy: proxy.zip(settings.upstream.as_ref().map(Upstream::auth)),
        };
        let call =
            agent.call(&job).map_err(|e| ProposerError::Transient(format!("preparing the agent's folder: {e}")))?;
        let command = Command {
            argv: call.argv,
            directory: folder.work(),
            environment: call.environment.into_iter().chain(settings.environment.iter().cloned()).collect(),
            log: folder.beside("log"),
            limit: settings.limit,
            grace: GRACE,
            limits: Limits::default(),
        };
        // A cancelled run drops this future, which ends the agent with all that it started.
        let finished = command.run(&Cancel::new(), &|_| {}).await.map_err(|error| match error {
            SandboxError::CannotStart { command, source } => {
                ProposerError::Fatal(format!("cannot start `{command}`: {source}; {}", agent.how_to_install()))
            }
            other => ProposerError::Transient(format!("{}: {other}", agent.name())),
        })?;
        let output = std::fs::read(&command.log)
            .map_err(|e| ProposerError::Transient(format!("reading what the agent printed: {e}")))?;
        Ok((finished.ending, String::from_utf8_lossy(&output).into_owned()))
    }

    /// Whether what an agent left is a proposal. Its edits do not count when it failed: they may be half of an idea.
    fn judge(&self, change: Change, answer: &Answer, tally: &Tally) -> Result<Patch, ProposerError> {
        let name = self.settings.agent.name();
        if let Some(status) = tally.key_refused {
            let why = format!("the model's server refuses the key (HTTP {status}); set one that is valid");
            return Err(ProposerError::Fatal(why));
        }
        let denied = match answer.denied.is_empty() {
            true => String::new(),
            false => format!(" (denied: {})", end_of(&answer.denied.join(", "))),
        };
        let spent = match tally.over_budget {
            0 => String::new(),
            _ => format!(", and the {} calls for one proposal were spent", self.settings.calls),
        };
        if let Some(failure) = &answer.failure {
            return Err(ProposerError::Transient(format!("{name} failed: {failure}{denied}{spent}")));
        }
        match change {
            Change::Edits(patch) => Ok(patch),
            Change::Strays(strays) => Err(ProposerError::Transient(format!(
                "{name} changed what may not be changed: {strays}; editable: {}",
                self.settings.editable
            ))),
            Change::Nothing => Err(ProposerError::Transient(format!(
                "{name} changed nothing{denied}{spent}; it said: {}",
                end_of(&answer.message)
            ))),
        }
    }

    /// What an attempt cost: by the agent's own account, else as counted on the way.
    fn cost(&self, answer: &Answer, tally: &Tally) -> Cost {
        let usage = if answer.usage.tokens() > 0 { answer.usage } else { tally.usage };
        let by_price = self.settings.price.map_or(0.0, |price| usage.dollars(&price));
        let dollars = answer.dollars.filter(|dollars| dollars.is_finite() && *dollars >= 0.0).unwrap_or(by_price);
        Cost { tokens: usage.tokens(), dollars }
    }
}

#[async_trait]
impl Proposer for AgentCliProposer {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let Attempt { result, cost } = self.attempt(context).await?;
        self.unpaid.tokens = self.unpaid.tokens.saturating_add(cost.tokens);
        self.unpaid.dollars += cost.dollars;
        match result {
            Ok((patch, message)) => {
                self.trouble = None;
                let (mut description, hypothesis) = answer::describe(&message);
                if description.is_empty() {
                    description = format!("an edit by {}", self.settings.agent.name());
                }
                Ok(Proposal::new(patch, description).because(hypothesis).at_cost(std::mem::take(&mut self.unpaid)))
            }
            Err(error) => {
                self.trouble = Some(error.to_string());
                Err(error)
            }
        }
    }
}
