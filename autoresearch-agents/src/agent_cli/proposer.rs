//! The proposer over an agent: one fresh folder, session and account for each proposal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::process::{Command, Ending, Limits, describe};
use autoresearch_core::{
    Cancel, Context, Cost, Patch, Proposal, Proposer, ProposerError, RejectedDraft, SandboxError, Wave,
};
use futures_util::future::join_all;

use super::agent::{Agent, Job};
use super::answer::{Answer, describe_change};
use super::change::{Change, Rules, name_some};
use super::folder::{self, Folder};
use super::litter::Litter;
use super::prompt::prompt;
use super::proxy::{KeyProxy, Tally, Upstream};
use super::settings::{AgentSettings, Outside};
use crate::model::{Caps, Check, DryRun, Ledger, Price, Prices, Streak, report_wave};
use crate::prompt::{Ask, fenced};
use crate::text::end_of;

/// Time between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(2);

/// Asks an agent for each proposal, in a fresh folder and a fresh session.
///
/// ```no_run
/// use autoresearch_agents::{Agent, AgentCliProposer, AgentSettings};
/// use autoresearch_core::EditablePaths;
/// let settings = AgentSettings::new(Agent::claude_code(), EditablePaths::new(["src/**"]), "/tmp/scratch");
/// let proposer = AgentCliProposer::new(settings);
/// println!("the run may spend {}", proposer.run_caps());
/// ```
#[derive(Debug)]
pub struct AgentCliProposer {
    settings: AgentSettings,
    litter: Litter,
    /// Failures and warnings of the last wave, for the next prompt.
    notes: Vec<String>,
    ledger: Ledger,
    streak: Streak,
    /// Error that ends the run once the costs beside it are journaled.
    end: Option<ProposerError>,
}

/// Result of one session of the agent.
struct Session {
    result: Result<Draft, ProposerError>,
    /// Cost by the agent's own account.
    account: Cost,
    /// Failure or warning for the next prompt.
    note: Option<String>,
    /// True if the agent did nothing because its model's server was out of reach.
    was_offline: bool,
}

/// A proposal of a wave, or the reason why there is none.
struct Made {
    result: Result<Proposal, ProposerError>,
    cost: Cost,
    /// Failure or warning for the next prompt.
    note: Option<String>,
    /// Reason for the failure of a session whose cost is not known.
    unpaid: Option<String>,
}

/// A change that an agent left, with the account of it.
struct Draft {
    patch: Patch,
    description: String,
    hypothesis: String,
    /// Files that were left out, for the next prompt.
    warning: Option<String>,
}

impl AgentCliProposer {
    /// A proposer over an agent.
    pub fn new(settings: AgentSettings) -> AgentCliProposer {
        let ledger = Ledger::new(settings.per_proposal, settings.run_caps);
        let litter = Litter::of(settings.repository.as_deref());
        let streak = Streak::new(settings.backoff);
        AgentCliProposer { settings, litter, notes: Vec::new(), ledger, streak, end: None }
    }

    /// Sets the check that every change must pass before it is proposed. Default: none.
    pub fn with_check(mut self, check: Option<Arc<dyn Check>>) -> AgentCliProposer {
        self.settings.check = check;
        self
    }

    /// Returns the limits of the run as they are enforced, the default in dollars included.
    pub fn run_caps(&self) -> Caps {
        self.ledger.run_caps()
    }

    /// Returns the task for the next proposal, without starting anything. The agent adds its own system prompt to it.
    pub fn dry_run(&self, context: &Context<'_>) -> Result<DryRun, ProposerError> {
        let user = self.task(context, Ask::One);
        let input_tokens = (user.len() as u64).div_ceil(3);
        let price = self.price(&self.prices()?);
        let worst = price.unwrap_or(Price::NOTHING).worst(input_tokens, 0);
        Ok(DryRun { input_tokens, worst, priced: price.is_some(), body: None, system: None, user, tools: Vec::new() })
    }

    fn prices(&self) -> Result<Prices, ProposerError> {
        Prices::with(&self.settings.prices).map_err(|e| ProposerError::Fatal(format!("the table of prices: {e}")))
    }

    /// Returns the price of the model that was chosen for the agent.
    fn price(&self, prices: &Prices) -> Option<Price> {
        self.settings.model.as_deref().and_then(|model| prices.of(model))
    }

    /// Replaces the key of the model's server wherever it stands in a text.
    fn censor(&self, text: String) -> String {
        match &self.settings.upstream {
            Some(upstream) => upstream.key().censor(&text),
            None => text,
        }
    }

    fn task(&self, context: &Context<'_>, ask: Ask) -> String {
        self.censor(prompt(context, &self.settings.editable, self.settings.outside, &self.notes, ask))
    }

    /// Holds one session with the agent for one question, at the cost of `ledger`.
    async fn hold_session(&self, context: &Context<'_>, ask: Ask, ledger: &Ledger) -> Result<Session, ProposerError> {
        let AgentSettings { agent, editable, repository, .. } = &self.settings;
        let prices = self.prices()?;
        let folder =
            Folder::make(&self.settings.scratch, &context.files, &self.settings.references, repository.as_deref())
                .map_err(|e| ProposerError::Transient(format!("the agent's folder cannot be made: {e}")))?;
        let proxy = match &self.settings.upstream {
            Some(upstream) => {
                let started = KeyProxy::start_with(upstream, ledger.clone(), prices.clone()).await;
                Some(started.map_err(ProposerError::Fatal)?)
            }
            None => None,
        };
        let (ending, output) = self.run(context, ask, &folder, proxy.as_ref()).await?;
        let output = self.censor(output);

        let (tally, over_budget) = match proxy {
            Some(proxy) => proxy.end().await,
            None => Default::default(),
        };
        let mut answer = agent.read(&output, &folder);
        if let Some(how) = describe(ending) {
            // The ending outweighs a missing result; but an agent that failed often says why.
            let why = answer.failure.take().unwrap_or_else(|| end_of(&output));
            answer.failure = Some(match ending {
                Ending::Limit => format!("it was killed after {:.0} s", self.settings.limit.as_secs_f64()),
                _ => format!("it {how}: {why}"),
            });
        }
        let account = self.account(&answer, &prices);
        folder.unlock();
        let rules = Rules { editable, litter: &self.litter, repository: repository.as_deref() };
        let change = Change::read(&folder, &context.files, &rules)
            .map_err(|e| ProposerError::Transient(format!("reading the agent's changes: {e}")));
        let is_untouched = change.as_ref().is_ok_and(|change| change.patch.edits.is_empty());
        let was_offline = match self.settings.upstream {
            Some(_) => tally.calls > 0 && tally.unserved == tally.calls,
            None => is_untouched && !matches!(ending, Ending::Limit) && answer.blames_network(),
        };
        let judged = change.and_then(|change| self.judge(change, &answer, &tally, over_budget));
        let (result, note) = match judged {
            Ok(draft) => self.check(context, draft).await,
            Err(error) => {
                let note = note_of(&error);
                (Err(error), Some(note))
            }
        };
        Ok(Session { result, account, note, was_offline })
    }

    /// Runs the agent to its end, and returns its ending and its output.
    async fn run(
        &self,
        context: &Context<'_>,
        ask: Ask,
        folder: &Folder,
        proxy: Option<&KeyProxy>,
    ) -> Result<(Ending, String), ProposerError> {
        let settings = &self.settings;
        let agent = &settings.agent;
        let task = self.task(context, ask);
        let job = Job {
            folder,
            prompt: &task,
            model: settings.model.as_deref(),
            arguments: &settings.arguments,
            repository: settings.repository.as_deref(),
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
            isolation: None,
            results: None,
        };
        // A cancelled run drops this future, which ends the agent with every process that it started.
        let finished = command.run(&Cancel::new(), &|_| {}).await.map_err(|error| match error {
            SandboxError::CannotStart { command, source } => {
                ProposerError::Fatal(format!("cannot start `{command}`: {source}; {}", agent.how_to_install()))
            }
            other => ProposerError::Transient(format!("{}: {other}", agent.name())),
        })?;
        let output = std::fs::read(&command.log)
            .map_err(|e| ProposerError::Transient(format!("reading the agent's output: {e}")))?;
        Ok((finished.ending, String::from_utf8_lossy(&output).into_owned()))
    }

    /// Decides whether a change is a proposal. The edits of a session that failed do not count: they may be half of an idea.
    fn judge(
        &self,
        change: Change,
        answer: &Answer,
        tally: &Tally,
        over_budget: Option<ProposerError>,
    ) -> Result<Draft, ProposerError> {
        let name = self.settings.agent.name();
        if let Some(status) = tally.key_rejected {
            let why = format!("the model's server rejects the key (HTTP {status}); set one that is valid");
            return Err(ProposerError::Fatal(why));
        }
        let spent = match over_budget {
            // Not even the first call is within the limits: the agent is not to blame.
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
        let editable = &self.settings.editable;
        let Change { patch, outside, mut forbidden, unreadable } = change;
        if self.settings.outside == Outside::Reject {
            forbidden.extend(outside.iter().cloned());
        }
        let is_agents = matches!(self.settings.agent, Agent::Command(_));
        let (description, hypothesis) = describe_change(&answer.message, is_agents, self.settings.description.as_ref());
        let description = if description.is_empty() { format!("an edit by {name}") } else { description };
        let holds_key = || serde_json::to_string(&patch).is_ok_and(|text| self.censor(text.clone()) != text);
        let reason = if let Some(why) = unreadable {
            format!("{name} left {why}; editable: {editable}")
        } else if !forbidden.is_empty() {
            format!("{name} changed files that may not be changed: {}; editable: {editable}", name_some(&forbidden))
        } else if patch.edits.is_empty() {
            let left = match outside.is_empty() {
                true => String::new(),
                false => format!(" among the editable files, {editable} ({} and left out)", name_some(&outside)),
            };
            format!("{name} changed nothing{left}{denied}{spent}; it said: {}", end_of(&answer.message))
        } else if holds_key() {
            format!("{name} wrote the key of the model's server into a file")
        } else {
            let warn = || format!("Left out, since only {editable} may be changed: {}.", name_some(&outside));
            let warning = (!outside.is_empty()).then(warn);
            return Ok(Draft { patch, description, hypothesis, warning });
        };
        // The session came to its end and was paid for.
        Err(RejectedDraft::new(description, reason, Cost::default()).into())
    }

    /// Runs the check over a draft, if there is one. Returns a note for the next prompt beside the result.
    async fn check(&self, context: &Context<'_>, draft: Draft) -> (Result<Draft, ProposerError>, Option<String>) {
        let warning = draft.warning.clone();
        let Some(check) = &self.settings.check else { return (Ok(draft), warning) };
        let reject = |draft: Draft, reason: String, note: String| {
            let rejected = RejectedDraft::new(draft.description, reason, Cost::default());
            (Err(rejected.into()), Some(note))
        };
        let files: BTreeMap<String, String> = match draft.patch.applied_to(&context.files, &self.settings.editable) {
            Ok(files) => files,
            Err(error) => {
                let reason = format!("the change cannot be applied: {error}");
                return reject(draft, reason.clone(), reason);
            }
        };
        match check.check(&context.incumbent, &files).await {
            Ok(Ok(())) => (Ok(draft), warning),
            Ok(Err(words)) => {
                let words = self.censor(words);
                let note = format!("The check of your change failed. It printed:\n{}", fenced(&words));
                reject(draft, format!("the check failed: {}", end_of(&words)), note)
            }
            Err(error @ (SandboxError::CannotStart { .. } | SandboxError::DiskFull { .. })) => {
                (Err(ProposerError::Fatal(format!("the check: {error}"))), None)
            }
            // A failure of the machine is not the change's: its experiment will measure it, and the session is paid for.
            Err(_) => (Ok(draft), warning),
        }
    }

    /// Returns the cost of a session by the agent's own account: in dollars, or in tokens of a model whose price is known.
    fn account(&self, answer: &Answer, prices: &Prices) -> Cost {
        let by_price = self.price(prices).map_or(0.0, |price| price.cost(answer.usage).dollars);
        let dollars = answer.dollars.filter(|dollars| dollars.is_finite() && *dollars >= 0.0).unwrap_or(by_price);
        Cost { tokens: answer.usage.total(), dollars, calls: 0 }
    }

    /// Makes the `nth` proposal of a wave, and returns it with its cost and its warning.
    async fn make(&self, context: &Context<'_>, ask: Ask, nth: usize) -> Made {
        let ledger = self.ledger.account(nth);
        let session = self.hold_session(context, ask, &ledger).await;
        let counted = ledger.close();
        match session {
            Ok(Session { result, account, note, was_offline }) => {
                let cost = larger(counted, account);
                // The program ran: it may have spent what nobody tells.
                let is_unpaid = cost == Cost::default() && !was_offline;
                let unpaid = match &result {
                    Err(ProposerError::Transient(why)) if is_unpaid => Some(why.clone()),
                    _ => None,
                };
                let made = |draft: Draft| Proposal::new(draft.patch, draft.description).because(draft.hypothesis);
                Made { result: result.map(made), cost, note, unpaid }
            }
            Err(error) => {
                let note = Some(note_of(&error));
                Made { result: Err(error), cost: counted, note, unpaid: None }
            }
        }
    }
}

/// Returns the words of an error for the next prompt.
fn note_of(error: &ProposerError) -> String {
    match error {
        ProposerError::Rejected(RejectedDraft { reason, .. }) => reason.clone(),
        other => other.to_string(),
    }
}

/// Returns the larger of two accounts of the same session: nothing that was spent may be missing from the journal.
fn larger(a: Cost, b: Cost) -> Cost {
    Cost { tokens: a.tokens.max(b.tokens), dollars: a.dollars.max(b.dollars), calls: a.calls.max(b.calls) }
}

#[async_trait]
impl Proposer for AgentCliProposer {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let none = || ProposerError::Transient("the agent proposed nothing".into());
        Ok(self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(none)??)
    }

    /// Runs agents at the same time, each in a folder of its own and with another direction. Their requests to the model's
    /// server are kept in the same books.
    async fn propose_wave(&mut self, context: &Context<'_>, most: usize) -> Result<Wave, ProposerError> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.streak.wait().await?;
        self.ledger.open(context.spent);
        // An agent with its own login asks nobody before it spends.
        self.ledger.check_run()?;
        folder::clear(&self.settings.scratch)
            .map_err(|e| ProposerError::Transient(format!("the agents' folder cannot be made: {e}")))?;
        let asks = match most {
            0 | 1 => vec![Ask::One],
            most => Ask::beside_each_other(context, most),
        };
        let sessions = join_all(asks.into_iter().enumerate().map(|(nth, ask)| self.make(context, ask, nth))).await;
        let (mut entries, mut notes, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for Made { result, cost, note, unpaid } in sessions {
            entries.push((result, cost));
            notes.extend(note);
            failures.extend(unpaid);
        }
        self.notes = notes;
        let result = report_wave(entries, &mut self.end);
        self.ledger.report();
        self.streak.note(&result, &failures);
        result
    }

    fn unreported(&mut self) -> Vec<RejectedDraft> {
        self.ledger.unreported()
    }
}
