//! The files that a run leaves for its evaluation: the weights, and the program that computes with them.

use std::path::Path;

use serde::Serialize;
use tch::Tensor;

use super::error::StrictError;
use crate::checkpoint;
use crate::error::DataError;

/// The file with the weights, a checkpoint.
pub const MODEL: &str = "model.safetensors";
/// The executable that serves them.
pub const SERVER: &str = "server";
/// The variable that asks a run to leave its model to an evaluation.
const STRICT: &str = "AUTORESEARCH_STRICT";

/// Tells whether this run leaves its model to an evaluation, which measures val_bpb in its place: `AUTORESEARCH_STRICT` is `1`.
///
/// # Errors
///
/// The variable is neither `0` nor `1`.
pub fn is_asked() -> Result<bool, DataError> {
    match std::env::var(STRICT).unwrap_or_default().as_str() {
        "" | "0" => Ok(false),
        "1" => Ok(true),
        other => Err(DataError::Setting(format!("{STRICT} is `{other}`; give 1 or 0"))),
    }
}

/// Leaves the weights and a copy of this program in `folder`.
///
/// # Errors
///
/// A file cannot be written.
pub fn leave(folder: &Path, config: &impl Serialize, tensors: &[(String, Tensor)]) -> Result<(), StrictError> {
    checkpoint::save(&folder.join(MODEL), config, tensors).map_err(|e| StrictError::Machine(e.to_string()))?;
    let (own, server) = (std::env::current_exe(), folder.join(SERVER));
    let copied = own.and_then(|own| std::fs::copy(own, &server));
    copied.map(drop).map_err(|e| DataError::write(&server, e).into())
}
