//! Draws from a tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter
//! Optimization", NeurIPS 2011), one for each constant, by the crate `tpe`.

use autoresearch_core::ProposerError;
use rand::Rng;
use tpe::{TpeOptimizerBuilder, categorical_range, histogram_estimator, parzen_estimator, range};

use super::draft::Draft;
use crate::constants::{Knob, Site};
use crate::space::Observation;

/// Points that are drawn at random before the estimator is used, which cannot learn from fewer.
const AT_RANDOM: usize = 10;
/// Share of the observations that counts as good.
const GOOD: f64 = 0.15;
/// Draws from the good ones that compete for each literal.
const CANDIDATES: usize = 24;

/// Returns the scores that stand for points in flight, so that draws at the same time differ: the worst known one
/// (the constant liar of Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize
/// optimization", 2010, with its maximum, which spreads the points most). It repels the estimator from points in flight.
pub(super) fn lies(observations: &[Observation], unmeasured: &[Vec<String>]) -> Vec<Observation> {
    let finite = observations.iter().map(|observation| observation.loss).filter(|loss| loss.is_finite());
    let Some(loss) = finite.reduce(f64::max) else { return Vec::new() };
    let lie = |point: &Vec<String>| Observation { values: point.iter().cloned().map(Some).collect(), loss };
    unmeasured.iter().map(lie).collect()
}

/// Draws a literal for every site by the observations and the stand-ins.
pub(super) fn draw(
    sites: &[Site<'_>],
    observations: &[Observation],
    lies: &[Observation],
    rng: &mut impl Rng,
) -> Result<Draft, ProposerError> {
    if observations.len() < AT_RANDOM {
        return Ok(super::draft::at_random(sites, rng));
    }
    let mut values = Vec::new();
    for (at, site) in sites.iter().enumerate() {
        let fatal = |error: &dyn std::fmt::Display| ProposerError::Fatal(format!("{}: {error}", site.label));
        let (low, high) = site.knob.ends();
        let (kind, range) = match &site.knob {
            Knob::Choice(choices) => (histogram_estimator(), categorical_range(choices.len())),
            _ => (parzen_estimator(), range(low, high)),
        };
        let range = range.map_err(|e| fatal(&e))?;
        let builder = TpeOptimizerBuilder::new().gamma(GOOD).candidates(CANDIDATES).build(kind, range);
        let mut estimator = builder.map_err(|e| fatal(&e))?;
        for observation in observations.iter().chain(lies) {
            let literal = observation.values.get(at).and_then(Option::as_deref);
            // NaN: the estimator learns nothing of this constant from it.
            let number = literal.and_then(|literal| site.knob.number(literal)).unwrap_or(f64::NAN);
            estimator.tell(number, observation.loss).map_err(|e| fatal(&e))?;
        }
        let number = estimator.ask(rng).map_err(|e| fatal(&e))?;
        values.push((at, site.literal(number)));
    }
    let why = format!("The values of the better ones of {} measured points are dense there.", observations.len());
    Ok(Draft { values, why })
}
