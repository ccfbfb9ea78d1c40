//! The draft of a proposal: new literals of constants.

use rand::Rng;

use crate::space::Site;

/// Literals for some of the sites, by their place, and the reason for them.
pub(super) struct Draft {
    pub values: Vec<(usize, String)>,
    pub why: String,
}

/// Draws a literal for every site from its whole range.
pub(super) fn at_random(sites: &[Site<'_>], rng: &mut impl Rng) -> Draft {
    let values = sites.iter().map(|site| site.knob.draw(rng)).enumerate().collect();
    Draft { values, why: "Nothing is known there yet.".into() }
}
