//! Several proposals at once: a list from one call in single shot, conversations side by side in agentic mode.

use autoresearch_core::{Context, Cost, Proposal, ProposerError};
use futures_util::future::join_all;

use super::answer::Answer;
use super::conversation::Conversation;
use super::proposer::{CUT, ModelProposer, Round, Use, rejected, usable};
use crate::prompt::Ask;

/// Most proposals that one call is asked for: all of them must fit into the longest reply.
const MOST: usize = 8;

/// Entries of one call so far, each with the cost of its repairs.
type Entries = Vec<(Result<Proposal, ProposerError>, Cost)>;

impl ModelProposer {
    /// Holds conversations at the same time, each with an account of its own in the same books.
    pub(super) async fn hold_conversations(
        &self,
        context: &Context<'_>,
        most: usize,
    ) -> Vec<(Result<Proposal, ProposerError>, Cost)> {
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

    /// Asks for a list in one call. The first entry pays for the call, every entry for its own repairs.
    pub(super) async fn ask_for_several(
        &self,
        context: &Context<'_>,
        most: usize,
    ) -> Vec<(Result<Proposal, ProposerError>, Cost)> {
        let most = most.min(MOST);
        self.ledger.stands_for(most);
        let mut entries = Entries::new();
        if let Err(error) = self.fill(context, most, &mut entries).await {
            entries.push((Err(error), Cost::default()));
        }
        let repairs = entries.iter().skip(1).fold(Cost::default(), |all, (_, cost)| all + *cost);
        let rest = minus(self.ledger.close(), repairs);
        if let Some((_, cost)) = entries.first_mut() {
            *cost = rest;
        }
        entries
    }

    async fn fill(&self, context: &Context<'_>, most: usize, entries: &mut Entries) -> Result<(), ProposerError> {
        let mut conversation = self.conversation(context, Ask::Several(most));
        let (answers, _) = self.answers(&mut conversation, self.options.repairs).await?;
        let mut broken = Vec::new();
        for (nth, answer) in (1..).zip(answers.into_iter().take(most)) {
            match self.judge_one(context, answer).await? {
                Round::Ready(proposal) => entries.push((Ok(proposal), Cost::default())),
                Round::Mend(wrong) => broken.push((nth, wrong)),
            }
        }
        for (nth, wrong) in broken {
            let before = self.ledger.spent();
            let mended = self.mend(context, conversation.clone(), nth, wrong).await;
            let cost = minus(self.ledger.spent(), before);
            match mended {
                // An answer that stays unusable is a rejected draft beside the others.
                Ok(_) | Err(ProposerError::Rejected(_)) => entries.push((mended, cost)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks until there is a list of answers, and returns it with the number of repairs left.
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
            let Some(left) = repairs.checked_sub(1) else { return Err(rejected("an unusable answer", &wrong)) };
            repairs = left;
            conversation.say(wrong);
        }
        Err(rejected("no proposal", &format!("the model did not finish within {} turns", self.options.turns)))
    }

    /// Has one proposal of a list mended, in a conversation that branches off after the list.
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
        Err(rejected("an unusable answer", &wrong))
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
