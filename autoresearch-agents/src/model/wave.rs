//! Several proposals at once: of one call in single shot, of conversations side by side where the model works with tools.

use autoresearch_core::{Context, Cost, Proposal, ProposerError};
use futures_util::future::join_all;

use super::Conversation;
use super::answer::Answer;
use super::budget::together;
use super::options::Mode;
use super::proposer::{CUT, ModelProposer, Round, Use, refused, usable};
use crate::prompt::Ask;

/// So many proposals are asked of one call at most: all of them must fit into the longest reply.
const MOST: usize = 8;

/// The proposals of one call so far, each with what its repairs cost.
type Ready = Vec<(Proposal, Cost)>;

impl ModelProposer {
    /// Makes up to so many proposals, and reports what all of it cost with those that there are.
    pub(crate) async fn propose_wave(
        &mut self,
        context: &Context<'_>,
        most: usize,
    ) -> Result<Vec<Proposal>, ProposerError> {
        if most <= 1 {
            return Ok(vec![self.propose(context).await?]);
        }
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.ledger.open(context.spent);
        let made = match self.options.mode {
            Mode::SingleShot => self.of_one_call(context, most.min(MOST)).await,
            Mode::Agentic => self.side_by_side(context, most).await,
        };
        together(made, &mut self.end)
    }

    /// Conversations at the same time, each with an account of its own in the same books.
    async fn side_by_side(&self, context: &Context<'_>, most: usize) -> Vec<(Result<Proposal, ProposerError>, Cost)> {
        let asks = Ask::beside_each_other(context, most);
        let one = async |(nth, ask): (usize, &Ask)| {
            let ledger = self.ledger.account(nth);
            let result = self.agentic(context, *ask, &ledger).await;
            (result, ledger.close())
        };
        if self.caller.transport.has_order() {
            let mut made = Vec::new();
            for ask in asks.iter().enumerate() {
                made.push(one(ask).await);
            }
            return made;
        }
        join_all(asks.iter().enumerate().map(one)).await
    }

    /// What one call answers. The call is paid for by the first proposal, repairs by those that were repaired.
    async fn of_one_call(&self, context: &Context<'_>, most: usize) -> Vec<(Result<Proposal, ProposerError>, Cost)> {
        self.ledger.stands_for(most);
        let mut ready = Ready::new();
        let result = self.fill(context, most, &mut ready).await;
        let repaired = ready.iter().skip(1).fold(Cost::default(), |all, (_, cost)| all.plus(*cost));
        let mut rest = Some(minus(self.ledger.close(), repaired));
        let mut made: Vec<_> =
            ready.into_iter().map(|(proposal, cost)| (Ok(proposal), rest.take().unwrap_or(cost))).collect();
        if let Err(error) = result {
            made.push((Err(error), rest.unwrap_or_default()));
        }
        made
    }

    async fn fill(&self, context: &Context<'_>, most: usize, ready: &mut Ready) -> Result<(), ProposerError> {
        let mut conversation = self.conversation(context, Ask::Several(most));
        let (answers, _) = self.answers(&mut conversation, self.options.repairs).await?;
        let mut broken = Vec::new();
        for (nth, answer) in (1..).zip(answers.into_iter().take(most)) {
            match self.judge_one(context, answer).await? {
                Round::Ready(proposal) => ready.push((proposal, Cost::default())),
                Round::Mend(wrong) => broken.push((nth, wrong)),
            }
        }
        let mut last = None;
        for (nth, wrong) in broken {
            let before = self.ledger.spent();
            match self.mend(context, conversation.clone(), nth, wrong).await {
                Ok(proposal) => ready.push((proposal, minus(self.ledger.spent(), before))),
                // What stays unusable is dropped; its cost is part of the wave's.
                Err(error @ ProposerError::Rejected { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        last.map_or(Ok(()), Err)
    }

    /// Asks until there is a list of answers, and how many repairs are left then.
    async fn answers(
        &self,
        conversation: &mut Conversation,
        mut repairs: u32,
    ) -> Result<(Vec<Result<Answer, String>>, u32), ProposerError> {
        for _ in 0..self.options.turns.max(1) {
            let reply = self.caller.call(&*self.vendor, conversation, &self.ledger).await?;
            let wrong = match usable(&reply, self.options.max_tokens)? {
                Use::Unfinished => {
                    conversation.echo(&reply);
                    continue;
                }
                Use::Cut => format!("{CUT} Fewer proposals are fine."),
                Use::Whole => {
                    conversation.echo(&reply);
                    match Answer::parse_all(&reply.text) {
                        Ok(answers) => return Ok((answers, repairs)),
                        Err(why) => {
                            format!("{why}\n\nThe files are as they were. Answer again, whole and in the same form.")
                        }
                    }
                }
            };
            let Some(left) = repairs.checked_sub(1) else { return Err(refused("an unusable answer", wrong)) };
            repairs = left;
            conversation.say(wrong);
        }
        Err(refused("no proposal", format!("the model did not finish within {} turns", self.options.turns)))
    }

    /// Has one proposal of a list mended, in a conversation of its own from there on.
    async fn mend(
        &self,
        context: &Context<'_>,
        mut conversation: Conversation,
        nth: usize,
        mut wrong: String,
    ) -> Result<Proposal, ProposerError> {
        let mut repairs = self.options.repairs;
        while repairs > 0 {
            conversation.say(format!(
                "Proposal {nth} of the list: {wrong}\n\nThe files are as they were. Answer again in the same form, with a list \
                 that holds only this proposal, whole."
            ));
            let (answers, left) = self.answers(&mut conversation, repairs - 1).await?;
            repairs = left;
            let first = answers.into_iter().next().unwrap_or_else(|| Err("the list is empty".into()));
            match self.judge_one(context, first).await? {
                Round::Ready(proposal) => return Ok(proposal),
                Round::Mend(why) => wrong = why,
            }
        }
        Err(refused("an unusable answer", wrong))
    }

    async fn judge_one(&self, context: &Context<'_>, answer: Result<Answer, String>) -> Result<Round, ProposerError> {
        match answer {
            Ok(answer) => self.judge(context, answer.patch(), &answer.description, &answer.hypothesis).await,
            Err(why) => Ok(Round::Mend(why)),
        }
    }
}

fn minus(all: Cost, part: Cost) -> Cost {
    Cost {
        tokens: all.tokens.saturating_sub(part.tokens),
        dollars: (all.dollars - part.dollars).max(0.0),
        calls: all.calls.saturating_sub(part.calls),
    }
}
