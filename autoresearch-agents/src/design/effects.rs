//! What the points of a design show: the effect of each factor, and what two of them do together.

use std::collections::{BTreeMap, BTreeSet};

use autoresearch_core::ratchet::Noise;
use autoresearch_core::{Experiment, State, Status};

use super::factorial::same;
use super::points::{Block, Points, Sample, is_measured};
use super::regression::Fit;

/// What a journal says of one design.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Analysis {
    /// The design's name.
    pub name: String,
    /// The levels of each factor that were proposed, in their order: by value if they are numbers.
    pub factors: BTreeMap<String, Vec<String>>,
    /// How many points have a score, the one that changes nothing among them.
    pub measured: usize,
    /// How many crashed.
    pub crashed: usize,
    /// How many were proposed and have no score for another reason: they wait, or were discarded by short runs.
    pub without: usize,
    /// In how many blocks the measured points lie: each is other code but for the factors, or another machine.
    pub blocks: usize,
    /// What single measurements of the same code differ by, as a standard deviation in the metric's unit, if it is known.
    pub sigma: Option<f64>,
    /// Whether that is only what the model leaves over, since nothing was measured twice.
    pub by_residual: bool,
    /// The effects that the measured points tell, main effects first.
    pub effects: Vec<Effect>,
    /// The effects that they do not tell, neither alone nor together with others.
    pub unknown: Vec<Vec<String>>,
}

/// The effect of one factor, or the interaction of two.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Effect {
    /// The change of each factor that it is about: one, or two for an interaction.
    pub of: Vec<Step>,
    /// In the metric's unit. For one factor: by how much the score rises with the step, on average over the levels of the
    /// others. For two: half of what the second step adds to the effect of the first (Box, Hunter and Hunter, "Statistics for
    /// Experimenters", 2nd edition, 2005, chapter 5).
    pub estimate: f64,
    /// Its standard error, if the noise is known.
    pub error: Option<f64>,
    /// The effects that stand in the same number: the measured points cannot tell them apart.
    pub aliases: Vec<Alias>,
}

/// From one level of a factor to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The factor.
    pub factor: String,
    /// The lower level.
    pub from: String,
    /// The next one.
    pub to: String,
}

/// An effect that cannot be told apart from another.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alias {
    /// The factors that it is about.
    pub of: Vec<String>,
    /// How often it counts in the other's number, which is also a minus; for factors of more than two levels only roughly.
    pub part: f64,
}

/// The columns of one term of the model.
struct Term {
    /// The factors, by their place: one or two.
    of: Vec<usize>,
    /// Its columns: from the first, so many.
    first: usize,
    count: usize,
}

/// What a journal says of each of its designs, in the order in which they began.
///
/// The model has a mean for each block, the main effects and the interactions of two factors, and is fitted by least squares
/// over the points that have a score, each weighted by how often it was measured: points that crashed or wait are left out, and
/// what cannot be told apart without them is said. Blocks keep like with like: points that were made from different code are
/// compared only with those beside them (blocking, as in Box, Hunter and Hunter, chapter 4). A point that was moved onto
/// another incumbent counts with what was measured before it was moved.
///
/// The errors come from [`State::noise`]; where that knows nothing, from points that were measured more than once; where there
/// are none, from what the model leaves over.
pub fn analyses(state: &State) -> Vec<Analysis> {
    let all = || state.experiments.iter().chain(state.pending());
    let mut names: Vec<(u32, &str)> = all().filter_map(|e| Some((e.id, e.design.as_ref()?.name.as_str()))).collect();
    names.sort_unstable();
    let mut seen = BTreeSet::new();
    names.retain(|(_, name)| seen.insert(*name));
    names
        .into_iter()
        .map(|(_, name)| analysis(state, &Points::new(name, &state.experiments, state.pending()), name))
        .collect()
}

fn analysis(state: &State, points: &Points<'_>, name: &str) -> Analysis {
    let factors = levels(points);
    let mut samples = points.samples(state);
    // The code that the points were made from may lie off the design.
    samples.retain(|sample| coordinates(&factors, sample).is_some());
    let crash = |member: &&Experiment| state.experiment(member.id).is_some_and(|e| e.status == Status::Crash);
    let scoreless = || points.members().iter().copied().filter(|member| !is_measured(member));
    let crashed = scoreless().filter(crash).count();
    let without = scoreless().count() - crashed;
    let blocks: Vec<&Block> = samples.iter().map(|sample| &sample.block).collect::<BTreeSet<_>>().into_iter().collect();
    let (measured, block_count) = (samples.len(), blocks.len());

    let (columns, terms) = model(&factors, &samples, &blocks);
    let scores: Vec<f64> = samples.iter().map(Sample::score).collect();
    let weights: Vec<f64> = samples.iter().map(|sample| sample.scores.len() as f64).collect();
    let fit = Fit::new(&columns, &scores, &weights);
    let (rest, degrees) = fit.residual;
    let residual = (degrees > 0).then(|| (rest / degrees as f64).sqrt());
    let repeated = samples.iter().fold(Noise::default(), |noise, sample| noise.with(&sample.scores));
    let measured_twice = state.noise.sigma().or(repeated.sigma());
    let (sigma, by_residual) = (measured_twice.or(residual), measured_twice.is_none() && residual.is_some());
    let effects: Vec<Effect> = terms.iter().flat_map(|term| effects(term, &terms, &factors, &fit, sigma)).collect();
    let shown = |term: &&Term| {
        let names = named(term, &factors);
        effects.iter().any(|effect| {
            let itself = effect.of.iter().map(|step| &step.factor).eq(names.iter());
            itself || effect.aliases.iter().any(|alias| alias.of == names)
        })
    };
    let unknown = terms.iter().filter(|term| !shown(term)).map(|term| named(term, &factors)).collect();
    Analysis {
        name: name.to_owned(),
        measured,
        crashed,
        without,
        blocks: block_count,
        sigma,
        by_residual,
        unknown,
        effects,
        factors,
    }
}

/// The levels of each factor over all points that were proposed.
fn levels(points: &Points<'_>) -> BTreeMap<String, Vec<String>> {
    let mut factors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let all = points.members().iter().filter_map(|member| member.design.as_ref()).flat_map(|design| &design.levels);
    for (factor, level) in all {
        let levels = factors.entry(factor.clone()).or_default();
        if !levels.iter().any(|known| same(known, level)) {
            levels.push(level.clone());
        }
    }
    let number = |level: &String| level.trim().replace('_', "").parse::<f64>();
    for levels in factors.values_mut() {
        match levels.iter().map(number).collect::<Result<Vec<f64>, _>>() {
            Ok(_) => levels.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0))),
            Err(_) => levels.sort(),
        }
    }
    factors
}

/// The place of each level of a sample; `None` if one of them is not in the design.
fn coordinates(factors: &BTreeMap<String, Vec<String>>, sample: &Sample) -> Option<Vec<usize>> {
    let place = |(factor, levels): (&String, &Vec<String>)| {
        let level = sample.levels.get(factor)?;
        levels.iter().position(|known| same(known, level))
    };
    factors.iter().map(place).collect()
}

/// The entry of a level in each column of its factor: the effects of all levels sum to zero, and of two levels the first is
/// −1 and the second +1.
fn code(level: usize, levels: usize) -> Vec<f64> {
    let entry = |column: usize| match level {
        0 => -1.0,
        level if level == column + 1 => 1.0,
        _ => 0.0,
    };
    (0..levels.saturating_sub(1)).map(entry).collect()
}

/// All products of an entry of `a` with one of `b`.
fn products(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect()
}

/// The columns of the model, and which of them belong to which effect.
fn model(factors: &BTreeMap<String, Vec<String>>, samples: &[Sample], blocks: &[&Block]) -> (Vec<Vec<f64>>, Vec<Term>) {
    let counts: Vec<usize> = factors.values().map(Vec::len).collect();
    let pairs = (0..counts.len()).flat_map(|a| (a + 1..counts.len()).map(move |b| vec![a, b]));
    let all: Vec<Vec<usize>> = (0..counts.len()).map(|a| vec![a]).chain(pairs).collect();
    let rows: Vec<Vec<Vec<f64>>> = samples
        .iter()
        .map(|sample| {
            let places = coordinates(factors, sample).unwrap_or_default();
            places.iter().zip(&counts).map(|(place, count)| code(*place, *count)).collect()
        })
        .collect();
    let mut columns: Vec<Vec<f64>> = blocks
        .iter()
        .map(|block| samples.iter().map(|sample| f64::from(u8::from(sample.block == **block))).collect())
        .collect();
    let mut terms = Vec::new();
    for of in all {
        let first = columns.len();
        let count = of.iter().filter_map(|at| counts.get(*at)).map(|levels| levels - 1).product();
        columns.resize(first + count, Vec::with_capacity(samples.len()));
        for codes in &rows {
            let entries = of.iter().filter_map(|at| codes.get(*at)).fold(vec![1.0], |all, code| products(&all, code));
            columns[first..].iter_mut().zip(entries).for_each(|(column, entry)| column.push(entry));
        }
        terms.push(Term { of, first, count });
    }
    (columns, terms)
}

/// The names of a term's factors.
fn named(term: &Term, factors: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let names: Vec<&String> = factors.keys().collect();
    term.of.iter().filter_map(|at| names.get(*at)).map(|name| (*name).clone()).collect()
}

/// The effects of a term that the fit tells, one for each step from one level to the next.
fn effects(
    term: &Term,
    terms: &[Term],
    factors: &BTreeMap<String, Vec<String>>,
    fit: &Fit,
    sigma: Option<f64>,
) -> Vec<Effect> {
    let own = || term.first..term.first + term.count;
    let aliases: Vec<Alias> = terms
        .iter()
        .filter_map(|other| {
            let all = own().flat_map(|column| (other.first..other.first + other.count).map(move |o| (column, o)));
            let parts = all.filter_map(|(column, other)| fit.alias(column, other));
            let part = parts.max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
            Some(Alias { of: named(other, factors), part })
        })
        .collect();
    let lists: Vec<(&String, &Vec<String>)> = factors.iter().collect();
    // One step of each factor of the term, in all combinations.
    let mut steps: Vec<(Vec<Step>, Vec<f64>)> = vec![(Vec::new(), vec![1.0])];
    for (factor, levels) in term.of.iter().filter_map(|at| lists.get(*at)) {
        let mut longer = Vec::new();
        for (of, factors) in &steps {
            for (at, pair) in levels.windows(2).enumerate() {
                let (from, to) = (code(at, levels.len()), code(at + 1, levels.len()));
                let step: Vec<f64> = to.iter().zip(&from).map(|(to, from)| to - from).collect();
                let step_of = Step { factor: (*factor).clone(), from: pair[0].clone(), to: pair[1].clone() };
                longer.push((of.iter().cloned().chain([step_of]).collect(), products(factors, &step)));
            }
        }
        steps = longer;
    }
    let half = if term.of.len() == 2 { 0.5 } else { 1.0 };
    let effect = |(of, factors): (Vec<Step>, Vec<f64>)| {
        let contrast: Vec<(usize, f64)> = own().zip(factors.iter().map(|factor| factor * half)).collect();
        let (estimate, variance) = fit.contrast(&contrast)?;
        let error = sigma.map(|sigma| sigma * variance.sqrt());
        Some(Effect { of, estimate, error, aliases: aliases.clone() })
    };
    steps.into_iter().filter_map(effect).collect()
}

#[cfg(test)]
mod tests;
