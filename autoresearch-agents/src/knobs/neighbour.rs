//! Local steps from the incumbent, guided by the kept changes.

use autoresearch_core::{Context, Patch, ProposerError, Status};
use rand::{Rng, RngExt, seq::IndexedRandom};

use super::draft::Draft;
use crate::constants::{Constant, Knob};
use crate::space::{Site, changes, float};

/// Record of a constant since its last kept change.
#[derive(Default)]
struct Past {
    failures: u32,
    /// Direction of the last kept change: 1 for up, -1 for down.
    kept: Option<i32>,
}

/// A constant with its record.
type Known<'s> = (Site<'s>, Past);

/// Draws changes of one constant, sometimes of two.
pub(super) struct Neighbourhood<'s>(Vec<Known<'s>>);

impl<'s> Neighbourhood<'s> {
    pub fn new(context: &Context<'_, Patch>, sites: &[Site<'s>]) -> Neighbourhood<'s> {
        Neighbourhood(sites.iter().cloned().zip(pasts(context, sites)).collect())
    }

    /// Returns the next draw: literals by site, and the reason.
    pub fn draw(&self, rng: &mut impl Rng) -> Result<Draft, ProposerError> {
        let count = if rng.random_bool(0.75) { 1 } else { 2 };
        let weight = |at: &usize| match self.0.get(*at).map(|(_, past)| past) {
            Some(Past { kept: Some(_), failures: 0 }) => 3.0,
            past => 1.0 / f64::from(1 + past.map_or(0, |past| past.failures)),
        };
        let all: Vec<usize> = (0..self.0.len()).collect();
        let chosen: Vec<usize> = all
            .sample_weighted(rng, count, weight)
            .map_err(|e| ProposerError::Fatal(e.to_string()))?
            .copied()
            .collect();
        let known = || chosen.iter().filter_map(|at| Some((*at, self.0.get(*at)?)));
        let mut values: Vec<(usize, String)> = known().map(|(at, known)| (at, step(known, rng))).collect();
        // A step beyond an end makes the search look elsewhere, also where it is one of two.
        if known().zip(&values).any(|((_, (site, _)), (_, value))| site.constant.value == value) {
            values.clear();
        }
        Ok(Draft { values, why: known().map(|(_, known)| reason(known)).collect::<Vec<_>>().join(" ") })
    }
}

fn reason((site, past): &Known<'_>) -> String {
    let Constant { name, range, .. } = &site.constant;
    match past.kept {
        Some(_) => format!("The last change of {name} was kept, so a further one may help."),
        None => format!("{name} may not be at its best within {}.", range.unwrap_or("its range")),
    }
}

/// Returns the record of each constant.
fn pasts(context: &Context<'_, Patch>, sites: &[Site<'_>]) -> Vec<Past> {
    let mut pasts: Vec<Past> = sites.iter().map(|_| Past::default()).collect();
    for (patch, experiment) in context.changes() {
        let changes = changes(&patch, &context.files);
        for (site, past) in sites.iter().zip(&mut pasts) {
            let Some((old, new)) = changes.constants.get(site.constant.name) else { continue };
            if experiment.status != Status::Keep {
                past.failures += 1;
                continue;
            }
            let number = |literal: &str| literal.parse::<f64>().ok();
            let step = old.as_deref().and_then(number).zip(number(new));
            *past = Past { failures: 0, kept: step.map(|(old, new)| if new > old { 1 } else { -1 }) };
        }
    }
    pasts
}

/// Draws a new literal for a constant.
fn step((site, past): &Known<'_>, rng: &mut impl Rng) -> String {
    let anew = rng.random_bool(0.2);
    let sign = match past.kept {
        Some(sign) if past.failures == 0 => sign,
        _ => {
            if rng.random_bool(0.5) {
                1
            } else {
                -1
            }
        }
    };
    let up = sign > 0;
    let value = site.constant.value.replace('_', "");
    match &site.knob {
        Knob::Log(low, high) => {
            let factor = *[1.25f64, 1.5, 2.0].choose(rng).unwrap_or(&1.5);
            let new = match value.parse::<f64>() {
                Ok(now) if !anew && now > 0.0 => now * if up { factor } else { 1.0 / factor },
                _ => (low.ln() + rng.random::<f64>() * (high.ln() - low.ln())).exp(),
            };
            float(new.clamp(*low, *high), *low, *high)
        }
        Knob::Lin(low, high) => {
            let share = *[0.05f64, 0.1, 0.2].choose(rng).unwrap_or(&0.1);
            let new = match value.parse::<f64>() {
                Ok(now) if !anew => now + f64::from(sign) * share * (high - low),
                _ => low + rng.random::<f64>() * (high - low),
            };
            float(new.clamp(*low, *high), *low, *high)
        }
        Knob::Int(low, high) => {
            let new = match value.parse::<i64>() {
                Ok(now) if !anew => now + i64::from(sign),
                _ => rng.random_range(*low..=*high),
            };
            new.clamp(*low, *high).to_string()
        }
        Knob::Choice(choices) => {
            let now = choices.iter().position(|choice| choice.replace('_', "") == value);
            let next = now.and_then(|at| if up { choices.get(at + 1) } else { choices.get(at.checked_sub(1)?) });
            // Beyond the end there is nothing: the unchanged value makes the search look elsewhere.
            let drawn = if anew || now.is_none() { choices.choose(rng) } else { next };
            drawn.cloned().unwrap_or_else(|| site.constant.value.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn site(line: &'static str) -> Known<'static> {
        let constant = Constant::parse(line).unwrap();
        let knob = Knob::parse(constant.name, constant.range.unwrap()).unwrap();
        (Site { path: "train.rs", source: constant.line, constant, knob }, Past::default())
    }

    proptest! {
        #[test]
        fn steps_stay_in_their_range(seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let log = step(&site("const A: f64 = 0.04; // knob: log 0.01..0.1"), &mut rng);
            prop_assert!((0.01..=0.1).contains(&log.parse::<f64>().unwrap()), "{}", log);
            let lin = step(&site("const A: f64 = 0.0; // knob: lin 0..1"), &mut rng);
            prop_assert!(lin.contains('.') && (0.0..=1.0).contains(&lin.parse::<f64>().unwrap()), "{}", lin);
            let int = step(&site("const A: i64 = 8; // knob: int 1..8"), &mut rng);
            prop_assert!((1..=8).contains(&int.parse::<i64>().unwrap()));
            let choice = step(&site("const A: &str = \"SSSL\"; // knob: {\"L\", \"SSSL\"}"), &mut rng);
            prop_assert!(["\"L\"", "\"SSSL\""].contains(&choice.as_str()));
        }
    }

    #[test]
    fn floats_are_short_rust_literals() {
        let literals = [0.0555, 3.0, 0.00001, 0.0].map(|value| float(value, 0.0, 9.0));
        assert_eq!(literals, ["0.056", "3.0", "0.00001", "0.0"]);
    }
}
