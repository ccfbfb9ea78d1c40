//! Operations that the bindings lack, or that save time or memory over the same thing in single steps.
//!
//! Every one of them has its plain form beside it, called `plain`, which says in a few lines what it computes; tests hold
//! both equal, and the gradients against finite differences in double precision. [`function::custom`] is how they are
//! written, and how a researcher adds one, from Rust alone.

mod ffi;

pub mod adamw;
pub mod attention;
pub mod function;
pub mod gradcheck;
pub mod head;
pub mod memory;
pub mod mlp;
pub mod norm;
pub mod precision;
