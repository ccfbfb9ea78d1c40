//! All points of a grid once each, in an order whose beginnings are spread over the whole space.

use super::draft::Draft;
use crate::constants::{Knob, Site};

/// Values of a range on the grid, its ends included. A list has all of its own.
const LEVELS: usize = 4;

/// Returns the values of each site.
pub(super) struct Grid(Vec<Vec<String>>);

impl Grid {
    pub fn new(sites: &[Site<'_>]) -> Grid {
        Grid(sites.iter().map(|site| levels(site)).collect())
    }

    /// Number of points.
    pub fn points(&self) -> u128 {
        self.0.iter().fold(1, |all, levels| all.saturating_mul(levels.len() as u128))
    }

    /// Returns the `nth` point of the order that follows from a seed.
    pub fn point(&self, nth: u128, seed: u64) -> Draft {
        let all = self.points().max(1);
        // Steps of a golden section, of which none meets the same point twice before all were met.
        let step = (1..).map(|more| (all as f64 * 0.618_033_988_75) as u128 + more).find(|step| coprime(*step, all));
        let mut rest = (u128::from(seed) % all).wrapping_add(nth.wrapping_mul(step.unwrap_or(1))) % all;
        let mut values = Vec::new();
        for (at, levels) in self.0.iter().enumerate() {
            let count = levels.len() as u128;
            values.extend(levels.get((rest % count) as usize).map(|value| (at, value.clone())));
            rest /= count;
        }
        Draft { values, why: format!("It is point {} of {all} of the grid.", nth + 1) }
    }
}

fn coprime(mut a: u128, mut b: u128) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

fn levels(site: &Site<'_>) -> Vec<String> {
    if let Knob::Choice(choices) = &site.knob {
        return choices.clone();
    }
    let (low, high) = site.knob.ends();
    let mut levels: Vec<String> =
        (0..LEVELS).map(|at| site.literal(low + (high - low) * at as f64 / (LEVELS - 1) as f64)).collect();
    levels.dedup();
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constants::Sources;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn every_point_is_met_once() {
        let source = "a = 2  # knob: int 1..3\nb = 0.1  # knob: log 0.01..10\nc = 'a'  # knob: {a, b}\n";
        let files = [("a.py".to_owned(), source.to_owned())].into();
        let grid = Grid::new(&crate::constants::sites(&Sources::new(&files), &BTreeMap::new()).unwrap());
        assert_eq!(grid.0[0], ["1", "2", "3"]);
        assert_eq!(grid.0[1], ["0.01", "0.1", "1.0", "10.0"]);
        let met: BTreeSet<_> = (0..24).map(|nth| grid.point(nth, 7).values).collect();
        assert_eq!((met.len(), grid.points()), (24, 24));
    }
}
