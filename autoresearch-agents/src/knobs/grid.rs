//! All points of a grid once each, in an order whose beginnings are spread over the whole space.

use super::draft::Draft;
use crate::constants::Knob;
use crate::space::Site;

/// Values of a range on the grid, its ends included. A list has all of its own.
const LEVELS: usize = 4;

/// Returns the values of each site.
pub(super) struct Grid(Vec<Vec<String>>);

impl Grid {
    pub fn new(sites: &[Site<'_>]) -> Grid {
        Grid(sites.iter().map(|site| levels(&site.knob)).collect())
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

fn levels(knob: &Knob) -> Vec<String> {
    if let Knob::Choice(choices) = knob {
        return choices.clone();
    }
    let (low, high) = knob.ends();
    let mut levels: Vec<String> =
        (0..LEVELS).map(|at| knob.literal(low + (high - low) * at as f64 / (LEVELS - 1) as f64)).collect();
    levels.dedup();
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_point_is_met_once() {
        let grid = Grid(vec![levels(&Knob::Int(1, 3)), levels(&Knob::Log(0.01, 10.0)), vec!["a".into(), "b".into()]]);
        assert_eq!(grid.0[0], ["1", "2", "3"]);
        assert_eq!(grid.0[1], ["0.01", "0.1", "1.0", "10.0"]);
        let met: BTreeSet<_> = (0..24).map(|nth| grid.point(nth, 7).values).collect();
        assert_eq!((met.len(), grid.points()), (24, 24));
    }
}
