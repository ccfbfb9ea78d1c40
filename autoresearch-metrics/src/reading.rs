//! One number that was read, and the choice among several.

use autoresearch_core::internal::metric::convert_unit;
use autoresearch_core::{MetricError, Which};

/// A number that was read, with its source.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The number.
    pub value: f64,
    /// Its unit, as far as it is known; empty for none.
    pub unit: String,
    /// The source, for a person: ``line 12: `score: 0.5` ``, `/val/loss in result.json`.
    pub source: String,
    /// The folder of the file that it was read from, below the candidate's; empty for none.
    pub(crate) folder: String,
}

impl Reading {
    pub(crate) fn new(value: f64, unit: impl Into<String>, source: impl Into<String>) -> Reading {
        Reading { value, unit: unit.into(), source: source.into(), folder: String::new() }
    }

    /// The reading in the unit `to`; as it is if `to` is empty, or if no unit is known.
    pub(crate) fn in_unit(self, name: &str, to: &str) -> Result<Reading, MetricError> {
        if to.is_empty() || self.unit.is_empty() || self.unit == to {
            let unit = if to.is_empty() { self.unit } else { to.to_owned() };
            return Ok(Reading { unit, ..self });
        }
        match convert_unit(self.value, &self.unit, to) {
            Some(value) => Ok(Reading { value, unit: to.to_owned(), ..self }),
            None => Err(MetricError::Refused(format!(
                "{name} is in {} ({}), which is not converted to the unit `{to}`; correct the unit",
                self.unit, self.source
            ))),
        }
    }
}

/// Chooses one of several readings of a name. Without `which` they must agree. One that is not finite is an error where it is
/// chosen, and nowhere else: left out before, an older number would count in its place.
pub(crate) fn choose(readings: Vec<Reading>, name: &str, which: Option<Which>) -> Result<Reading, MetricError> {
    let count = readings.len();
    let mut sorted: Vec<f64> = readings.iter().map(|reading| reading.value).collect();
    sorted.sort_by(f64::total_cmp);
    let with = |value: Option<&f64>| {
        readings.iter().find(|reading| value.is_some_and(|value| reading.value.total_cmp(value).is_eq())).cloned()
    };
    let computed = |value: f64, what: &str| {
        let unit = readings.first().map_or("", |reading| reading.unit.as_str());
        (count > 0).then(|| Reading::new(value, unit, format!("the {what} of {count} numbers of {name}")))
    };
    let middle = |at: usize| sorted.get(at).copied().unwrap_or_default();
    let chosen = match which {
        Some(Which::First) => readings.first().cloned(),
        Some(Which::Last) => readings.last().cloned(),
        Some(Which::Min) => with(sorted.first()),
        Some(Which::Max) => with(sorted.last()),
        Some(Which::Mean) => computed(sorted.iter().map(|value| value / count as f64).sum(), "mean"),
        Some(Which::Median) => computed(middle(count.saturating_sub(1) / 2) / 2.0 + middle(count / 2) / 2.0, "median"),
        _ if sorted.first() == sorted.last() => readings.last().cloned(),
        _ => {
            let shown = readings.iter().take(8).map(|reading| format!("{} ({})", reading.value, reading.source));
            let more = if count > 8 { format!(", and {} more", count - 8) } else { String::new() };
            return Err(MetricError::Ambiguous {
                name: name.to_owned(),
                found: shown.collect::<Vec<_>>().join(", ") + &more,
            });
        }
    };
    let chosen = chosen.ok_or_else(|| MetricError::Missing(name.to_owned()))?;
    match chosen.value.is_finite() {
        true => Ok(chosen),
        false => {
            Err(MetricError::NotFinite { name: format!("{name} ({})", chosen.source), value: chosen.value.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_numbers_need_a_choice() {
        let readings = || [3.0, 1.0, 2.0].map(|value| Reading::new(value, "s", "here")).to_vec();
        let value = |which| choose(readings(), "t", which).map(|reading| reading.value);
        assert!(matches!(value(None), Err(MetricError::Ambiguous { .. })));
        assert!(matches!(value(Some(Which::Only)), Err(MetricError::Ambiguous { .. })));
        for (which, expected) in [
            (Which::First, 3.0),
            (Which::Last, 2.0),
            (Which::Min, 1.0),
            (Which::Max, 3.0),
            (Which::Mean, 2.0),
            (Which::Median, 2.0),
        ] {
            assert_eq!(value(Some(which)), Ok(expected), "{which:?}");
        }
        assert!(choose(Vec::new(), "t", Some(Which::Mean)).is_err());
        // What is not finite is an error where it is chosen.
        let diverged = || [3.0, 1.0, f64::NAN].map(|value| Reading::new(value, "", "here")).to_vec();
        let value = |which| choose(diverged(), "t", Some(which)).map(|reading| reading.value);
        assert_eq!([value(Which::First), value(Which::Min)], [Ok(3.0), Ok(1.0)]);
        for which in [Which::Last, Which::Max, Which::Mean] {
            assert!(matches!(value(which), Err(MetricError::NotFinite { .. })), "{which:?}");
        }
        assert_eq!(choose(vec![readings()[0].clone(); 2], "t", None).map(|reading| reading.value), Ok(3.0));
    }
}
