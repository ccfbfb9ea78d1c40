//! Searches over annotated constants that need no model.

use std::collections::HashSet;

use async_trait::async_trait;
use autoresearch_core::{Context, Patch, Proposal, Proposer, ProposerError, Wave};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::space::{Changes, Observation, Site, changes, observations, sites};

mod grid;
mod neighbour;
mod tpe;

/// So many unheard-of proposals are looked for before the space counts as exhausted.
const TRIES: usize = 200;

/// How the next values are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Search {
    /// One constant, sometimes two, by a step from the incumbent's value; now and then one drawn anew from its whole range.
    /// A constant whose last change was kept is tried again in the same direction; one that failed often is tried less.
    #[default]
    Neighbour,
    /// All constants, each drawn from its whole range (Bergstra and Bengio, "Random Search for Hyper-Parameter
    /// Optimization", JMLR 2012).
    Random,
    /// All points of a grid of four values for each range, spread from the beginning, each once.
    Grid,
    /// All constants, each drawn where past values were better than others: the tree-structured Parzen estimator of Bergstra
    /// et al. (NeurIPS 2011). It learns from every past experiment, whoever proposed it, whose constants are known.
    Tpe,
}

/// Proposes new values for the constants that carry a `knob:` range, in the file or in the programme.
///
/// The same seed and history give the same proposal, and no state is kept: a resumed run goes on exactly. A wave draws each
/// of its proposals from the stream that it would have had alone, and none of them is the same as another or as a pending
/// one.
#[derive(Debug, Clone)]
pub struct KnobProposer {
    seed: u64,
    search: Search,
}

/// Literals for some of the sites, by their place.
struct Idea {
    values: Vec<(usize, String)>,
    why: String,
}

impl KnobProposer {
    /// A search of the neighbourhood with a seed of its own.
    pub fn new(seed: u64) -> KnobProposer {
        KnobProposer { seed, search: Search::default() }
    }

    /// The same with another search.
    pub fn with_search(mut self, search: Search) -> KnobProposer {
        self.search = search;
        self
    }
}

#[async_trait]
impl Proposer<Patch> for KnobProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        let sites = sites(context)?;
        let observations = self.observations(context, &sites);
        self.propose_one(context, &sites, &observations, 0, &mut Tried::new(context, &sites, &observations))
    }

    async fn propose_wave(&mut self, context: &Context<'_, Patch>, most: usize) -> Result<Wave, ProposerError> {
        let sites = sites(context)?;
        let observations = self.observations(context, &sites);
        let mut tried = Tried::new(context, &sites, &observations);
        let mut wave = Vec::new();
        while wave.len() < most.max(1) {
            match self.propose_one(context, &sites, &observations, wave.len(), &mut tried) {
                Ok(proposal) => wave.push(Ok(proposal)),
                // What there is comes first; the next wave will find the space as exhausted as this one did.
                Err(ProposerError::Exhausted(_)) if !wave.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(wave)
    }
}

impl KnobProposer {
    /// What the search learns from: a step in the neighbourhood may lead to a point that was measured on another incumbent.
    fn observations(&self, context: &Context<'_, Patch>, sites: &[Site<'_>]) -> Vec<Observation> {
        match self.search {
            Search::Neighbour => Vec::new(),
            _ => observations(context, sites),
        }
    }

    /// The proposal at this place of a wave. It counts as tried from then on.
    fn propose_one(
        &self,
        context: &Context<'_, Patch>,
        sites: &[Site<'_>],
        observations: &[Observation],
        place: usize,
        tried: &mut Tried,
    ) -> Result<Proposal, ProposerError> {
        // A stream of its own for every proposal: nothing of it need be remembered.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((context.proposals() + place) as u64 + 1);
        match self.search {
            Search::Neighbour => {
                let neighbourhood = neighbour::Neighbourhood::new(context, sites);
                first(sites, tried, TRIES, |_| neighbourhood.draw(&mut rng))
            }
            Search::Random => first(sites, tried, TRIES, |_| Ok(at_random(sites, &mut rng))),
            Search::Grid => {
                let grid = grid::Grid::new(sites);
                let points = usize::try_from(grid.points()).unwrap_or(usize::MAX);
                first(sites, tried, points, |nth| Ok(grid.point(nth as u128, self.seed)))
            }
            Search::Tpe => {
                let lies = tpe::lies(observations, &tried.unmeasured);
                first(sites, tried, TRIES, |_| tpe::draw(sites, observations, &lies, &mut rng))
            }
        }
    }
}

/// All sites, each from anywhere in its range.
fn at_random(sites: &[Site<'_>], rng: &mut impl Rng) -> Idea {
    let values = sites.iter().map(|site| site.knob.draw(rng)).enumerate().collect();
    Idea { values, why: "Nothing is known there yet.".into() }
}

/// What need not be proposed again.
struct Tried {
    /// Descriptions, of experiments on this incumbent, of all that is pending and of all that was refused.
    descriptions: HashSet<String>,
    /// Points that were measured, on whatever incumbent.
    points: HashSet<Vec<String>>,
    /// Points that are pending, or that stand in this wave already.
    unmeasured: Vec<Vec<String>>,
}

impl Tried {
    fn new(context: &Context<'_, Patch>, sites: &[Site<'_>], observations: &[Observation]) -> Tried {
        let here = context.experiments.iter().filter(|e| e.parent.as_ref() == Some(&context.incumbent));
        let here = here.chain(context.pending.iter().copied()).map(|experiment| &experiment.description);
        let refused = context.rejections.iter().map(|rejection| &rejection.description);
        let descriptions = here.chain(refused).cloned().collect();
        Tried { descriptions, points: points(observations), unmeasured: pending(context, sites) }
    }

    fn has(&self, description: &str, point: &Vec<String>) -> bool {
        self.descriptions.contains(description) || self.points.contains(point) || self.unmeasured.contains(point)
    }
}

/// The points that are known whole.
fn points(observations: &[Observation]) -> HashSet<Vec<String>> {
    observations.iter().filter_map(|observation| observation.values.iter().cloned().collect()).collect()
}

/// The points that pending changes lead to, those that change nothing but constants: what was made from an older incumbent
/// will be moved onto this one.
fn pending(context: &Context<'_, Patch>, sites: &[Site<'_>]) -> Vec<Vec<String>> {
    let pending = context.pending.iter().filter_map(|experiment| Patch::deserialize(&experiment.change).ok());
    let changes = pending.map(|patch| changes(&patch, &context.files)).filter(|changes| !changes.others);
    let value = |changes: &Changes, site: &Site<'_>| match changes.constants.get(site.constant.name) {
        Some((_, new)) => new.clone(),
        None => site.constant.value.to_owned(),
    };
    changes.map(|changes| sites.iter().map(|site| value(&changes, site)).collect()).collect()
}

/// The first of some ideas that changes something and was not tried, as a proposal. It is tried from then on.
fn first(
    sites: &[Site<'_>],
    tried: &mut Tried,
    tries: usize,
    mut idea: impl FnMut(usize) -> Result<Idea, ProposerError>,
) -> Result<Proposal, ProposerError> {
    let before: Vec<String> = sites.iter().map(|site| site.constant.value.to_owned()).collect();
    for nth in 0..tries {
        let Idea { values, why } = idea(nth)?;
        let mut point = before.clone();
        let changed: Vec<(&Site<'_>, &String)> = values
            .iter()
            .filter_map(|(at, value)| Some((sites.get(*at)?, value)))
            .filter(|(site, value)| site.constant.value != *value)
            .collect();
        for (at, value) in &values {
            point.get_mut(*at).map(|place| place.clone_from(value)).unwrap_or_default();
        }
        let description = changed
            .iter()
            .map(|(site, value)| format!("{} {} -> {value}", site.constant.name, site.constant.value))
            .collect::<Vec<_>>()
            .join(", ");
        if changed.is_empty() || tried.has(&description, &point) {
            continue;
        }
        let edits = changed.iter().map(|(site, value)| site.edit(value)).collect();
        tried.descriptions.insert(description.clone());
        tried.unmeasured.push(point);
        return Ok(Proposal::new(Patch { edits }, description).because(why));
    }
    Err(ProposerError::Exhausted(match tries {
        TRIES => format!("{TRIES} draws in a row had all been tried"),
        points => format!("all {points} points of the grid are tried"),
    }))
}
