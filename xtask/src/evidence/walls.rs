//! The figure of the trainer behind walls: its tokens/s against those without.

use super::durable_core;
use super::operations::{built, prepared};
use crate::figure::Line;
use crate::{setup, sh};

/// Share of tokens/s that the walls may cost.
const BAR: f64 = 1.0;

/// Alternates short trainings of the cpu preset, and compares their medians.
pub fn tokens() -> Result<Line, String> {
    // The one reason to leave it out: there is no trainer.
    let trainer = prepared("cpu", &[]).and_then(|data| Ok((data, built("cpu")?)));
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
