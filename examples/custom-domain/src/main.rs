//! The shortest tour through some towns: a search in a domain of one's own, in memory.
use std::error::Error;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::*;

/// Towns on a circle of radius 1: the shortest tour goes round it.
const TOWNS: usize = 12;

/// A change: the part of the tour from one place to another is travelled the other way.
type Turn = (usize, usize);

/// Proposes every turn of the best tour so far, one after the other, until none is left.
struct EveryTurn;

#[async_trait]
impl Proposer<Turn> for EveryTurn {
    async fn propose(&mut self, context: &Context<'_, Turn>) -> Result<Proposal<Turn>, ProposerError> {
        let kept = context.experiments.iter().rfind(|e| e.status == Status::Keep).map_or(0, |kept| kept.id);
        let tried = context.changes().filter(|(_, tried)| tried.id > kept).map(|(turn, _)| turn);
        let rejected = context.rejected_changes().filter(|(_, rejected)| rejected.experiment > kept);
        let known: Vec<Turn> = tried.chain(rejected.map(|(turn, _)| turn)).collect();
        let mut turns = (0..TOWNS).flat_map(|from| (from + 1..TOWNS).map(move |to| (from, to)));
        match turns.find(|turn| !known.contains(turn)) {
            Some((from, to)) => Ok(Proposal::new((from, to), format!("turn {from} to {to}"))),
            None => Err(ProposerError::Exhausted("no turn makes the tour shorter".into())),
        }
    }
}

/// A state is a tour, and its name lists the towns in order.
#[derive(Default)]
struct Tours(AdoptedRevision);

#[async_trait]
impl Sandbox<Turn> for Tours {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        let zigzag: Vec<String> = (0..TOWNS).map(|place| (place * 5 % TOWNS).to_string()).collect();
        Ok(Candidate::new(zigzag.join(" ")))
    }

    async fn stage(&self, _: u32, parent: &Revision, turn: &Turn, _: &str) -> Result<Candidate, StageError> {
        let mut towns: Vec<&str> = parent.0.split(' ').collect();
        towns[turn.0..=turn.1].reverse();
        Ok(Candidate::new(towns.join(" ")))
    }

    async fn run(&self, candidate: &Candidate, _: &Trial, _: &Cancel) -> Result<Outcome, SandboxError> {
        let towns: Vec<f64> = candidate.revision.0.split(' ').filter_map(|town| town.parse().ok()).collect();
        let chord = |a: f64, b: f64| 2.0 * (TAU * (a - b).abs() / TOWNS as f64 / 2.0).sin();
        let length: f64 = (0..towns.len()).map(|at| chord(towns[at], towns[(at + 1) % towns.len()])).sum();
        Ok(Outcome::Completed(RunLog::saying(format!("length: {length:.9}"))))
    }

    async fn adopt(&self, from: Option<&Revision>, to: &Revision) -> Result<(), SandboxError> {
        self.0.adopt(from, to)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let metric = Arc::new(LogMetric::new("length", Direction::Minimise));
    let lab = Lab::builder(Arc::new(Tours::default()), Box::new(EveryTurn), metric);
    let mut lab = lab.ratchet(Arc::new(Strict)).tag("tour").budget(Duration::from_secs(1)).build()?;
    let why = lab.run(&Cancel::new()).await?;

    let (state, shortest) = (lab.state(), 2.0 * TOWNS as f64 * (TAU / TOWNS as f64 / 2.0).sin());
    let best = state.incumbent.as_ref().and_then(|incumbent| incumbent.arm.mean()).ok_or("no baseline")?;
    println!("{why} after {}: length {best:.6}, the shortest is {shortest:.6}", state.finished());
    assert!((best.get() - shortest).abs() < 1e-6);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readmes_show_this_example() {
        let source = include_str!("main.rs").split("\n#[cfg(test)]").next().unwrap_or_default();
        let (_, code) = source.split_once('\n').unwrap_or_default();
        for readme in [include_str!("../../../README.md"), include_str!("../../../autoresearch-core/README.md")] {
            assert!(readme.contains(code.trim()), "the readmes show examples/custom-domain/src/main.rs as it is");
        }
    }
}
