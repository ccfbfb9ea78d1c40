//! The figure of the trainer behind walls: its tokens/s against those without.

use std::path::PathBuf;

use super::durable_core;
use super::operations::{built, cargo};
use crate::figure::Line;
use crate::{places, setup, sh};

/// Share of tokens/s that the walls may cost.
const BAR: f64 = 1.0;

/// Alternates short trainings of the cpu preset, and compares their medians.
pub fn tokens() -> Result<Line, String> {
    // The one reason to leave it out: there is no trainer.
    let trainer = prepared().and_then(|data| Ok((data, built("cpu")?)));
    let (data, train) = match trainer {
        Ok(trainer) => trainer,
        Err(why) => return Ok(Line::Skip(format!("the trainer cannot be built: {why}"))),
    };
    let mut measure = durable_core::measure("tokens");
    measure.args([&train, &data]).env("LIBTORCH", setup::setup()?);
    let text = sh::output(&mut measure)?.trim().to_owned();
    let loss = durable_core::before(&text, "%")?;
    Ok(Line::Measured(loss.first().is_some_and(|loss| *loss <= BAR), text, "1 % less"))
}

/// The data of the cpu preset, with an evaluation that takes no longer than the training.
fn prepared() -> Result<PathBuf, String> {
    const PRESET: &str = "examples/nanochat/presets/cpu.toml";
    let cache = places::cache()?;
    let data = std::path::absolute(&cache).unwrap_or(cache).join("data/evidence-walls");
    let mut prepare = cargo("run", "--bin", "prepare", &places::root())?;
    sh::output(prepare.args(["--", "--preset", PRESET, "--eval-tokens", "8192", "--out"]).arg(&data))?;
    Ok(data)
}
