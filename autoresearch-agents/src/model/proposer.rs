//! The proposer that all vendors share: asks, applies what is answered, has it checked and mended, and keeps the books.

use std::collections::BTreeMap;

use autoresearch_core::{Context, Cost, Patch, Proposal, ProposerError, SandboxError};

use super::answer::{Answer, one_line, schema, schema_of_several};
use super::budget::{Caps, Ledger, paid};
use super::call::Caller;
use super::dry_run::DryRun;
use super::options::{Mode, Options, Surroundings};
use super::prices::{Price, Prices, no_price};
use super::workbench::{Effect, Workbench, tools};
use super::{CallResult, Conversation, Reply, Stop, Turn, Vendor, shorten};
use crate::http::{Cassette, Transport};
use crate::prompt::{Ask, asking, fenced};

/// Asks one model for proposals.
pub struct ModelProposer {
    pub(super) vendor: Box<dyn Vendor>,
    pub(super) caller: Caller,
    pub(super) options: Options,
    surroundings: Surroundings,
    pub(super) ledger: Ledger,
    /// Whether the model's price is known.
    priced: bool,
    /// What ends the run, once what was spent before it is reported.
    pub(super) end: Option<ProposerError>,
}

/// A proposal that is not there yet.
pub(super) enum Round {
    Ready(Proposal),
    /// The answer is to be mended: this is wrong with it.
    Mend(String),
}

impl ModelProposer {
    pub(crate) fn new(
        vendor: Box<dyn Vendor>,
        base_url: &str,
        options: Options,
        surroundings: Surroundings,
    ) -> Result<ModelProposer, ProposerError> {
        let fatal = |why: String| ProposerError::Fatal(why);
        let prices = Prices::with(&options.prices).map_err(|e| fatal(format!("the table of prices: {e}")))?;
        let known = prices.of(vendor.model());
        let price = match known {
            Some(price) => price,
            None if options.per_proposal.dollars.or(surroundings.night.dollars).is_some() => {
                return Err(fatal(no_price(vendor.model())));
            }
            None => Price::NOTHING,
        };
        let opened = match (&options.replay, &options.record) {
            (Some(path), _) => Cassette::replay_from(path),
            (None, Some(path)) => Cassette::record_to(path),
            (None, None) => Ok(surroundings.cassette.clone()),
        };
        let cassette = opened.map_err(|e| fatal(e.to_string()))?;
        let transport = Transport::new(base_url, options.timeouts, cassette).map_err(|e| fatal(e.to_string()))?;
        let caller = Caller { transport, retry: options.retry, price };
        let ledger = Ledger::new(options.per_proposal, surroundings.night);
        Ok(ModelProposer { vendor, caller, options, surroundings, ledger, priced: known.is_some(), end: None })
    }

    /// Replaces what all proposals together may cost.
    pub fn set_night(&mut self, caps: Caps) {
        self.ledger.set_night(caps);
    }

    /// The first request of the next proposal and what it may cost, without sending anything.
    pub fn dry_run(&self, context: &Context<'_>) -> DryRun {
        let conversation = self.conversation(context, Ask::One);
        let request = self.vendor.request(&conversation);
        let input_tokens = Conversation::tokens(&request);
        let worst = self.caller.price.worst(input_tokens, conversation.max_tokens);
        let mut user = conversation.files;
        for turn in &conversation.turns {
            if let Turn::User(words) = turn {
                user = format!("{user}\n\n{words}");
            }
        }
        DryRun {
            system: Some(conversation.rules),
            user,
            tools: conversation.tools.iter().map(|tool| tool.name).collect(),
            body: Some(request.body),
            input_tokens,
            worst,
            priced: self.priced,
        }
    }

    pub(super) fn conversation(&self, context: &Context<'_>, ask: Ask) -> Conversation {
        let Options { mode, history, max_tokens, structured, .. } = &self.options;
        let prompt = asking(context, *mode, &self.surroundings.editable, *history, ask);
        let single = *mode == Mode::SingleShot;
        Conversation {
            rules: prompt.rules,
            files: prompt.files,
            turns: vec![Turn::User(prompt.history)],
            tools: if single { Vec::new() } else { tools(self.surroundings.check.is_some()) },
            schema: (single && *structured).then(|| match ask {
                Ask::Several(_) => schema_of_several(),
                _ => schema(),
            }),
            max_tokens: *max_tokens,
        }
    }

    /// Makes the next proposal, and reports what it cost whatever becomes of it.
    pub(crate) async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.ledger.open(context.spent);
        let result = match self.options.mode {
            Mode::SingleShot => self.single_shot(context).await,
            Mode::Agentic => self.agentic(context, Ask::One, &self.ledger).await,
        };
        let cost = self.ledger.close();
        match result {
            Ok(proposal) => Ok(Proposal { cost, ..proposal }),
            Err(error) => Err(paid(error, cost, &mut self.end)),
        }
    }

    async fn single_shot(&self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let mut conversation = self.conversation(context, Ask::One);
        let mut mended = 0;
        for _ in 0..self.options.turns.max(1) {
            let reply = self.caller.call(&*self.vendor, &conversation, &self.ledger).await?;
            let wrong = match usable(&reply, self.options.max_tokens)? {
                Use::Whole => {
                    let round = match Answer::parse(&reply.text) {
                        Ok(answer) => {
                            self.judge(context, answer.patch(), &answer.description, &answer.hypothesis).await?
                        }
                        Err(why) => Round::Mend(why),
                    };
                    conversation.echo(&reply);
                    match round {
                        Round::Ready(proposal) => return Ok(proposal),
                        Round::Mend(wrong) => {
                            format!("{wrong}\n\nThe files are as they were. Answer again, whole and in the same form.")
                        }
                    }
                }
                Use::Unfinished => {
                    conversation.echo(&reply);
                    continue;
                }
                Use::Cut => CUT.to_owned(),
            };
            mended += 1;
            if mended > self.options.repairs {
                return Err(refused("an unusable answer", wrong));
            }
            conversation.say(wrong);
        }
        Err(refused("no proposal", format!("the model did not finish within {} turns", self.options.turns)))
    }

    /// One conversation with tools, at the cost of `ledger`.
    pub(super) async fn agentic(
        &self,
        context: &Context<'_>,
        ask: Ask,
        ledger: &Ledger,
    ) -> Result<Proposal, ProposerError> {
        let mut conversation = self.conversation(context, ask);
        let mut bench = Workbench::new(context.files.clone(), self.surroundings.editable.clone());
        let turns = self.options.turns.max(1);
        let mut mended = 0;
        for turn in 0..turns {
            if turn > 0 && turn + 2 == turns {
                conversation.say("Two turns are left: end with `propose`.");
            }
            let reply = self.caller.call(&*self.vendor, &conversation, ledger).await?;
            let wrong = match usable(&reply, self.options.max_tokens)? {
                Use::Cut => Some(CUT),
                Use::Unfinished => {
                    conversation.echo(&reply);
                    continue;
                }
                Use::Whole => {
                    conversation.echo(&reply);
                    reply.calls.is_empty().then_some("Go on with the tools, and end with `propose`.")
                }
            };
            if let Some(wrong) = wrong {
                mended += 1;
                if mended > self.options.repairs {
                    return Err(refused("an unusable answer", wrong.to_owned()));
                }
                conversation.say(wrong);
                continue;
            }
            let mut results = Vec::new();
            for call in reply.calls {
                let effect = match call.arguments {
                    Ok(arguments) => bench.call(&call.name, arguments),
                    Err(text) => Effect::Done(Err(format!("the arguments are not valid JSON: {text}"))),
                };
                let result = match effect {
                    Effect::Done(result) => result,
                    Effect::Check => self.check(context, &bench.files()).await?.map(|()| "passed".to_owned()),
                    Effect::Propose { description, hypothesis } => {
                        match self.judge(context, bench.patch(), &description, &hypothesis).await? {
                            Round::Ready(proposal) => return Ok(proposal),
                            Round::Mend(wrong) => Err(wrong),
                        }
                    }
                };
                let failed = result.is_err();
                results.push(CallResult { id: call.id, text: result.unwrap_or_else(|error| error), failed });
            }
            conversation.turns.push(Turn::Results(results));
        }
        Err(refused("no proposal", format!("the model made no proposal within {turns} turns")))
    }

    /// Applies a patch to the incumbent's files and has it checked.
    pub(super) async fn judge(
        &self,
        context: &Context<'_>,
        patch: Patch,
        description: &str,
        hypothesis: &str,
    ) -> Result<Round, ProposerError> {
        let changed = match patch.apply(&context.files, &self.surroundings.editable) {
            Ok(changed) => changed,
            Err(error) => return Ok(Round::Mend(format!("The patch cannot be applied: {error}."))),
        };
        if self.surroundings.check.is_some() {
            let mut files = (*context.files).clone();
            files.extend(changed);
            if let Err(words) = self.check(context, &files).await? {
                return Ok(Round::Mend(words));
            }
        }
        let description = match one_line(description) {
            empty if empty.is_empty() => "a change without a description".to_owned(),
            line => line,
        };
        let mut proposal = Proposal::new(patch, description);
        proposal.hypothesis = hypothesis.trim().to_owned();
        Ok(Round::Ready(proposal))
    }

    async fn check(
        &self,
        context: &Context<'_>,
        files: &BTreeMap<String, String>,
    ) -> Result<Result<(), String>, ProposerError> {
        let Some(check) = &self.surroundings.check else { return Ok(Err("there is no check".into())) };
        match check.check(&context.incumbent, files).await {
            Ok(result) => Ok(result.map_err(|words| format!("The check failed. What it said:\n{}", fenced(&words)))),
            Err(error @ (SandboxError::CannotStart { .. } | SandboxError::DiskFull { .. })) => {
                Err(ProposerError::Fatal(format!("the check: {error}")))
            }
            // The machine's trouble is not the patch's: its experiment will show what it is worth, and the money is spent.
            Err(_) => Ok(Ok(())),
        }
    }
}

pub(super) const CUT: &str =
    "Your last answer reached its limit of tokens and was discarded. Answer again, more briefly.";

/// More bytes than a token ever has as JSON, on average.
const BYTES_PER_TOKEN: u64 = 16;

/// What can be done with a reply.
pub(super) enum Use {
    Whole,
    Unfinished,
    Cut,
}

pub(super) fn usable(reply: &Reply, max_tokens: u64) -> Result<Use, ProposerError> {
    // No server should send more than was asked for; what does is not sent back, since every turn would pay for it again.
    let size: usize = reply.content.iter().map(|block| block.to_string().len()).sum();
    let huge = size as u64 > max_tokens.saturating_mul(BYTES_PER_TOKEN).saturating_add(64 << 10);
    match &reply.stop {
        Stop::End | Stop::Calls | Stop::Pause if huge => Ok(Use::Cut),
        Stop::End | Stop::Calls => Ok(Use::Whole),
        Stop::Pause => Ok(Use::Unfinished),
        Stop::MaxTokens => Ok(Use::Cut),
        Stop::Refusal(why) => Err(refused("the model declined", format!("it declined to answer: {why}"))),
        Stop::WindowExceeded => {
            Err(refused("no proposal", "the conversation no longer fits into the model's window".into()))
        }
    }
}

/// No proposal; what it cost is filled in where it is known.
pub(super) fn refused(description: &str, reason: String) -> ProposerError {
    ProposerError::Rejected { description: description.to_owned(), reason: shorten(&reason), cost: Cost::default() }
}
