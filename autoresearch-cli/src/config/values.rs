//! Types of single values in `autoresearch.toml`. Each is checked where it is read, so that an error points at its line.
//!
//! The message of an error continues the name of the key: `[run] limit_seconds` + ` is -1; give …`.

use std::borrow::Cow;
use std::time::Duration;

use autoresearch_core::internal::process::Cpus;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The longest time that may be given, some thirty years.
const MAX_SECONDS: f64 = 1e9;

/// Reads an integer or a float as a float.
struct Number(&'static str);

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<f64, E> {
        Err(E::invalid_type(Unexpected::Str(value), &self))
    }
}

fn number<'de, D: Deserializer<'de>>(
    from: D,
    expected: &'static str,
    allowed: impl Fn(f64) -> bool,
) -> Result<f64, D::Error> {
    let value = from.deserialize_any(Number(expected))?;
    match allowed(value) {
        true => Ok(value),
        false => Err(D::Error::custom(format!("is {value}; give {expected}"))),
    }
}

/// A positive number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Default for Seconds {
    /// Ten minutes.
    fn default() -> Seconds {
        Seconds(Duration::from_secs(600))
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0 })
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Seconds, D::Error> {
        let seconds = number(from, "a positive number of seconds", |value| value > 0.0 && value < MAX_SECONDS)?;
        Duration::try_from_secs_f64(seconds).map(Seconds).map_err(D::Error::custom)
    }
}

/// Reads a positive number of hours.
pub fn hours<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let hours =
        number(from, "a positive number of hours, such as 8", |value| value > 0.0 && value < MAX_SECONDS / 3600.0)?;
    Duration::try_from_secs_f64(hours * 3600.0).map(Some).map_err(D::Error::custom)
}

/// Reads a positive number of US dollars; `inf` is no limit.
pub fn dollars<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let allowed = |value: f64| value > 0.0 && (value < 1e9 || value == f64::INFINITY);
    number(from, "a positive number of US dollars, or inf for no limit", allowed).map(Some)
}

/// Reads a number of GiB as bytes.
pub fn gibibytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let gibibytes = number(from, "a positive number of GiB", |value| value > 0.0 && value < 1e6)?;
    Ok(Some((gibibytes * f64::from(1u32 << 30)) as u64))
}

/// Reads a finite number.
pub fn finite<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    number(from, "a finite number", f64::is_finite).map(Some)
}

/// Reads a number that is finite and not negative.
pub fn not_negative<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    number(from, "a number that is not negative", |value| value.is_finite() && value >= 0.0)
}

/// Reads a whole number from `MIN` to `MAX`.
pub fn between<'de, const MIN: u32, const MAX: u32, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let value = i64::deserialize(from)?;
    let found = u32::try_from(value).ok().filter(|value| (MIN..=MAX).contains(value));
    found.ok_or_else(|| D::Error::custom(format!("is {value}; give a number from {MIN} to {MAX}")))
}

/// Reads a count of something, at least 1.
pub fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    let value = i64::deserialize(from)?;
    let found = usize::try_from(value).ok().filter(|value| *value > 0);
    found.map(Some).ok_or_else(|| D::Error::custom(format!("is {value}; give a number of at least 1")))
}

/// Reads a count of something, which may be 0.
pub fn count_or_zero<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    let value = i64::deserialize(from)?;
    let found = usize::try_from(value).ok();
    found.map(Some).ok_or_else(|| D::Error::custom(format!("is {value}; give a number that is not negative")))
}

/// Reads a list of processor numbers that this system can address.
pub fn cpus<'de, D: Deserializer<'de>>(from: D) -> Result<Cpus, D::Error> {
    let numbers = Vec::<usize>::deserialize(from)?;
    Cpus::new(numbers).map_err(|why| D::Error::custom(format!(": {why}")))
}
