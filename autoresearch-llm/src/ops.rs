//! Operations that the bindings lack, or that save time or memory over the same thing in single steps.
//!
//! Every one of them has its plain form beside it, called `plain`, which says in a few lines what it computes; tests hold
//! both equal, and the gradients against finite differences in double precision. [`function::custom`] is how they are
//! written, and how a researcher adds one, from Rust alone. On CUDA those that move much memory take kernels of this crate
//! ([`kernel`]). `AUTORESEARCH_OPERATIONS` chooses: `fused`, `libtorch` for the fused forms without these kernels, or `plain`.

use std::sync::OnceLock;

use thiserror::Error;

mod ffi;

pub mod adamw;
pub mod attention;
pub mod flash;
pub mod function;
pub mod gate;
pub mod gradcheck;
pub mod head;
mod heads;
pub mod kernel;
pub mod linear;
pub mod memory;
pub mod mlp;
pub mod norm;
mod own;
pub mod precision;
pub mod probe;
pub mod residual;
pub mod room;

pub use own::{kernels, status};

/// The form in which operations are computed in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// The fast way.
    #[default]
    Fused,
    /// The same, with libtorch's operations alone where [`Form::Fused`] takes kernels of this crate.
    Libtorch,
    /// In single steps of libtorch, to compare with: for a doubt about a result, or to see what the fast way gains.
    Plain,
}

/// `AUTORESEARCH_OPERATIONS` names no form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("AUTORESEARCH_OPERATIONS is `{0}`; give fused, libtorch or plain")]
pub struct UnknownForm(String);

/// The form that `AUTORESEARCH_OPERATIONS` names, `fused` without it; the same as long as the process lives.
///
/// # Errors
///
/// The variable names no form. Operations that do not ask are then fused.
pub fn form() -> Result<Form, UnknownForm> {
    static FORM: OnceLock<Result<Form, UnknownForm>> = OnceLock::new();
    let named = || match std::env::var("AUTORESEARCH_OPERATIONS").unwrap_or_default().as_str() {
        "" | "fused" => Ok(Form::Fused),
        "libtorch" => Ok(Form::Libtorch),
        "plain" => Ok(Form::Plain),
        other => Err(UnknownForm(other.to_owned())),
    };
    FORM.get_or_init(named).clone()
}

/// Returns true when the plain forms are asked for.
fn wants_plain() -> bool {
    form() == Ok(Form::Plain)
}
