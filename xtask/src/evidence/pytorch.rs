//! Python with the PyTorch that the trainer is held against, in an environment of its own below the target folder.

use std::path::PathBuf;

use crate::{setup, sh};

/// The version that tch is bound to.
const PACKAGES: &[&str] = &["torch==2.11.0"];

/// Python with the PyTorch that everything is held against.
pub fn python() -> Result<PathBuf, String> {
    let venv = sh::target()?.join("pytorch-venv");
    setup::packages(&venv, PACKAGES)?;
    Ok(venv.join("bin/python"))
}
