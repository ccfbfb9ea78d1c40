//! The shortest tour through some towns: a search in a domain of one's own, in memory.
use std::error::Error;
use std::f64::consts::TAU;
use std::sync::Arc;

use async_trait::async_trait;
use autoresearch_core::prelude::*;

/// Towns on a circle of radius 1: the shortest tour goes round it.
const TOWNS: usize = 12;

/// A change: the part of the tour between two positions is travelled the other way.
type Turn = (usize, usize);

/// Proposes every turn, one after the other, again and again.
struct EveryTurn;

#[async_trait]
impl Proposer<Turn> for EveryTurn {
    async fn propose(&mut self, context: &Context<'_, Turn>) -> Result<Proposal<Turn>, ProposerError> {
        let turns: Vec<Turn> = (0..TOWNS).flat_map(|from| (from + 1..TOWNS).map(move |to| (from, to))).collect();
        let (from, to) = turns[context.proposals() % turns.len()];
        Ok(Proposal::new((from, to), format!("turn {from} to {to}")))
    }
}

/// A state is a tour, and its name lists the towns in order.
#[derive(Default)]
struct Tours {
    adopted: AdoptedRevision,
}

#[async_trait]
impl Sandbox<Turn> for Tours {
    async fn baseline(&self) -> Result<Candidate, StageError> {
        let zigzag: Vec<String> = (0..TOWNS).map(|town| (town * 5 % TOWNS).to_string()).collect();
        Ok(Candidate::new(zigzag.join(" ")))
    }

    async fn stage(&self, _: ExperimentId, parent: &Revision, turn: &Turn, _: &str) -> Result<Candidate, StageError> {
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
        self.adopted.adopt(from, to)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let metric = LogMetric::new("length", Direction::Minimise);
    let mut lab = Lab::builder(Arc::new(Tours::default()), Box::new(EveryTurn), Arc::new(metric))
        .ratchet(Arc::new(Strict))
        .stop(Stop::after(100))
        .build()?;
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
    fn the_readme_of_the_core_shows_this_example() {
        let source = include_str!("main.rs").split("\n#[cfg(test)]").next().unwrap_or_default();
        let (_, code) = source.split_once('\n').unwrap_or_default();
        let readme = include_str!("../../../autoresearch-core/README.md");
        assert!(
            readme.contains(code.trim()),
            "autoresearch-core/README.md shows examples/custom-domain/src/main.rs as it is"
        );
    }
}
