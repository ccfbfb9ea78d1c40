//! An agent's command line as a proposer.
//!
//! The agent works in a scratch copy of the editable files, and what it changed there is the proposal, whatever it says
//! about it. It runs under a hard limit, with nothing of it left afterwards, in an environment that holds no key: a proxy
//! on loopback adds the key to what it asks of the model's server.
//!
//! What this does not cover: the agent runs as the user and may read what the user may, unless it has a sandbox of its own.

use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::process::{Command, Ending, Limits, describe};
use autoresearch_core::{Cancel, Context, Cost, Patch, Proposal, Proposer, ProposerError, SandboxError};
use futures_util::future::join_all;

mod agent;
mod answer;
mod folder;
mod prompt;
mod proxy;
mod settings;
mod usage;

pub use agent::Agent;
use agent::Job;
use answer::{Answer, end_of};
use folder::{Change, Folder};
pub use proxy::{Auth, KeyProxy, Tally, Upstream};
pub use settings::AgentSettings;

use crate::model::budget::{Ledger, together};
use crate::model::{DryRun, Price, Prices};
use crate::prompt::Ask;

/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(2);

/// Asks an agent for each proposal, in a fresh folder and a fresh session.
#[derive(Debug)]
pub struct AgentCliProposer {
    settings: AgentSettings,
    /// What went wrong with the last attempt, for the next prompt.
    trouble: Option<String>,
    ledger: Ledger,
    /// What ends the run, once what was spent before it is reported.
    end: Option<ProposerError>,
}

/// What one run of the agent came to.
struct Attempt {
    result: Result<(Patch, String), ProposerError>,
    /// What it cost by the agent's own account.
    account: Cost,
}

impl AgentCliProposer {
    /// A proposer over an agent.
    pub fn new(settings: AgentSettings) -> AgentCliProposer {
        let ledger = Ledger::new(settings.per_proposal, settings.night);
        AgentCliProposer { settings, trouble: None, ledger, end: None }
    }

    /// The task for the next proposal, without starting anything. What the agent adds to it is its own.
    pub fn dry_run(&self, context: &Context<'_>) -> Result<DryRun, ProposerError> {
        let user = prompt::prompt(context, &self.settings.editable, self.trouble.as_deref(), Ask::One);
        let input_tokens = (user.len() as u64).div_ceil(3);
        let price = self.price(&self.prices()?);
        let worst = price.unwrap_or(Price::NOTHING).worst(input_tokens, 0);
        Ok(DryRun { input_tokens, worst, priced: price.is_some(), body: None, system: None, user, tools: Vec::new() })
    }

    fn prices(&self) -> Result<Prices, ProposerError> {
        Prices::with(&self.settings.prices).map_err(|e| ProposerError::Fatal(format!("the table of prices: {e}")))
    }

    /// The price of the model that was chosen for the agent.
    fn price(&self, prices: &Prices) -> Option<Price> {
        self.settings.model.as_deref().and_then(|model| prices.of(model))
    }

    /// One run of the agent for one question, at the cost of `ledger`.
    async fn attempt(&self, context: &Context<'_>, ask: Ask, ledger: &Ledger) -> Result<Attempt, ProposerError> {
        let AgentSettings { agent, editable, .. } = &self.settings;
        let prices = self.prices()?;
        let folder = Folder::make(&self.settings.scratch, &context.files, &self.settings.references)
            .map_err(|e| ProposerError::Transient(format!("the agent's folder cannot be made: {e}")))?;
        let proxy = match &self.settings.upstream {
            Some(upstream) => {
                let started = KeyProxy::start_with(upstream, ledger.clone(), prices.clone()).await;
                Some(started.map_err(ProposerError::Fatal)?)
            }
            None => None,
        };
        let (ending, output) = self.run(context, ask, &folder, proxy.as_ref()).await?;

        let (tally, refused) = match proxy {
            Some(proxy) => proxy.end().await,
            None => Default::default(),
        };
        let mut answer = agent.read(&output, &folder);
        if let Some(how) = describe(ending) {
            // How it ended says more than that it printed no result; but an agent that failed often says why.
            let why = answer.failure.take().unwrap_or_else(|| end_of(&output));
            answer.failure = Some(match ending {
                Ending::Limit => format!("it was killed after {:.0} s", self.settings.limit.as_secs_f64()),
                _ => format!("it {how}: {why}"),
            });
        }
        let account = self.account(&answer, &prices);
        let change = folder.change(&context.files, editable);
        let result = match change.map_err(|e| ProposerError::Transient(format!("reading what the agent changed: {e}")))
        {
            Ok(change) => self.judge(change, &answer, &tally, refused).map(|patch| (patch, answer.message)),
            Err(error) => Err(error),
        };
        Ok(Attempt { result, account })
    }

    /// Runs the agent to its end, and returns how it ended and what it printed.
    async fn run(
        &self,
        context: &Context<'_>,
        ask: Ask,
        folder: &Folder,
        proxy: Option<&KeyProxy>,
    ) -> Result<(Ending, String), ProposerError> {
        let settings = &self.settings;
        let agent = &settings.agent;
        let prompt = prompt::prompt(context, &settings.editable, self.trouble.as_deref(), ask);
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
    fn judge(
        &self,
        change: Change,
        answer: &Answer,
        tally: &Tally,
        over_budget: Option<ProposerError>,
    ) -> Result<Patch, ProposerError> {
        let name = self.settings.agent.name();
        if let Some(status) = tally.key_refused {
            let why = format!("the model's server refuses the key (HTTP {status}); set one that is valid");
            return Err(ProposerError::Fatal(why));
        }
        let spent = match over_budget {
            // Not even the first call is within the budget: the agent is not to blame.
            Some(error) if tally.calls == 0 => return Err(error),
            Some(error @ ProposerError::Fatal(_)) => return Err(error),
            Some(error) => format!(", and {error}"),
            None => String::new(),
        };
        let denied = match answer.denied.is_empty() {
            true => String::new(),
            false => format!(" (denied: {})", end_of(&answer.denied.join(", "))),
        };
        if let Some(failure) = &answer.failure {
            return Err(ProposerError::Transient(format!("{name} failed: {failure}{denied}{spent}")));
        }
        let why = match change {
            Change::Edits(patch) => return Ok(patch),
            Change::Strays(strays) => {
                let editable = &self.settings.editable;
                format!("{name} changed what may not be changed: {strays}; editable: {editable}")
            }
            Change::Nothing => {
                format!("{name} changed nothing{denied}{spent}; it said: {}", end_of(&answer.message))
            }
        };
        // It came to an end and was paid for.
        Err(ProposerError::Rejected {
            description: self.describe(&answer.message).0,
            reason: why,
            cost: Cost::default(),
        })
    }

    /// What an attempt cost by the agent's own account: in dollars, or in tokens of a model whose price is known.
    fn account(&self, answer: &Answer, prices: &Prices) -> Cost {
        let by_price = self.price(prices).map_or(0.0, |price| price.cost(answer.usage).dollars);
        let dollars = answer.dollars.filter(|dollars| dollars.is_finite() && *dollars >= 0.0).unwrap_or(by_price);
        Cost { tokens: answer.usage.total(), dollars, calls: 0 }
    }

    /// The description and the hypothesis in an agent's last message.
    fn describe(&self, message: &str) -> (String, String) {
        match answer::describe(message) {
            (empty, hypothesis) if empty.is_empty() => {
                (format!("an edit by {}", self.settings.agent.name()), hypothesis)
            }
            both => both,
        }
    }
}

/// Of two accounts of the same the larger one: nothing that was spent may be missing from the journal.
fn larger(a: Cost, b: Cost) -> Cost {
    Cost { tokens: a.tokens.max(b.tokens), dollars: a.dollars.max(b.dollars), calls: a.calls.max(b.calls) }
}

#[async_trait]
impl Proposer for AgentCliProposer {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let none = || ProposerError::Transient("the agent proposed nothing".into());
        self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(none)
    }

    /// Agents at the same time, each in a folder of its own and with another direction; what all of them ask of the model's
    /// server is kept in the same books.
    async fn propose_wave(&mut self, context: &Context<'_>, most: usize) -> Result<Vec<Proposal>, ProposerError> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.ledger.open(context.spent);
        folder::clear(&self.settings.scratch)
            .map_err(|e| ProposerError::Transient(format!("the agents' folder cannot be made: {e}")))?;
        let asks = match most {
            0 | 1 => vec![Ask::One],
            most => Ask::beside_each_other(context, most),
        };
        let made = join_all(asks.into_iter().enumerate().map(|(nth, ask)| self.make(context, ask, nth))).await;
        let failed = made.iter().find_map(|(result, _)| result.as_ref().err());
        self.trouble = failed.filter(|_| made.iter().all(|(result, _)| result.is_err())).map(|error| match error {
            ProposerError::Rejected { reason, .. } => reason.clone(),
            other => other.to_string(),
        });
        together(made, &mut self.end)
    }
}

impl AgentCliProposer {
    /// Makes the `nth` proposal of a wave, and says what it cost.
    async fn make(&self, context: &Context<'_>, ask: Ask, nth: usize) -> (Result<Proposal, ProposerError>, Cost) {
        let ledger = self.ledger.account(nth);
        let attempt = self.attempt(context, ask, &ledger).await;
        let counted = ledger.close();
        match attempt {
            Ok(Attempt { result, account }) => {
                let proposal = result.map(|(patch, message)| {
                    let (description, hypothesis) = self.describe(&message);
                    Proposal::new(patch, description).because(hypothesis)
                });
                (proposal, larger(counted, account))
            }
            Err(error) => (Err(error), counted),
        }
    }
}
