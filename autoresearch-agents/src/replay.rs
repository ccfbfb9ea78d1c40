//! A recorded night, proposed again.

use async_trait::async_trait;
use autoresearch_core::journal::{Entry, Record, StagedExperiment};
use autoresearch_core::{Context, Cost, Patch, Proposal, Proposer, ProposerError};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a journal cannot be proposed again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A proposal has no change that could be made again.
    #[error(
        "the change of `{description}` cannot be made again ({why}): an imported table has only results, and another domain has other changes"
    )]
    NoChange {
        /// The proposal.
        description: String,
        /// What is wrong.
        why: String,
    },
    /// There is nothing in it.
    #[error("the journal holds no proposal")]
    Empty,
}

/// Proposes what a recorded run proposed, in its order, also what was refused; then it is exhausted.
///
/// Over a deterministic sandbox, metric and ratchet the night goes as the recorded one did. It finds its place by the number
/// of proposals so far, so that it can be continued; it belongs into no [`crate::Portfolio`], where others propose in between.
/// What the ideas cost was spent in the recorded night: here they cost nothing.
#[derive(Debug, Clone)]
pub struct ReplayProposer<C = Patch>(Vec<Proposal<C>>);

impl<C: DeserializeOwned> ReplayProposer<C> {
    /// The proposals of a journal.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<ReplayProposer<C>, ReplayError> {
        let mut proposals = Vec::new();
        for entry in entries {
            let (description, hypothesis, change, proposer) = match &entry.record {
                Record::Staged(StagedExperiment {
                    parent: Some(_), description, hypothesis, change, proposer, ..
                }) => (description, hypothesis.as_str(), change, proposer),
                Record::Rejected { description, change, proposer, .. } => (description, "", change, proposer),
                _ => continue,
            };
            let change = C::deserialize(change)
                .map_err(|e| ReplayError::NoChange { description: description.clone(), why: e.to_string() })?;
            let proposal = Proposal::new(change, description).because(hypothesis).at_cost(Cost::default());
            proposals.push(Proposal { proposer: proposer.clone(), ..proposal });
        }
        if proposals.is_empty() { Err(ReplayError::Empty) } else { Ok(ReplayProposer(proposals)) }
    }
}

#[async_trait]
impl<C: Clone + Send + Sync> Proposer<C> for ReplayProposer<C> {
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError> {
        let proposal = self.0.get(context.proposals()).cloned();
        proposal.ok_or_else(|| ProposerError::Exhausted(format!("all {} recorded proposals are made", self.0.len())))
    }

    async fn propose_wave(&mut self, context: &Context<'_, C>, most: usize) -> Result<Vec<Proposal<C>>, ProposerError> {
        let mut wave = vec![self.propose(context).await?];
        let rest = self.0.iter().skip(context.proposals() + 1);
        wave.extend(rest.take(most.saturating_sub(1)).cloned());
        Ok(wave)
    }
}
