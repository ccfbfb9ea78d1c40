//! Units as products of powers.

use std::collections::BTreeMap;
use std::fmt;

/// A unit: its parts and their powers. Empty for a plain number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dimension(BTreeMap<String, i32>);

impl Dimension {
    /// The unit `ms`, or `tok/s`.
    pub fn of(unit: &str) -> Dimension {
        let mut found = Dimension::default();
        for (at, part) in unit.split('/').map(str::trim).enumerate() {
            if !matches!(part, "" | "1") {
                found.add(part, if at == 0 { 1 } else { -1 });
            }
        }
        found
    }

    fn add(&mut self, part: &str, power: i32) {
        let sum = self.0.entry(part.to_owned()).or_default();
        *sum = sum.saturating_add(power);
        if *sum == 0 {
            self.0.remove(part);
        }
    }

    /// True for a plain number.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The product with `other` to a power.
    pub fn times(mut self, other: &Dimension, power: i32) -> Dimension {
        for (part, of) in &other.0 {
            self.add(part, of.saturating_mul(power));
        }
        self
    }

    pub fn power(self, power: i32) -> Dimension {
        Dimension::default().times(&self, power)
    }

    /// The square root, if all powers are even.
    pub fn root(self) -> Option<Dimension> {
        let halves = self.0.into_iter().map(|(part, power)| (power % 2 == 0).then_some((part, power / 2)));
        halves.collect::<Option<_>>().map(Dimension)
    }

    /// The unit for a message.
    pub fn told(&self) -> String {
        if self.is_none() { "no unit".into() } else { self.to_string() }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |(part, power): (&String, &i32)| match power.abs() {
            1 => part.clone(),
            power => format!("{part}^{power}"),
        };
        let join =
            |above: bool| self.0.iter().filter(|(_, power)| (**power > 0) == above).map(part).collect::<Vec<_>>();
        let (above, below) = (join(true), join(false));
        f.write_str(&above.join("*"))?;
        below.iter().try_for_each(|part| write!(f, "/{part}"))
    }
}
