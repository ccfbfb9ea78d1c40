//! The draft of a proposal: new literals of constants.

use rand::{Rng, RngExt};

use crate::constants::Site;

/// Literals for some of the sites, by their place, and the reason for them.
pub(super) struct Draft {
    pub values: Vec<(usize, String)>,
    pub why: String,
}

/// Draws a literal for every site from its whole range.
pub(super) fn at_random(sites: &[Site<'_>], rng: &mut impl Rng) -> Draft {
    let mut draw = |site: &Site<'_>| {
        let (low, high) = site.knob.ends();
        site.literal(low + rng.random::<f64>() * (high - low))
    };
    let values = sites.iter().map(&mut draw).enumerate().collect();
    Draft { values, why: "Nothing is known there yet.".into() }
}
