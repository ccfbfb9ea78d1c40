//! Local steps from the incumbent, guided by the kept changes.

use autoresearch_core::{Context, Patch, ProposerError, Status};
use rand::{Rng, RngExt, seq::IndexedRandom};

use super::draft::Draft;
use crate::constants::{Knob, Number, Site, Sources, rounded, same};
use crate::space::changes;

/// Record of a constant since its last kept change.
#[derive(Default)]
struct Past {
    failures: u32,
    /// Direction of the last kept change: 1 for up, -1 for down.
    kept: Option<i32>,
    /// Size of the last kept change.
    size: Option<f64>,
}

impl Past {
    /// The size of the next step on a range of integers: at first a tenth of the range, after a keep twice as large as the kept
    /// change, and half as large after each two changes that were not kept, since a step goes either way.
    fn integer_step(&self, range: f64) -> f64 {
        let (first, failures) = match self.size {
            None => (range / 10.0, self.failures),
            Some(size) => (2.0 * size, if self.failures == 0 { 0 } else { self.failures + 1 }),
        };
        (first / 2f64.powi((failures / 2).min(64) as i32)).round().clamp(1.0, range.max(1.0))
    }
}

/// A constant with its record.
type Known<'s> = (Site<'s>, Past);

/// Draws changes of one constant, sometimes of two.
pub(super) struct Neighbourhood<'s>(Vec<Known<'s>>);

impl<'s> Neighbourhood<'s> {
    pub fn new(context: &Context<'_, Patch>, sources: &Sources<'_>, sites: &[Site<'s>]) -> Neighbourhood<'s> {
        Neighbourhood(sites.iter().cloned().zip(pasts(context, sources, sites)).collect())
    }

    /// Returns the next draw: literals by site, and the reason.
    pub fn draw(&self, rng: &mut impl Rng) -> Result<Draft, ProposerError> {
        let count = if rng.random_bool(0.75) { 1 } else { 2 };
        let weight = |at: &usize| match self.0.get(*at).map(|(_, past)| past) {
            Some(Past { kept: Some(_), failures: 0, .. }) => 3.0,
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
    let Site { label, range, .. } = site;
    match past.kept {
        Some(_) => format!("The last change of {label} was kept, so a further one may help."),
        None => format!("{label} may not be at its best within {range}."),
    }
}

/// Returns the record of each constant.
fn pasts(context: &Context<'_, Patch>, sources: &Sources<'_>, sites: &[Site<'_>]) -> Vec<Past> {
    let mut pasts: Vec<Past> = sites.iter().map(|_| Past::default()).collect();
    for (patch, experiment) in context.changes() {
        let changes = changes(&patch, sources);
        for (site, past) in sites.iter().zip(&mut pasts) {
            let Some(change) = changes.of(site) else { continue };
            if experiment.status != Status::Keep {
                past.failures += 1;
                continue;
            }
            let number = |literal: &str| Number::parse(literal).map(|number| number.value);
            let step = change.old.as_deref().and_then(number).zip(number(&change.new));
            let size = step.map(|(old, new)| (new - old).abs());
            *past = Past { failures: 0, kept: step.map(|(old, new)| if new > old { 1 } else { -1 }), size };
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
    let value = site.constant.value;
    let (now, integer) = (Number::parse(value).map(|number| number.value), site.is_integer());
    match &site.knob {
        Knob::Log(low, high) => {
            let factor = *[1.25f64, 1.5, 2.0].choose(rng).unwrap_or(&1.5);
            let new = match now {
                Some(now) if !anew && now > 0.0 => {
                    let new = now * if up { factor } else { 1.0 / factor };
                    // A small integer moves by one at least.
                    let least = now + f64::from(sign);
                    if !integer || (new - now).abs() >= 1.0 { new } else { least }
                }
                _ => (low.ln() + rng.random::<f64>() * (high.ln() - low.ln())).exp(),
            };
            site.written(rounded(new, *low, *high, integer))
        }
        Knob::Lin(low, high) => {
            let share = *[0.05f64, 0.1, 0.2].choose(rng).unwrap_or(&0.1);
            let new = match now {
                Some(now) if !anew => {
                    let step = share * (high - low);
                    now + f64::from(sign) * if integer { step.max(1.0) } else { step }
                }
                _ => low + rng.random::<f64>() * (high - low),
            };
            site.written(rounded(new, *low, *high, integer))
        }
        Knob::Int(low, high) => {
            let new = match now {
                Some(now) if !anew => now + f64::from(sign) * past.integer_step((*high - *low) as f64),
                _ => rng.random_range(*low..=*high) as f64,
            };
            site.written(new.round().clamp(*low as f64, *high as f64))
        }
        Knob::Choice(choices) => {
            let now = choices.iter().position(|choice| same(choice, value));
            let next = now.and_then(|at| if up { choices.get(at + 1) } else { choices.get(at.checked_sub(1)?) });
            // Beyond the end there is nothing: the unchanged value makes the search look elsewhere.
            let drawn = if anew || now.is_none() { choices.choose(rng) } else { next };
            drawn.cloned().unwrap_or_else(|| value.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeMap;

    /// A step of the only constant of a line.
    fn stepped(path: &str, line: &str, seed: u64) -> String {
        let files = [(path.to_owned(), line.to_owned())].into();
        let site = crate::constants::sites(&Sources::new(&files), &BTreeMap::new()).unwrap().remove(0);
        step(&(site, Past::default()), &mut ChaCha8Rng::seed_from_u64(seed))
    }

    proptest! {
        #[test]
        fn steps_stay_in_their_range(seed: u64) {
            let step = |line: &str| stepped("a.rs", line, seed);
            let log = step("const A: f64 = 0.04; // knob: log 0.01..0.1");
            prop_assert!((0.01..=0.1).contains(&log.parse::<f64>().unwrap()), "{}", log);
            let lin = step("const A: f64 = 0.0; // knob: lin 0..1");
            prop_assert!(lin.contains('.') && (0.0..=1.0).contains(&lin.parse::<f64>().unwrap()), "{}", lin);
            let int = step("const A: i64 = 8; // knob: int 1..8");
            prop_assert!((1..=8).contains(&int.parse::<i64>().unwrap()));
            let choice = step("const A: &str = \"SSSL\"; // knob: {\"L\", \"SSSL\"}");
            prop_assert!(["\"L\"", "\"SSSL\""].contains(&choice.as_str()));
            let int = stepped("a.py", "n = 1  # knob: log 1..4096", seed);
            prop_assert!((1..=4096).contains(&int.parse::<i64>().unwrap()), "{}", int);
        }
    }

    #[test]
    fn integers_step_by_the_size_of_their_range_and_by_what_was_learnt() {
        let steps = |range: f64, size: Option<f64>| {
            [0, 1, 2, 3, 4, 40].map(|failures| Past { failures, kept: size.map(|_| 1), size }.integer_step(range))
        };
        assert_eq!(steps(80_000.0, None), [8000.0, 8000.0, 4000.0, 4000.0, 2000.0, 1.0]);
        assert_eq!(steps(80_000.0, Some(8000.0)), [16_000.0, 8000.0, 8000.0, 4000.0, 4000.0, 1.0]);
        assert_eq!(steps(7.0, None), [1.0; 6]);
        assert_eq!(steps(7.0, Some(5.0))[0], 7.0, "not beyond the range");
        let values: Vec<String> =
            (0..20).map(|seed| stepped("a.py", "N = 60000  # knob: int 20000..100000", seed)).collect();
        for value in ["52000", "68000"] {
            assert!(values.contains(&value.to_owned()), "{value}: {values:?}");
        }
    }

    #[test]
    fn a_small_integer_moves_on_a_logarithmic_range() {
        let steps: Vec<String> = (0..40).map(|seed| stepped("a.py", "n = 2  # knob: log 1..4096", seed)).collect();
        assert!(steps.contains(&"3".to_owned()) && steps.contains(&"1".to_owned()), "{steps:?}");
    }
}
