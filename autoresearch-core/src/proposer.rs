//! Who has the ideas: a language model, an agent command line, or a classic optimiser.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::change::Patch;
use crate::metric::{Direction, Score};
use crate::program::Program;
use crate::sandbox::Revision;
use crate::state::{Experiment, Rejection, State};

/// What a proposal cost to make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens read and written by a model.
    pub tokens: u64,
    /// US dollars.
    pub dollars: f64,
    /// Calls of a model that led to a bill.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calls: u64,
}

/// Journals written before calls were counted have none, and those of searchers need none.
fn is_zero(calls: &u64) -> bool {
    *calls == 0
}

impl Cost {
    /// Both together.
    pub fn plus(self, other: Cost) -> Cost {
        Cost {
            tokens: self.tokens.saturating_add(other.tokens),
            dollars: self.dollars + other.dollars,
            calls: self.calls.saturating_add(other.calls),
        }
    }
}

/// One idea: a change, and what its author expects of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal<C = Patch> {
    /// What is to be changed in the context's files.
    pub change: C,
    /// One line, as it will stand in `results.tsv`.
    pub description: String,
    /// Why it should help.
    pub hypothesis: String,
    /// What it cost.
    #[serde(default)]
    pub cost: Cost,
    /// Whose idea it is, where several proposers take turns; empty where there is only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proposer: String,
    /// Its place in a designed wave, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<Box<Design>>,
}

/// A point of a design over named factors, such as a factorial grid: what all its points together show is in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Design {
    /// The design's name, the same for all its points.
    pub name: String,
    /// The level of each factor, as text. What is unchanged has a level too.
    pub levels: BTreeMap<String, String>,
}

impl<C> Proposal<C> {
    /// A proposal that cost nothing, without a hypothesis.
    pub fn new(change: C, description: impl Into<String>) -> Proposal<C> {
        Proposal {
            change,
            description: description.into(),
            hypothesis: String::new(),
            cost: Cost::default(),
            proposer: String::new(),
            design: None,
        }
    }

    /// The same with a reason why it should help.
    pub fn because(mut self, hypothesis: impl Into<String>) -> Proposal<C> {
        self.hypothesis = hypothesis.into();
        self
    }

    /// The same at a cost.
    pub fn at_cost(mut self, cost: Cost) -> Proposal<C> {
        self.cost = cost;
        self
    }
}

/// What a proposer is told.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context<'a, C = Patch> {
    /// The human's programme.
    pub program: &'a Program,
    /// What the change is applied to: the incumbent, the best measured state; on an excursion the tip of its side line.
    pub incumbent: Revision,
    /// Its score.
    pub score: Score,
    /// The incumbent's score: what a change must beat to be kept, also on an excursion.
    pub to_beat: Score,
    /// What single runs of the same code differ by, as a standard deviation, if it is known: a gain much below it is not seen.
    pub noise: Option<f64>,
    /// On an excursion the experiments whose changes the files already hold: they were not kept by themselves, but will be
    /// together with a change that makes up for them. Empty otherwise.
    pub sacrifices: &'a [u32],
    /// Which way is better.
    pub direction: Direction,
    /// The editable files of what the change is applied to, by path relative to the root. Empty for sandboxes that have no files.
    pub files: Arc<BTreeMap<String, String>>,
    /// All experiments so far, the baseline first.
    pub experiments: &'a [Experiment],
    /// Proposals that were refused without an experiment, with the reason.
    pub rejections: &'a [Rejection],
    /// What was proposed and is not decided, oldest first: it waits or runs. Do not propose it again.
    pub pending: Vec<&'a Experiment>,
    /// What all proposals of the run cost so far, the refused ones included.
    pub spent: Cost,
    /// The run's seed, for proposers that draw at random.
    pub seed: u64,
    /// The kind of change.
    pub change: std::marker::PhantomData<fn() -> C>,
}

impl<'a, C> Context<'a, C> {
    /// What a proposer is told in this state, where the files of [`State::tip`] are `files`. `None` before the baseline is measured.
    pub fn new(program: &'a Program, state: &'a State, files: Arc<BTreeMap<String, String>>) -> Option<Context<'a, C>> {
        let (header, tip) = (state.header.as_ref()?, state.tip()?);
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
            spent: state.cost,
            seed: header.seed,
            change: std::marker::PhantomData,
        })
    }

    /// What a proposer is told first, if the baseline `incumbent` should have this score: for a look at what it would ask.
    pub fn first(
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
            spent: Cost::default(),
            seed,
            change: std::marker::PhantomData,
        }
    }

    /// How many proposals were made before this one, whatever became of them: a seed for proposers that must be reproducible.
    pub fn proposals(&self) -> usize {
        self.experiments.len().saturating_sub(1) + self.pending.len() + self.rejections.len()
    }

    /// The changes that were tried, oldest first, with what became of them. What another proposer wrote in a form that is no
    /// `C` is passed over, and so is the baseline.
    pub fn changes(&self) -> impl Iterator<Item = (C, &'a Experiment)>
    where
        C: DeserializeOwned,
    {
        let decoded = |experiment: &'a Experiment| Some((C::deserialize(&experiment.change).ok()?, experiment));
        self.experiments.iter().skip(1).filter_map(decoded)
    }

    /// The changes that were refused without an experiment, oldest first, with the reasons.
    pub fn refused_changes(&self) -> impl Iterator<Item = (C, &'a Rejection)>
    where
        C: DeserializeOwned,
    {
        let decoded = |rejection: &'a Rejection| Some((C::deserialize(&rejection.change).ok()?, rejection));
        self.rejections.iter().filter_map(decoded)
    }
}

/// Why there is no proposal.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProposerError {
    /// Worth trying again after a while: the network, an overloaded server, an unusable answer.
    #[error("{0}")]
    Transient(String),
    /// The attempt cost something and led to no change: a model declined, or its answer was unusable to the end. It is
    /// remembered with its cost as a refused proposal, and the next one is asked for.
    #[error("{description}: {reason}")]
    Refused {
        /// What it was, in one line.
        description: String,
        /// Why there is nothing to run.
        reason: String,
        /// What it cost.
        cost: Cost,
    },
    /// There will be no more proposals: the space is exhausted or a budget is spent. The run ends cleanly.
    #[error("{0}")]
    Exhausted(String),
    /// Trying again is useless and a person must act: a missing key, a file that cannot be searched.
    #[error("{0}")]
    Fatal(String),
}

/// What one call of [`Proposer::propose_wave`] made, in its order: proposals, and drafts that came to nothing. Every entry is
/// journaled with its own cost.
pub type Wave<C = Patch> = Vec<Result<Proposal<C>, RejectedDraft>>;

/// A draft that never became a proposal of its wave: it was paid for, and is remembered as a rejected proposal.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RejectedDraft {
    /// One line that names the draft.
    pub description: String,
    /// Why it cannot be an experiment; the proposer reads it in [`Context::rejections`].
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
    fn from(RejectedDraft { description, reason, cost, .. }: RejectedDraft) -> ProposerError {
        ProposerError::Refused { description, reason, cost }
    }
}

/// A source of proposals.
///
/// # Contract
/// - The same context (and seed) gives the same proposal where the proposer is deterministic: a resumed run continues exactly.
/// - `propose` may take long, but it is dropped when the run is cancelled: hold no state that this would break.
#[async_trait]
pub trait Proposer<C = Patch>: Send {
    /// Makes the next proposal.
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError>;

    /// Makes several proposals at once, one at least and `most` at most, all for the context's files: none sees what becomes of
    /// the others, so they should differ. A lab with several workers asks for as many as it lacks.
    ///
    /// One at a time by default. A draft that came to nothing is an entry of the wave, with its reason and its cost; an error
    /// means that the wave as a whole has no entry.
    async fn propose_wave(&mut self, context: &Context<'_, C>, _most: usize) -> Result<Wave<C>, ProposerError>
    where
        C: Send,
    {
        Ok(vec![Ok(self.propose(context).await?)])
    }

    /// Told of every finished experiment, the baseline included.
    fn observe(&mut self, _experiment: &Experiment) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_written_before_calls_were_counted_is_read_and_written_as_it_was() {
        let before = r#"{"tokens":3,"dollars":0.5}"#;
        let cost: Cost = serde_json::from_str(before).unwrap();
        assert_eq!((cost.calls, serde_json::to_string(&cost).unwrap().as_str()), (0, before));
        let two = cost.plus(Cost { calls: 2, ..cost });
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"{"tokens":6,"dollars":1.0,"calls":2}"#);
    }
}
