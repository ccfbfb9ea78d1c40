//! The trait of proposers: a language model, an agent command line, or a classic optimiser.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::change::Patch;
use crate::experiment_id::ExperimentId;
use crate::metric::{Direction, Score};
use crate::program::Program;
pub use crate::proposal::{Cost, Proposal};
use crate::sandbox::Revision;
use crate::state::{Experiment, RejectedProposal, State};

/// The knowledge that a proposer is given.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context<'a, C = Patch> {
    /// The human's programme.
    pub program: &'a Program,
    /// The revision that the change is applied to: the incumbent; on an excursion the end of its side line.
    pub incumbent: Revision,
    /// Its score.
    pub score: Score,
    /// The incumbent's score: what a change must beat to be kept, also on an excursion.
    pub to_beat: Score,
    /// Noise: the standard deviation of single trials of the same code, if it is known. A gain much below it is not seen.
    pub noise: Option<f64>,
    /// On an excursion the experiments whose changes the files already hold: they were not kept by themselves, but will be
    /// together with a change that makes up for them. Empty otherwise.
    pub sacrifices: &'a [ExperimentId],
    /// The better direction of the metric.
    pub direction: Direction,
    /// The editable files of that revision, by path relative to the root. Empty for sandboxes that have no files.
    pub files: Arc<BTreeMap<String, String>>,
    /// All experiments so far, the baseline first.
    pub experiments: &'a [Experiment],
    /// Proposals that were rejected before they cost an experiment, with the reason.
    pub rejections: &'a [RejectedProposal],
    /// Experiments that are staged and not decided, oldest first. Do not propose them again.
    pub pending: Vec<&'a Experiment>,
    /// Hints that a person gave while the run went on, oldest first: a later one may take an earlier one back.
    pub hints: &'a [String],
    /// Cost of all proposals of the run so far, the rejected ones included.
    pub spent: Cost,
    /// The run's seed, for proposers that draw at random.
    pub seed: u64,
    /// The kind of change.
    change: std::marker::PhantomData<fn() -> C>,
}

impl<'a, C> Context<'a, C> {
    /// Makes the context at the start of a run, assuming this score of the baseline `incumbent`: for a preview of a prompt.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use autoresearch_core::{Context, Direction, Patch, Program, Revision, Score};
    /// let program = Program::parse("Lower the loss.")?;
    /// let score = Score::new(1.0).ok_or("not finite")?;
    /// let files = [("train.py".to_owned(), "lr = 0.04\n".to_owned())].into();
    /// let context: Context<'_, Patch> =
    ///     Context::new(&program, Revision("start".into()), score, Direction::Minimise, Arc::new(files), 0);
    /// assert!(context.experiments.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        program: &'a Program,
        incumbent: Revision,
        score: Score,
        direction: Direction,
        files: Arc<BTreeMap<String, String>>,
        seed: u64,
    ) -> Context<'a, C> {
        Context {
            program,
            incumbent,
            score,
            to_beat: score,
            noise: None,
            sacrifices: &[],
            direction,
            files,
            experiments: &[],
            rejections: &[],
            pending: Vec::new(),
            hints: &[],
            spent: Cost::default(),
            seed,
            change: std::marker::PhantomData,
        }
    }

    /// Counts the proposals before this one, rejected ones included: a seed for proposers that must be reproducible.
    pub fn proposals(&self) -> usize {
        self.experiments.len().saturating_sub(1) + self.pending.len() + self.rejections.len()
    }

    /// The changes that were tried, oldest first, with their results. A change that another proposer wrote in a form
    /// that is no `C` is passed over, and so is the baseline.
    pub fn changes(&self) -> impl Iterator<Item = (C, &'a Experiment)>
    where
        C: DeserializeOwned,
    {
        let decoded = |experiment: &'a Experiment| Some((C::deserialize(&experiment.change).ok()?, experiment));
        self.experiments.iter().skip(1).filter_map(decoded)
    }

    /// The changes that were rejected before they cost an experiment, oldest first, with the reasons.
    pub fn rejected_changes(&self) -> impl Iterator<Item = (C, &'a RejectedProposal)>
    where
        C: DeserializeOwned,
    {
        let decoded = |rejection: &'a RejectedProposal| Some((C::deserialize(&rejection.change).ok()?, rejection));
        self.rejections.iter().filter_map(decoded)
    }
}

/// The knowledge in this state, where the files of [`State::proposal_base`] are `files`. `None` before the baseline is
/// measured.
///
/// ```
/// use autoresearch_core::{Context, Patch, Program, State, internal};
/// let (program, state) = (Program::parse("Lower the loss.")?, State::default());
/// let context: Option<Context<'_, Patch>> = internal::context(&program, &state, Default::default());
/// assert!(context.is_none(), "nothing is measured yet");
/// # Ok::<(), autoresearch_core::ProgramError>(())
/// ```
pub fn context<'a, C>(
    program: &'a Program,
    state: &'a State,
    files: Arc<BTreeMap<String, String>>,
) -> Option<Context<'a, C>> {
    let (header, tip) = (state.header.as_ref()?, state.proposal_base()?);
    let to_beat = state.incumbent.as_ref()?.arm.mean()?;
    Some(Context {
        program,
        incumbent: tip.clone(),
        score: state.side_line.as_ref().map_or(to_beat, |line| line.score),
        to_beat,
        noise: state.noise.sigma(),
        sacrifices: state.side_line.as_ref().map_or(&[], |line| &line.sacrifices),
        direction: header.direction,
        files,
        experiments: &state.experiments,
        rejections: &state.rejections,
        pending: state.pending().collect(),
        hints: &state.hints,
        spent: state.cost,
        seed: header.seed,
        change: std::marker::PhantomData,
    })
}

/// Reason why there is no proposal.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProposerError {
    /// Worth trying again after a while: the network, an overloaded server, an unusable answer.
    #[error("{0}")]
    Transient(String),
    /// The call cost something and led to no change: a model declined, or its answer was unusable to the end. It is
    /// remembered with its cost as a rejected proposal, and the next one is asked for.
    #[error("{}: {}", .0.description, .0.reason)]
    Rejected(RejectedDraft),
    /// There will be no more proposals: the space is exhausted or a budget is spent. The run ends cleanly.
    #[error("{0}")]
    Exhausted(String),
    /// Trying again is useless and a person must act: a missing key, a file that cannot be searched.
    #[error("{0}")]
    Fatal(String),
}

/// The result of one call of [`Proposer::propose_wave`], in its order: proposals, and drafts that came to nothing. Every entry
/// is journaled with its own cost.
pub type Wave<C = Patch> = Vec<Result<Proposal<C>, RejectedDraft>>;

/// A draft that never became a proposal of its wave: it was paid for, and is remembered as a rejected proposal.
///
/// ```
/// use autoresearch_core::{Cost, RejectedDraft};
/// let draft = RejectedDraft::new("halve the width", "it edits eval.py", Cost { dollars: 0.02, ..Cost::default() });
/// assert_eq!(draft.cost.dollars, 0.02);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RejectedDraft {
    /// One line that names the draft.
    pub description: String,
    /// Reason why it cannot be an experiment; the proposer reads it in [`Context::rejections`].
    pub reason: String,
    /// Its cost, beside the costs of the wave's other entries.
    pub cost: Cost,
    /// Name of the proposer where several take turns; empty where there is only one.
    pub proposer: String,
}

impl RejectedDraft {
    /// A draft that cost `cost` and was rejected for `reason`.
    pub fn new(description: impl Into<String>, reason: impl Into<String>, cost: Cost) -> RejectedDraft {
        RejectedDraft { description: description.into(), reason: reason.into(), cost, proposer: String::new() }
    }
}

impl From<RejectedDraft> for ProposerError {
    fn from(draft: RejectedDraft) -> ProposerError {
        ProposerError::Rejected(draft)
    }
}

/// A source of proposals.
///
/// # Contract
/// - The same context (and seed) gives the same proposal where the proposer is deterministic: a resumed run continues exactly.
/// - `propose` may take long, but it is dropped when the run is cancelled: hold no state that this would break.
///
/// ```
/// use async_trait::async_trait;
/// use autoresearch_core::{Context, Proposal, Proposer, ProposerError};
///
/// /// Proposes half of the number before, ten times.
/// struct Halves;
///
/// #[async_trait]
/// impl Proposer<f64> for Halves {
///     async fn propose(&mut self, context: &Context<'_, f64>) -> Result<Proposal<f64>, ProposerError> {
///         match context.proposals() {
///             number @ 0..10 => Ok(Proposal::new(64.0 / 2f64.powi(number as i32), format!("half number {number}"))),
///             _ => Err(ProposerError::Exhausted("ten halves are enough".into())),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Proposer<C = Patch>: Send {
    /// Makes the next proposal.
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError>;

    /// Makes several proposals at once, one at least and `most` at most, all for the context's files: none sees the results of
    /// the others, so they should differ. A lab with several workers asks for as many as it lacks, and rejects those beyond.
    ///
    /// One at a time by default. A draft that came to nothing is an entry of the wave, with its reason and its cost; an error
    /// means that the wave as a whole has no entry.
    async fn propose_wave(&mut self, context: &Context<'_, C>, _most: usize) -> Result<Wave<C>, ProposerError>
    where
        C: Send,
    {
        Ok(vec![Ok(self.propose(context).await?)])
    }

    /// Observes every finished experiment, the baseline included.
    fn observe(&mut self, _experiment: &Experiment) {}

    /// Takes the cost of a wave that was dropped before it was whole, calls in flight with their worst case: drafts that the
    /// lab journals, so that the limits of the run hold over restarts. None by default.
    #[doc(hidden)]
    fn unreported(&mut self) -> Vec<RejectedDraft> {
        Vec::new()
    }
}
