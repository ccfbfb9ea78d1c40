//! The version of the answers.

/// Version of all answers. A new field leaves it as it is; a field that goes, or means something else, raises it.
pub const VERSION: u32 = 1;
