//! A recorded run, proposed again.

use async_trait::async_trait;
use autoresearch_core::internal::journal::{Entry, Record, StagedExperiment};
use autoresearch_core::{Context, Cost, Patch, Proposal, Proposer, ProposerError, RejectedDraft, Wave};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Reason why a journal cannot be proposed again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A proposal has no change of the right kind.
    #[error(
        "the change of `{description}` cannot be proposed again ({why}): an imported table holds only results, and another domain has other changes"
    )]
    NoChange {
        /// Description of the proposal.
        description: String,
        /// Reason for the failure.
        why: String,
    },
    /// The journal holds no proposal.
    #[error("the journal holds no proposal")]
    Empty,
}

/// Proposes the changes of a recorded run in their order, rejected ones included; then it is exhausted.
///
/// A recorded draft that came to nothing has no change: it comes to nothing again, for the recorded reason.
///
/// Over a deterministic sandbox, metric and ratchet the new run goes as the recorded one did. The place in the record is the
/// number of proposals so far, so that a run can be resumed; a [`crate::Portfolio`], where others propose in between, is no
/// place for it. Proposals cost nothing here, since they were paid for in the recorded run.
///
/// ```
/// use autoresearch_agents::{ReplayError, ReplayProposer};
/// let empty = ReplayProposer::<autoresearch_core::Patch>::new([]);
/// assert!(matches!(empty, Err(ReplayError::Empty)));
/// ```
#[derive(Debug, Clone)]
pub struct ReplayProposer<C = Patch>(Vec<Result<Proposal<C>, RejectedDraft>>);

impl<C: DeserializeOwned> ReplayProposer<C> {
    /// Reads the proposals of a journal.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<ReplayProposer<C>, ReplayError> {
        let mut proposals = Vec::new();
        for entry in entries {
            let (description, hypothesis, change, proposer, design) = match &entry.record {
                Record::Staged(StagedExperiment {
                    parent: Some(_),
                    description,
                    hypothesis,
                    change,
                    proposer,
                    design,
                    ..
                }) => (description, hypothesis.as_str(), change, proposer, design.clone()),
                // Every proposal keeps its place, also one without a change.
                Record::Rejected { description, reason, change, proposer, .. } if change.is_null() => {
                    let mut draft = RejectedDraft::new(description, reason, Cost::default());
                    draft.proposer.clone_from(proposer);
                    proposals.push(Err(draft));
                    continue;
                }
                Record::Rejected { description, change, proposer, .. } => (description, "", change, proposer, None),
                _ => continue,
            };
            let change = C::deserialize(change)
                .map_err(|e| ReplayError::NoChange { description: description.clone(), why: e.to_string() })?;
            let proposal = Proposal::new(change, description).because(hypothesis).at_cost(Cost::default());
            proposals.push(Ok(Proposal { proposer: proposer.clone(), design, ..proposal }));
        }
        if proposals.is_empty() { Err(ReplayError::Empty) } else { Ok(ReplayProposer(proposals)) }
    }
}

#[async_trait]
impl<C: Clone + Send + Sync> Proposer<C> for ReplayProposer<C> {
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError> {
        let made = || ProposerError::Exhausted(format!("all {} recorded proposals were made", self.0.len()));
        Ok(self.0.get(context.proposals()).cloned().ok_or_else(made)??)
    }

    async fn propose_wave(&mut self, context: &Context<'_, C>, most: usize) -> Result<Wave<C>, ProposerError> {
        let rest = self.0.iter().skip(context.proposals());
        let wave: Wave<C> = rest.take(most.max(1)).cloned().collect();
        // The error of the end.
        if wave.is_empty() { Ok(vec![Ok(self.propose(context).await?)]) } else { Ok(wave) }
    }
}
