//! A trained model in a file: safetensors, which any program reads, with the model's configuration inside.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor, no_grad};
use thiserror::Error;

/// The tensor that holds the configuration, as the bytes of JSON.
const CONFIG: &str = "config.json";

/// A checkpoint cannot be written or read.
#[derive(Debug, Error)]
#[error("the checkpoint {path}: {why}")]
pub struct CheckpointError {
    path: String,
    why: String,
}

impl CheckpointError {
    fn new(path: &Path, why: impl ToString) -> CheckpointError {
        CheckpointError { path: path.display().to_string(), why: why.to_string() }
    }
}

/// Writes named tensors, in their kinds, and the configuration that they fit.
///
/// # Errors
///
/// The file cannot be written; what was there before is then still there.
pub fn save(path: &Path, config: &impl Serialize, tensors: &[(String, Tensor)]) -> Result<(), CheckpointError> {
    let failed = |why: String| CheckpointError::new(path, why);
    let json = serde_json::to_vec(config).map_err(|e| failed(e.to_string()))?;
    let config = (CONFIG.to_owned(), Tensor::from_slice(&json));
    let all: Vec<(&String, Tensor)> = tensors
        .iter()
        .chain([&config])
        .map(|(name, tensor)| (name, tensor.detach().to_device(tch::Device::Cpu).contiguous()))
        .collect();
    let partial = path.with_extension("partial");
    Tensor::write_safetensors(&all, &partial).map_err(|e| failed(format!("cannot be written: {e}")))?;
    std::fs::rename(&partial, path).map_err(|e| failed(format!("cannot be written: {e}")))
}

/// The configuration and the tensors of a checkpoint.
///
/// # Errors
///
/// The file cannot be read, or is no checkpoint of this kind of model.
pub fn open<C: DeserializeOwned>(path: &Path) -> Result<(C, Vec<(String, Tensor)>), CheckpointError> {
    let failed = |why: String| CheckpointError::new(path, why);
    let mut tensors = Tensor::read_safetensors(path).map_err(|e| failed(format!("cannot be read: {e}")))?;
    let at = tensors.iter().position(|(name, tensor)| name == CONFIG && tensor.kind() == Kind::Uint8);
    let (_, json) = tensors.swap_remove(at.ok_or_else(|| failed("holds no configuration".into()))?);
    let json = Vec::<u8>::try_from(json).map_err(|e| failed(e.to_string()))?;
    let config =
        serde_json::from_slice(&json).map_err(|e| failed(format!("its configuration is of another model: {e}")))?;
    Ok((config, tensors))
}

/// Copies tensors into a model's own, by name.
///
/// # Errors
///
/// A tensor of the model is missing, or has another shape.
pub fn restore(path: &Path, from: &[(String, Tensor)], into: &[(String, Tensor)]) -> Result<(), CheckpointError> {
    for (name, tensor) in into {
        let found = from.iter().find(|(other, found)| other == name && found.size() == tensor.size());
        let why = || CheckpointError::new(path, format!("it has no {name} of the shape {:?}", tensor.size()));
        let (_, found) = found.ok_or_else(why)?;
        no_grad(|| tensor.shallow_clone().copy_(found));
    }
    Ok(())
}
