//! One search of the lab, for the parts of the testkit that drive one.

use std::sync::Arc;

use super::SimulatedMachine;
use crate::cancel::Cancel;
use crate::journal::Journal;
use crate::lab::{Change, Lab, LabError, Settings};
use crate::metric::Metric;
use crate::program::Program;
use crate::proposer::Proposer;
use crate::ratchet::Ratchet;
use crate::sandbox::{Sandbox, SandboxError};
use crate::state::State;

/// The parts of a search.
pub(super) struct Search<'a, C> {
    pub goal: &'a str,
    pub proposer: Box<dyn Proposer<C>>,
    pub sandbox: Arc<dyn Sandbox<C>>,
    pub metric: Arc<dyn Metric>,
    pub ratchet: Arc<dyn Ratchet>,
    pub settings: Settings,
    /// The machine whose disk holds the journal; in memory without one.
    pub journal: Option<&'a SimulatedMachine>,
}

/// Runs the lab until it stops, and returns the state at the end.
pub(super) async fn search<C>(search: Search<'_, C>) -> Result<State, LabError>
where
    C: Change,
{
    let program =
        Program::parse(search.goal).map_err(|error| LabError::from(SandboxError::Other(error.to_string())))?;
    let journal = match search.journal {
        Some(machine) => machine.journal()?,
        None => Journal::in_memory(),
    };
    let Search { proposer, sandbox, metric, ratchet, settings, .. } = search;
    let lab = Lab::builder(sandbox, proposer, metric).ratchet(ratchet).program(program);
    let mut lab = lab.settings(settings).open_journal(journal).build()?;
    lab.run(&Cancel::new()).await?;
    Ok(lab.state().clone())
}
