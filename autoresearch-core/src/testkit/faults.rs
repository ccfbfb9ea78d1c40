//! Wrappers that let any sandbox or proposer fail now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use crate::cancel::Cancel;
use crate::experiment_id::ExperimentId;
use crate::proposer::{Context, Proposal, Proposer, ProposerError, RejectedDraft, Wave};
use crate::sandbox::{Candidate, Outcome, Rebase, Rebased, Revision, Sandbox, SandboxError, StageError, Trial};
use crate::state::Experiment;

/// A sandbox that fails at every `nth` trial: sometimes before the trial, sometimes after it.
pub struct Faulty<C> {
    sandbox: Arc<dyn Sandbox<C>>,
    every: u32,
    runs: AtomicU32,
}

impl<C> Faulty<C> {
    /// Lets every `nth` trial of `sandbox` fail, 2 at least.
    pub fn new(sandbox: Arc<dyn Sandbox<C>>, nth: u32) -> Faulty<C> {
        Faulty { sandbox, every: nth.max(2), runs: AtomicU32::new(0) }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<C: Send + Sync + 'static> Sandbox<C> for Faulty<C> {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        self.sandbox.baseline().await
    }

    async fn stage(
        &self,
        experiment: ExperimentId,
        parent: &Revision,
        change: &C,
        text: &str,
    ) -> Result<Candidate, StageError> {
        self.sandbox.stage(experiment, parent, change, text).await
    }

    async fn rebase(&self, rebase: Rebase<'_, C>) -> Result<Rebased, SandboxError> {
        self.sandbox.rebase(rebase).await
    }

    async fn build(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cancel: &Cancel,
    ) -> Result<Option<Outcome>, SandboxError> {
        self.sandbox.build(candidate, trial, cancel).await
    }

    async fn run(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        let number = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = number.is_multiple_of(self.every);
        let failure = || SandboxError::Other(format!("run {number} fails on purpose"));
        if fails && number.is_multiple_of(2) {
            return Err(failure());
        }
        let outcome = self.sandbox.run(candidate, trial, cancel).await?;
        if fails { Err(failure()) } else { Ok(outcome) }
    }

    fn keeps_budget(&self) -> bool {
        self.sandbox.keeps_budget()
    }

    async fn recover(&self) -> Result<(), SandboxError> {
        self.sandbox.recover().await
    }

    async fn resume(&self, interrupted: &[(Candidate, Trial)]) -> Result<Vec<usize>, SandboxError> {
        self.sandbox.resume(interrupted).await
    }

    async fn attach(&self, candidate: &Candidate, trial: &Trial, cancel: &Cancel) -> Result<Outcome, SandboxError> {
        self.sandbox.attach(candidate, trial, cancel).await
    }

    async fn commit(
        &self,
        candidate: &Candidate,
        incumbent: Option<&Revision>,
        message: &str,
    ) -> Result<Revision, SandboxError> {
        self.sandbox.commit(candidate, incumbent, message).await
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.sandbox.adopt(from, to).await
    }

    async fn files(&self, revision: &Revision) -> Result<BTreeMap<String, String>, SandboxError> {
        self.sandbox.files(revision).await
    }
}

/// A proposer that fails at every `nth` proposal, as a network does.
pub struct FaultyProposer<C> {
    proposer: Box<dyn Proposer<C>>,
    every: u32,
    calls: u32,
}

impl<C> FaultyProposer<C> {
    /// Lets every `nth` call of `proposer` fail, 2 at least.
    pub fn new(proposer: Box<dyn Proposer<C>>, nth: u32) -> FaultyProposer<C> {
        FaultyProposer { proposer, every: nth.max(2), calls: 0 }
    }

    fn call(&mut self) -> Result<(), ProposerError> {
        self.calls += 1;
        match self.calls.is_multiple_of(self.every) {
            true => Err(ProposerError::Transient(format!("call {} fails on purpose", self.calls))),
            false => Ok(()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<C: Send + Sync + 'static> Proposer<C> for FaultyProposer<C> {
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError> {
        self.call()?;
        self.proposer.propose(context).await
    }

    async fn propose_wave(&mut self, context: &Context<'_, C>, most: usize) -> Result<Wave<C>, ProposerError> {
        self.call()?;
        self.proposer.propose_wave(context, most).await
    }

    fn observe(&mut self, experiment: &Experiment) {
        self.proposer.observe(experiment);
    }

    fn unreported(&mut self) -> Vec<RejectedDraft> {
        self.proposer.unreported()
    }
}
