//! A run on its way into a bundle and out of it: what goes in, what was unpacked, and its measurements made again.

mod collect;
mod machine;
mod openings;
mod repeat;
mod repeatable;
mod unpacked;

pub use collect::{Collected, collect};
pub use repeat::{Repetition, Walls, Which, repeat};
pub use repeatable::Repeatable;
pub use unpacked::Unpacked;
