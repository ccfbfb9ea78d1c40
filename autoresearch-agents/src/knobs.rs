//! Searches over constants with ranges, without a model.

use std::collections::HashSet;

use async_trait::async_trait;
use autoresearch_core::{Context, Patch, Proposal, Proposer, ProposerError, Wave};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::constants::{Site, Sources, edits_of};
use crate::space::{Changes, Observation, changes, observations, sites};

mod draft;
mod grid;
mod neighbour;
mod tpe;

use draft::{Draft, at_random};

/// Draws without an untried proposal after which the space counts as exhausted.
const TRIES: usize = 200;

/// Choice of the next values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Search {
    /// Changes one constant, sometimes two, by a step from the incumbent's value, and now and then draws one from its whole
    /// range. A constant whose last change was kept is tried again in the same direction; one that failed often is tried less.
    #[default]
    Neighbour,
    /// Draws every constant from its whole range (Bergstra and Bengio, "Random Search for Hyper-Parameter
    /// Optimization", JMLR 2012).
    Random,
    /// Visits the points of a grid of four values for each range once each, in an order that is spread from the beginning.
    Grid,
    /// Draws every constant where past values were better than others: the tree-structured Parzen estimator of Bergstra
    /// et al. (NeurIPS 2011). It learns from every past experiment whose constants are known, by any proposer.
    Tpe,
}

/// Proposes new values for the constants that carry a `knob:` range, in the file, in the configuration or in the programme.
///
/// The same seed and history give the same proposal, and the proposer keeps no state, so a resumed run continues exactly. Each
/// proposal of a wave is drawn from the stream that it would have alone, and differs from the others and from those in flight.
///
/// ```
/// use autoresearch_agents::{KnobProposer, Search};
/// let proposer = KnobProposer::new(7).with_search(Search::Tpe);
/// ```
#[derive(Debug, Clone)]
pub struct KnobProposer {
    seed: u64,
    search: Search,
}

impl KnobProposer {
    /// A search by steps from the incumbent, with a seed of its own.
    pub fn new(seed: u64) -> KnobProposer {
        KnobProposer { seed, search: Search::default() }
    }

    /// Sets the choice of the next values. Default: neighbour.
    pub fn with_search(mut self, search: Search) -> KnobProposer {
        self.search = search;
        self
    }
}

#[async_trait]
impl Proposer<Patch> for KnobProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        let sources = Sources::new(&context.files);
        let sites = sites(&sources, context.program)?;
        let observations = self.observations(context, &sources, &sites);
        let mut tried = Tried::new(context, &sources, &sites, &observations);
        self.propose_one(context, &sources, &sites, &observations, 0, &mut tried)
    }

    async fn propose_wave(&mut self, context: &Context<'_, Patch>, most: usize) -> Result<Wave, ProposerError> {
        let sources = Sources::new(&context.files);
        let sites = sites(&sources, context.program)?;
        let observations = self.observations(context, &sources, &sites);
        let mut tried = Tried::new(context, &sources, &sites, &observations);
        let mut wave = Vec::new();
        while wave.len() < most.max(1) {
            match self.propose_one(context, &sources, &sites, &observations, wave.len(), &mut tried) {
                Ok(proposal) => wave.push(Ok(proposal)),
                // The found ones come first; the next wave will find the space exhausted, too.
                Err(ProposerError::Exhausted(_)) if !wave.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(wave)
    }
}

impl KnobProposer {
    /// Returns the observations that the search learns from. Steps need none: they may repeat a point of another incumbent.
    fn observations(
        &self,
        context: &Context<'_, Patch>,
        sources: &Sources<'_>,
        sites: &[Site<'_>],
    ) -> Vec<Observation> {
        match self.search {
            Search::Neighbour => Vec::new(),
            _ => observations(context, sources, sites),
        }
    }

    /// Returns the proposal at this place of a wave, which counts as tried from then on.
    fn propose_one(
        &self,
        context: &Context<'_, Patch>,
        sources: &Sources<'_>,
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
                let neighbourhood = neighbour::Neighbourhood::new(context, sources, sites);
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

/// Proposals that need not be made again.
struct Tried {
    /// Descriptions of the experiments on this incumbent, of those in flight, and of rejected proposals.
    descriptions: HashSet<String>,
    /// Points that were measured on any incumbent.
    points: HashSet<Vec<String>>,
    /// Points in flight or in this wave.
    unmeasured: Vec<Vec<String>>,
}

impl Tried {
    fn new(
        context: &Context<'_, Patch>,
        sources: &Sources<'_>,
        sites: &[Site<'_>],
        observations: &[Observation],
    ) -> Tried {
        let here = context.experiments.iter().filter(|e| e.parent.as_ref() == Some(&context.incumbent));
        let here = here.chain(context.pending.iter().copied()).map(|experiment| &experiment.description);
        let rejected = context.rejections.iter().map(|rejection| &rejection.description);
        let descriptions = here.chain(rejected).cloned().collect();
        Tried { descriptions, points: points(observations), unmeasured: pending(context, sources, sites) }
    }

    fn has(&self, description: &str, point: &Vec<String>) -> bool {
        self.descriptions.contains(description) || self.points.contains(point) || self.unmeasured.contains(point)
    }
}

/// Returns the points whose every literal is known.
fn points(observations: &[Observation]) -> HashSet<Vec<String>> {
    observations.iter().filter_map(|observation| observation.values.iter().cloned().collect()).collect()
}

/// Returns the points of experiments in flight that change only constants: those with an older base will be rebased onto this
/// incumbent.
fn pending(context: &Context<'_, Patch>, sources: &Sources<'_>, sites: &[Site<'_>]) -> Vec<Vec<String>> {
    let pending = context.pending.iter().filter_map(|experiment| Patch::deserialize(&experiment.change).ok());
    let changes = pending.map(|patch| changes(&patch, sources));
    let changes = changes.filter(|changes| !changes.others && changes.are_of(sites));
    let value = |changes: &Changes, site: &Site<'_>| match changes.of(site) {
        Some(change) => change.new,
        None => site.constant.value.to_owned(),
    };
    changes.map(|changes| sites.iter().map(|site| value(&changes, site)).collect()).collect()
}

/// Returns the first untried draft that changes something as a proposal. It counts as tried from then on.
fn first(
    sites: &[Site<'_>],
    tried: &mut Tried,
    tries: usize,
    mut draw: impl FnMut(usize) -> Result<Draft, ProposerError>,
) -> Result<Proposal, ProposerError> {
    let before: Vec<String> = sites.iter().map(|site| site.constant.value.to_owned()).collect();
    for nth in 0..tries {
        let Draft { values, why } = draw(nth)?;
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
            .map(|(site, value)| format!("{} {} -> {value}", site.label, site.constant.value))
            .collect::<Vec<_>>()
            .join(", ");
        if changed.is_empty() || tried.has(&description, &point) {
            continue;
        }
        let places = changed.iter().map(|(site, value)| {
            let Site { path, source, constant, .. } = site;
            (*path, *source, constant.place.clone(), (*value).clone())
        });
        let edits = edits_of(places);
        tried.descriptions.insert(description.clone());
        tried.unmeasured.push(point);
        return Ok(Proposal::new(Patch { edits }, description).because(why));
    }
    Err(ProposerError::Exhausted(match tries {
        TRIES => format!("{TRIES} draws in a row had all been tried"),
        points => format!("all {points} points of the grid are tried"),
    }))
}
