//! Changes whose fate is known, and the proposer that proposes them in order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::proposer::{Context, Cost, Proposal, Proposer, ProposerError, Wave};

/// The fate of a candidate when it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The trial completes, and prints this score.
    Score(f64),
    /// The trial completes, and prints this in place of a score.
    Prints(String),
    /// The trial crashes.
    Crash,
    /// The trial is killed at its limit, after it printed a splendid score.
    Timeout,
    /// The trial runs out of memory, after it printed a splendid score.
    OutOfMemory,
    /// The sandbox fails once, then the trial completes with this score.
    Trouble(f64),
}

/// A change for [`super::SimulatedMachine`], with its fate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The fate of the candidate.
    pub fate: Fate,
    /// Lines that the change adds.
    pub added_lines: i64,
    /// True if the change cannot be applied.
    pub refused: bool,
    /// Two steps with the same name lead to the same files. A step without a name differs from all others.
    pub twin: Option<u32>,
    /// Where effects add up ([`super::SimulatedMachine::add_up`]): steps with the same name cannot be merged with each other.
    pub region: Option<u32>,
    /// Where effects add up: of steps with the same name only the first one has its effect.
    pub redundant: Option<u32>,
    /// The score of a trial on a part of the budget, if its fate is not the same.
    pub short: Option<f64>,
    /// The duration of a trial, if that is not up to the machine.
    pub takes: Option<Duration>,
}

impl Step {
    /// Makes a step of this fate, which adds one line.
    pub fn new(fate: Fate) -> Step {
        Step {
            fate,
            added_lines: 1,
            refused: false,
            twin: None,
            region: None,
            redundant: None,
            short: None,
            takes: None,
        }
    }

    /// Makes a step whose trials complete with this score.
    pub fn score(score: f64) -> Step {
        Step::new(Fate::Score(score))
    }

    /// Makes a step whose trials crash.
    pub fn crash() -> Step {
        Step::new(Fate::Crash)
    }

    /// Makes a step that cannot be applied.
    pub fn refused() -> Step {
        Step { refused: true, ..Step::crash() }
    }

    /// Sets the number of added lines. Default 1.
    pub fn lines(mut self, added: i64) -> Step {
        self.added_lines = added;
        self
    }

    /// Sets another score for trials on a part of the budget.
    pub fn short(mut self, score: f64) -> Step {
        self.short = Some(score);
        self
    }

    /// Sets the duration of a trial.
    pub fn takes(mut self, time: Duration) -> Step {
        self.takes = Some(time);
        self
    }

    /// Makes the step change the same as other steps with this name.
    pub fn region(mut self, name: u32) -> Step {
        self.region = Some(name);
        self
    }

    /// Makes the step have no effect after another one with this name.
    pub fn redundant(mut self, name: u32) -> Step {
        self.redundant = Some(name);
        self
    }

    /// Makes the step lead to the same files as other steps of this name.
    pub fn twin(mut self, name: u32) -> Step {
        self.twin = Some(name);
        self
    }
}

/// Proposes the changes of a list in order, by the number of proposals so far: a resumed search continues with the next
/// one. Then it is exhausted.
#[derive(Debug, Clone)]
pub struct Script<C>(Arc<[C]>);

impl<C> Script<C> {
    /// Makes a proposer of these changes.
    pub fn new(changes: impl IntoIterator<Item = C>) -> Script<C> {
        Script(changes.into_iter().collect())
    }
}

#[async_trait]
impl<C: Clone + std::fmt::Debug + Send + Sync> Proposer<C> for Script<C> {
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError> {
        let wave = self.propose_wave(context, 1).await?;
        let first = wave.into_iter().next().ok_or_else(|| ProposerError::Exhausted("the script ends".into()))?;
        first.map_err(ProposerError::Rejected)
    }

    async fn propose_wave(&mut self, context: &Context<'_, C>, most: usize) -> Result<Wave<C>, ProposerError> {
        let next = self.0.iter().cloned().enumerate().skip(context.proposals()).take(most);
        let cost = Cost { tokens: 1, dollars: 0.25, calls: 1 };
        let wave: Vec<_> =
            next.map(|(number, change)| Ok(Proposal::new(change, format!("step {number}")).at_cost(cost))).collect();
        if wave.is_empty() { Err(ProposerError::Exhausted("the script ends".into())) } else { Ok(wave) }
    }
}
