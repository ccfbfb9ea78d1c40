//! The proposer that all vendors share: asks, applies the answer, has it checked and mended, and keeps the books.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoresearch_core::{
    Context, Cost, Experiment, Patch, Proposal, Proposer, ProposerError, RejectedDraft, SandboxError, Wave,
};

use super::answer::{Answer, DESCRIPTION, HYPOTHESIS, check_paths, schema, schema_of_several};
use super::backoff::Streak;
use super::call::Caller;
use super::caps::Caps;
use super::conversation::{CallResult, Conversation, Reply, Stop, Turn};
use super::draft::{Draft, Effect};
use super::dry_run::DryRun;
use super::ledger::Ledger;
use super::options::{Mode, Options, Surroundings};
use super::prices::{Price, Prices, explain_missing_price};
use super::report::report_wave;
use super::tools::tools;
use super::vendor::Vendor;
use crate::http::{Cassette, Transport};
use crate::prompt::{Ask, asking, fenced};
use crate::text::{clean, one_line, shorten};

/// Asks one model for proposals.
pub(crate) struct ModelProposer {
    pub(super) vendor: Box<dyn Vendor>,
    pub(super) caller: Caller,
    pub(super) options: Options,
    surroundings: Surroundings,
    pub(super) ledger: Ledger,
    /// True if the model's price is known.
    priced: bool,
    streak: Streak,
    /// Error that ends the run once the costs beside it are journaled.
    end: Option<ProposerError>,
}

/// State of a proposal after one answer.
pub(super) enum Round {
    Ready(Proposal),
    /// The answer must be mended, for this reason.
    Mend(String),
}

impl ModelProposer {
    /// A proposer of `vendor`, whose server is at `url`.
    pub(crate) fn new(
        vendor: Box<dyn Vendor>,
        url: &str,
        options: Options,
        surroundings: Surroundings,
    ) -> Result<ModelProposer, ProposerError> {
        let fatal = |why: String| ProposerError::Fatal(why);
        let prices = Prices::with(&options.prices).map_err(|e| fatal(format!("the table of prices: {e}")))?;
        let opened = match (&options.replay, &options.record) {
            (Some(path), _) => Cassette::replay_from(path),
            (None, Some(path)) => Cassette::record_to(path),
            (None, None) => Ok(surroundings.cassette.clone()),
        };
        let cassette = opened.map_err(|e| fatal(e.to_string()))?;
        let known = prices.of(vendor.model());
        let ledger = Ledger::new(options.per_proposal, surroundings.run_caps);
        // A server of one's own is taken to be free unless it has a price; a vendor's is not.
        let is_paid = options.base_url.is_none() && !cassette.replays();
        let is_limited = ledger.run_caps().dollars.is_some_and(f64::is_finite);
        let needs_price = ledger.limits_dollars() || is_paid && is_limited;
        let price = match known {
            Some(price) => price,
            None if needs_price => return Err(fatal(explain_missing_price(vendor.model()))),
            None => Price::NOTHING,
        };
        let transport = Transport::new(url, options.timeouts, cassette).map_err(|e| fatal(e.to_string()))?;
        let caller = Caller::new(transport, options.retry, price);
        let streak = Streak::new(options.backoff);
        Ok(ModelProposer { vendor, caller, options, surroundings, ledger, priced: known.is_some(), streak, end: None })
    }

    /// Replaces the limits of the run.
    pub(crate) fn set_run_caps(&mut self, caps: Caps) {
        self.ledger.set_run_caps(caps);
    }

    /// Returns the limits of the run as they are enforced: none in dollars where the model's price is unknown.
    pub(crate) fn run_caps(&self) -> Caps {
        let caps = self.ledger.run_caps();
        if self.priced || self.ledger.limits_dollars() { caps } else { Caps { dollars: None, ..caps } }
    }

    /// Returns the first request of the next proposal and its greatest cost, without sending anything.
    pub(crate) fn dry_run(&self, context: &Context<'_>) -> DryRun {
        let conversation = self.conversation(context, Ask::One);
        let request = self.vendor.request(&conversation);
        let input_tokens = Conversation::estimate_tokens(&request);
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

    /// Makes one wave, without the books around it.
    async fn make_wave(&self, context: &Context<'_>, most: usize) -> Vec<(Result<Proposal, ProposerError>, Cost)> {
        match self.options.mode {
            Mode::SingleShot if most > 1 => self.ask_for_several(context, most).await,
            Mode::Agentic if most > 1 => self.hold_conversations(context, most).await,
            mode => {
                let result = match mode {
                    Mode::SingleShot => self.single_shot(context).await,
                    Mode::Agentic => self.agentic(context, Ask::One, &self.ledger).await,
                };
                vec![(result, self.ledger.close())]
            }
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
                return Err(rejected("an unusable answer", &wrong));
            }
            conversation.say(wrong);
        }
        Err(rejected("no proposal", &format!("the model did not finish within {} turns", self.options.turns)))
    }

    /// Holds one conversation with tools, at the cost of `ledger`.
    pub(super) async fn agentic(
        &self,
        context: &Context<'_>,
        ask: Ask,
        ledger: &Ledger,
    ) -> Result<Proposal, ProposerError> {
        let mut conversation = self.conversation(context, ask);
        let mut draft = Draft::new(context.files.clone(), self.surroundings.editable.clone());
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
                    return Err(rejected("an unusable answer", wrong));
                }
                conversation.say(wrong);
                continue;
            }
            let mut results = Vec::new();
            for call in reply.calls {
                let effect = match call.arguments {
                    Ok(arguments) => draft.call(&call.name, arguments),
                    Err(text) => Effect::Done(Err(format!("the arguments are not valid JSON: {text}"))),
                };
                let result = match effect {
                    Effect::Done(result) => result,
                    Effect::Check => self.check(context, &draft.files()).await?.map(|()| "passed".to_owned()),
                    Effect::Propose { description, hypothesis } => {
                        match self.judge(context, draft.patch(), &description, &hypothesis).await? {
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
        Err(rejected("no proposal", &format!("the model made no proposal within {turns} turns")))
    }

    /// Applies a patch to the base's files and has it checked.
    pub(super) async fn judge(
        &self,
        context: &Context<'_>,
        patch: Patch,
        description: &str,
        hypothesis: &str,
    ) -> Result<Round, ProposerError> {
        if let Err(why) = check_paths(&patch) {
            return Ok(Round::Mend(why));
        }
        let files = match patch.applied_to(&context.files, &self.surroundings.editable) {
            Ok(files) => files,
            Err(error) => return Ok(Round::Mend(format!("The patch cannot be applied: {error}."))),
        };
        if self.surroundings.check.is_some()
            && let Err(words) = self.check(context, &files).await?
        {
            return Ok(Round::Mend(words));
        }
        let description = match one_line(description, DESCRIPTION) {
            empty if empty.is_empty() => "a change without a description".to_owned(),
            line => line,
        };
        let hypothesis: String = clean(hypothesis.trim()).chars().take(HYPOTHESIS).collect();
        Ok(Round::Ready(Proposal::new(patch, description).because(hypothesis)))
    }

    async fn check(
        &self,
        context: &Context<'_>,
        files: &BTreeMap<String, String>,
    ) -> Result<Result<(), String>, ProposerError> {
        let Some(check) = &self.surroundings.check else { return Ok(Err("there is no check".into())) };
        match check.check(&context.incumbent, files).await {
            Ok(result) => Ok(result.map_err(|words| format!("The check failed. It printed:\n{}", fenced(&words)))),
            Err(error @ (SandboxError::CannotStart { .. } | SandboxError::DiskFull { .. })) => {
                Err(ProposerError::Fatal(format!("the check: {error}")))
            }
            // A failure of the machine is not the patch's: its experiment will measure it, and the answer is paid for.
            Err(_) => Ok(Ok(())),
        }
    }
}

#[async_trait]
impl Proposer for ModelProposer {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let none = || ProposerError::Transient("nothing was proposed".into());
        Ok(self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(none)??)
    }

    /// Makes up to `most` proposals and reports the cost of each, whatever becomes of it.
    async fn propose_wave(&mut self, context: &Context<'_>, most: usize) -> Result<Wave, ProposerError> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        if !self.caller.transport.replays() {
            self.streak.wait().await?;
        }
        self.ledger.open(context.spent);
        let made = self.make_wave(context, most).await;
        let result = report_wave(made, &mut self.end);
        self.ledger.report();
        self.streak.note(&result, &[]);
        result
    }

    fn observe(&mut self, _experiment: &Experiment) {}

    fn unreported(&mut self) -> Vec<RejectedDraft> {
        self.ledger.unreported()
    }
}

pub(super) const CUT: &str =
    "Your last answer reached its limit of tokens and was discarded. Answer again, more briefly.";

/// Greatest average size of a token as JSON, in bytes.
const BYTES_PER_TOKEN: u64 = 16;

/// Use that can be made of a reply.
pub(super) enum Use {
    Whole,
    Unfinished,
    Cut,
}

pub(super) fn usable(reply: &Reply, max_tokens: u64) -> Result<Use, ProposerError> {
    // A reply beyond what was asked for is not sent back: every later turn would pay for it again.
    let size: usize = reply.content.iter().map(|block| block.to_string().len()).sum();
    let huge = size as u64 > max_tokens.saturating_mul(BYTES_PER_TOKEN).saturating_add(64 << 10);
    match &reply.stop {
        Stop::End | Stop::Calls | Stop::Pause if huge => Ok(Use::Cut),
        Stop::End | Stop::Calls => Ok(Use::Whole),
        Stop::Pause => Ok(Use::Unfinished),
        Stop::MaxTokens => Ok(Use::Cut),
        Stop::Refusal(why) => Err(rejected("the model declined", &format!("it declined to answer: {why}"))),
        Stop::WindowExceeded => Err(rejected("no proposal", "the conversation no longer fits into the model's window")),
    }
}

/// A draft without a proposal. Its cost is filled in by [`report_wave`].
pub(super) fn rejected(description: &str, reason: &str) -> ProposerError {
    RejectedDraft::new(description, shorten(reason), Cost::default()).into()
}
