//! The figures of the durable core: a ratchet that can be trusted.

use super::{Measure, mutants};

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[("mutations", mutants::mutations)];
