//! Effects of a design: of each factor, and of each pair of factors together.

use std::collections::{BTreeMap, BTreeSet};

use autoresearch_core::Noise;
use autoresearch_core::{Experiment, ExperimentId, State, Status};

use crate::constants::{Number, same};

use super::points::{Block, Points, Sample, is_measured};
use super::regression::Fit;

/// Effects of one design, computed from a journal.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Analysis {
    /// Name of the design.
    pub name: String,
    /// Proposed levels of each factor, in the order of their values if they are numbers.
    pub factors: BTreeMap<String, Vec<String>>,
    /// Number of points with a score, the one that changes nothing included.
    pub measured: usize,
    /// Number of points that crashed.
    pub crashed: usize,
    /// Number of points without a score for another reason: they are in flight, or were discarded by screening.
    pub without: usize,
    /// Number of blocks of the measured points: each has other code besides the factors, or another machine.
    pub blocks: usize,
    /// Standard deviation of single measurements of the same code, in the metric's unit, if it is known.
    pub sigma: Option<f64>,
    /// True if `sigma` is the residual of the model, since nothing was measured twice.
    pub by_residual: bool,
    /// Effects that the measured points determine, main effects first.
    pub effects: Vec<Effect>,
    /// Effects that they do not determine, neither alone nor together with others.
    pub unknown: Vec<Vec<String>>,
}

/// Effect of one factor, or interaction of two.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Effect {
    /// Step of each factor involved: one, or two for an interaction.
    pub of: Vec<Step>,
    /// Estimate in the metric's unit. For one factor: the rise of the score with the step, averaged over the levels of the
    /// others. For two: half the change of the first step's effect by the second (Box, Hunter and Hunter, "Statistics for
    /// Experimenters", 2nd edition, 2005, chapter 5).
    pub estimate: f64,
    /// Standard error of the estimate, if the noise is known.
    pub error: Option<f64>,
    /// Effects in the same estimate, which the measured points cannot tell apart.
    pub aliases: Vec<Alias>,
}

/// Step from one level of a factor to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Name of the factor.
    pub factor: String,
    /// Lower level.
    pub from: String,
    /// Next level.
    pub to: String,
}

/// An effect that cannot be told apart from another.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alias {
    /// Factors involved.
    pub of: Vec<String>,
    /// Weight in the other effect's estimate, which may be negative; approximate for factors of more than two levels.
    pub part: f64,
}

/// Columns of one term of the model.
struct Term {
    /// Places of the factors: one or two.
    of: Vec<usize>,
    /// First column and number of columns.
    first: usize,
    count: usize,
}

/// Computes the effects of each design in a journal, in the order in which the designs started.
///
/// The model has a mean for each block, the main effects and the interactions of two factors, and is fitted by least squares
/// over the points that have a score, each weighted by its number of measurements: points that crashed or are in flight are left
/// out, and effects that are indistinguishable without them are named. Points with different code are compared only within
/// their block (blocking, as in Box, Hunter and Hunter, chapter 4). A rebased point counts with the measurements before its
/// rebase.
///
/// Errors come from [`State::noise`]; without it from points that were measured more than once; without any from the residual
/// of the model.
pub fn analyses(state: &State) -> Vec<Analysis> {
    let all = || state.experiments.iter().chain(state.pending());
    let mut names: Vec<(ExperimentId, &str)> =
        all().filter_map(|e| Some((e.id, e.design.as_ref()?.name.as_str()))).collect();
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
    // The base of the points may lie off the design.
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

/// Returns the levels of each factor over all proposed points.
fn levels(points: &Points<'_>) -> BTreeMap<String, Vec<String>> {
    let mut factors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let all = points.members().iter().filter_map(|member| member.design.as_ref()).flat_map(|design| &design.levels);
    for (factor, level) in all {
        let levels = factors.entry(factor.clone()).or_default();
        if !levels.iter().any(|known| same(known, level)) {
            levels.push(level.clone());
        }
    }
    let number = |level: &String| Number::parse(level).map(|number| number.value);
    for levels in factors.values_mut() {
        match levels.iter().map(number).collect::<Option<Vec<f64>>>() {
            Some(_) => levels.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0))),
            None => levels.sort(),
        }
    }
    factors
}

/// Returns the place of each level of a sample, or `None` if one is not in the design.
fn coordinates(factors: &BTreeMap<String, Vec<String>>, sample: &Sample) -> Option<Vec<usize>> {
    let place = |(factor, levels): (&String, &Vec<String>)| {
        let level = sample.levels.get(factor)?;
        levels.iter().position(|known| same(known, level))
    };
    factors.iter().map(place).collect()
}

/// Returns the entry of a level in each column of its factor: the effects of all levels sum to zero, and of two levels the first is
/// −1 and the second +1.
fn code(level: usize, levels: usize) -> Vec<f64> {
    let entry = |column: usize| match level {
        0 => -1.0,
        level if level == column + 1 => 1.0,
        _ => 0.0,
    };
    (0..levels.saturating_sub(1)).map(entry).collect()
}

/// Returns all products of an entry of `a` with one of `b`.
fn products(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect()
}

/// Returns the columns of the model and the terms that they belong to.
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

/// Returns the names of a term's factors.
fn named(term: &Term, factors: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let names: Vec<&String> = factors.keys().collect();
    term.of.iter().filter_map(|at| names.get(*at)).map(|name| (*name).clone()).collect()
}

/// Returns the effects of a term that the fit determines, one for each step between levels.
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
