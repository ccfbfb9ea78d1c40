//! Factorial designs: a plan changes several constants at once, and all its points together show the effect of each constant
//! and of each pair.
//!
//! A search that changes one thing at a time cannot see that two changes pay only together. [`Factorial`] holds the points of a
//! design, [`DesignProposer`] proposes them in waves, and [`analyses`] computes the effects from a journal.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use autoresearch_core::internal::Design;
use autoresearch_core::{Context, FileEdit, Patch, Proposal, Proposer, ProposerError, Wave};

use crate::constants::{Knob, Located, Sources, edits_of, same};

mod effects;
mod factorial;
mod points;
mod regression;

pub use effects::{Alias, Analysis, Effect, Step, analyses};
pub use factorial::{DesignError, Factorial};
use points::Points;

/// Proposes the points of a design over constants of the editable files, each once, in an order that follows from the seed.
///
/// A point gives every factor one of its levels and changes nothing else. While only points of the design are kept, all points
/// are candidates of the same code, whichever of them is the incumbent. When another change is kept, the remaining points have
/// the new incumbent as their base; [`analyses`] puts them into another block, whose scores are not compared with those of the
/// first. The point that changes nothing is the incumbent itself: it is measured and not proposed. The proposer keeps no state,
/// so a resumed run continues exactly.
///
/// ```
/// use autoresearch_agents::{DesignProposer, Factorial};
/// let levels = |levels: &[&str]| levels.iter().map(|level| (*level).to_owned()).collect();
/// let factors = [("DEPTH".to_owned(), levels(&["4", "6"])), ("LR".to_owned(), levels(&["0.02", "0.04"]))];
/// let proposer = DesignProposer::new(Factorial::new("rates", factors, &[])?, 1);
/// # Ok::<(), autoresearch_agents::design::DesignError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DesignProposer {
    design: Factorial,
    seed: u64,
}

impl DesignProposer {
    /// A proposer of the points of `design`, in an order that follows from `seed`.
    pub fn new(design: Factorial, seed: u64) -> DesignProposer {
        DesignProposer { design, seed }
    }

    /// Returns each factor's constant with its file.
    fn constants<'a>(&self, context: &'a Context<'_, Patch>) -> Result<BTreeMap<&str, Located<'a>>, ProposerError> {
        let sources = Sources::new(&context.files);
        let mut found = BTreeMap::new();
        for (name, levels) in self.design.factors() {
            let fatal = |why: String| ProposerError::Fatal(format!("factors.{name}: {why}"));
            let one = sources.find_for(name, Some(&Knob::Choice(levels.clone()))).map_err(|e| fatal(e.to_string()))?;
            let range = context.program.knobs.get(name).or(one.constant.range.as_ref());
            if let Some(range) = range {
                let knob = Knob::parse(name, range).map_err(|e| fatal(e.to_string()))?;
                if let Some(level) = levels.iter().find(|level| knob.number(level).is_none()) {
                    return Err(fatal(format!(
                        "the level {level} is not within `{range}`; change the one or the other"
                    )));
                }
            }
            found.insert(name.as_str(), one);
        }
        Ok(found)
    }
}

#[async_trait]
impl Proposer<Patch> for DesignProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        let none = || ProposerError::Exhausted("the design has no further point".into());
        Ok(self.propose_wave(context, 1).await?.into_iter().next().ok_or_else(none)??)
    }

    async fn propose_wave(&mut self, context: &Context<'_, Patch>, most: usize) -> Result<Wave, ProposerError> {
        let constants = self.constants(context)?;
        let name = self.design.name();
        let points = Points::new(name, context.experiments, context.pending.iter().copied());
        let mut taken: Vec<BTreeMap<String, String>> = points.taken();
        taken.extend(points.root(&context.incumbent).and_then(|root| points.levels(root)));
        let rejected: HashSet<&str> =
            context.rejections.iter().map(|rejection| rejection.description.as_str()).collect();
        let mut wave = Vec::new();
        let all = self.design.shuffled(self.seed);
        for levels in &all {
            if wave.len() >= most.max(1) {
                break;
            }
            let edits = point(&constants, levels);
            let told =
                levels.iter().map(|(factor, level)| format!("{factor} = {level}")).collect::<Vec<_>>().join(", ");
            let description = format!("{name}: {told}");
            if edits.is_empty() || taken.iter().any(|point| alike(point, levels)) || rejected.contains(&*description) {
                continue;
            }
            let why = format!("It is a point of the design {name}, whose effects follow from all of its points.");
            let design = Some(Box::new(Design { name: name.to_owned(), levels: levels.clone() }));
            wave.push(Ok(Proposal { design, ..Proposal::new(Patch { edits }, description).because(why) }));
        }
        match wave.is_empty() {
            true => {
                Err(ProposerError::Exhausted(format!("all {} points of the design {name} are proposed", all.len())))
            }
            false => Ok(wave),
        }
    }
}

/// Returns true if two points are the same.
fn alike(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    a.len() == b.len() && a.iter().all(|(factor, level)| b.get(factor).is_some_and(|other| same(level, other)))
}

/// Returns the edits that give each factor's constant its level, where it has another one.
fn point(constants: &BTreeMap<&str, Located<'_>>, levels: &BTreeMap<String, String>) -> Vec<FileEdit> {
    let changed = constants.iter().filter_map(|(factor, Located { path, source, constant, .. })| {
        let level = levels.get(*factor).filter(|level| !same(level, constant.value))?;
        Some((*path, *source, constant.place.clone(), level.clone()))
    });
    edits_of(changed)
}
