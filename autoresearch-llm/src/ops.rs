//! Operations that the bindings lack, or that save time or memory over the same thing in single steps.
//!
//! Every one of them has its plain form beside it, called `plain`, which says in a few lines what it computes; tests hold
//! both equal, and the gradients against finite differences in double precision. [`function::custom`] is how they are
//! written, and how a researcher adds one, from Rust alone. `AUTORESEARCH_OPERATIONS=plain` has a run use the plain forms.

use std::sync::OnceLock;

use thiserror::Error;

mod ffi;

pub mod adamw;
pub mod attention;
pub mod flash;
pub mod function;
pub mod gradcheck;
pub mod head;
mod heads;
pub mod memory;
pub mod mlp;
pub mod norm;
pub mod precision;

/// The form in which operations are computed in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// The fast way.
    #[default]
    Fused,
    /// In single steps of libtorch, to compare with: for a doubt about a result, or to see what the fast way gains.
    Plain,
}

/// `AUTORESEARCH_OPERATIONS` names no form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("AUTORESEARCH_OPERATIONS is `{0}`; give fused or plain")]
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
        "plain" => Ok(Form::Plain),
        other => Err(UnknownForm(other.to_owned())),
    };
    FORM.get_or_init(named).clone()
}

/// Returns true when the plain forms are asked for.
fn wants_plain() -> bool {
    form() == Ok(Form::Plain)
}
