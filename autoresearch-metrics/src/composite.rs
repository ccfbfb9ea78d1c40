//! Several metrics as one number: an expression whose units are checked.

use std::collections::BTreeMap;

mod dimension;
mod parser;

use dimension::Dimension;
use parser::{Expression, Function, Operator};

/// An expression over metrics, such as `0.7*loss + 0.3*log(latency_ms)`.
///
/// There are `+ - * / ^`, brackets, numbers with and without a unit (`100ms`), and the functions `log`, `log2`, `log10`, `exp`,
/// `sqrt`, `abs`, `min` and `max`. A name that is no plain word stands in backticks: `` `val/loss` ``.
///
/// Only numbers of one unit are added and compared. A scale makes them so: `latency/100ms` has no unit, nor has a logarithm, since
/// another unit would only move it by a constant.
///
/// ```
/// use autoresearch_metrics::Composite;
/// let units = [("loss".to_owned(), String::new()), ("latency".to_owned(), "ms".to_owned())].into();
/// let composite = Composite::new("0.7*loss + 0.3*latency/100ms", &units)?;
/// let values = [("loss".to_owned(), 1.0), ("latency".to_owned(), 50.0)].into();
/// assert!((composite.value(&values).unwrap_or_default() - 0.85).abs() < 1e-12);
/// assert!(Composite::new("loss + latency", &units).unwrap_err().contains("ms"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Composite {
    text: String,
    expression: Expression,
}

impl Composite {
    /// Parses an expression over metrics of these names and units.
    ///
    /// # Errors
    /// If it cannot be parsed, has a name that is no metric, or adds different units. The error continues the key's name.
    pub fn new(text: &str, units: &BTreeMap<String, String>) -> Result<Composite, String> {
        let expression = parser::parse(text)?;
        dimension(&expression, units)?;
        Ok(Composite { text: text.to_owned(), expression })
    }

    /// The names of the metrics that it needs, each once.
    pub fn names(text: &str) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        collect(&parser::parse(text)?, &mut names);
        Ok(names)
    }

    /// Computes it. `None` if a metric is missing; NaN where there is no value.
    pub fn value(&self, values: &BTreeMap<String, f64>) -> Option<f64> {
        compute(&self.expression, values)
    }

    /// The expression, as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn collect(expression: &Expression, names: &mut Vec<String>) {
    match expression {
        Expression::Number(..) => {}
        Expression::Name(name) if names.contains(name) => {}
        Expression::Name(name) => names.push(name.clone()),
        Expression::Negative(inner) => collect(inner, names),
        Expression::Pair(_, left, right) => [left, right].iter().for_each(|side| collect(side, names)),
        Expression::Call(_, arguments) => arguments.iter().for_each(|argument| collect(argument, names)),
    }
}

/// Finds the unit of an expression, or the place where units do not fit.
fn dimension(expression: &Expression, units: &BTreeMap<String, String>) -> Result<Dimension, String> {
    let of = |inner: &Expression| dimension(inner, units);
    match expression {
        Expression::Number(_, unit) => Ok(Dimension::of(unit)),
        Expression::Name(name) => units.get(name).map(|unit| Dimension::of(unit)).ok_or_else(|| {
            let known: Vec<&str> = units.keys().map(String::as_str).collect();
            format!(
                "has `{name}`, which is no metric; known are: {}. Describe it under [metric.parts.{name}]",
                known.join(", ")
            )
        }),
        Expression::Negative(inner) => of(inner),
        Expression::Pair(Operator::Times, left, right) => Ok(of(left)?.times(&of(right)?, 1)),
        Expression::Pair(Operator::Over, left, right) => Ok(of(left)?.times(&of(right)?, -1)),
        Expression::Pair(Operator::Power, left, right) => {
            let base = of(left)?;
            match &**right {
                Expression::Number(power, unit) if unit.is_empty() && power.fract() == 0.0 && power.abs() <= 16.0 => {
                    Ok(base.power(*power as i32))
                }
                other if base.is_none() && of(other)?.is_none() => Ok(base),
                other => Err(format!("raises a number with the unit {base} to {other}; give a whole number")),
            }
        }
        Expression::Pair(Operator::Plus | Operator::Minus, left, right) => same(left, right, "adds", units),
        Expression::Call(function, arguments) => match (function, arguments.as_slice()) {
            (Function::Log | Function::Log2 | Function::Log10, [inner]) => of(inner).map(|_| Dimension::default()),
            (Function::Abs, [inner]) => of(inner),
            (Function::Exp, [inner]) => match of(inner)? {
                unit if unit.is_none() => Ok(unit),
                unit => Err(format!(
                    "takes exp of {inner}, which is in {unit}; divide it by a scale, as in {inner}/100{unit}"
                )),
            },
            (Function::Sqrt, [inner]) => of(inner)?
                .root()
                .ok_or_else(|| format!("takes sqrt of {inner}, whose unit has no root; divide it by a scale")),
            (Function::Min | Function::Max, [first, rest @ ..]) => {
                rest.iter().try_fold(of(first)?, |_, next| same(first, next, "compares", units))
            }
            _ => Err(format!("calls {function} with {} arguments", arguments.len())),
        },
    }
}

/// The unit of two sides that must have the same.
fn same(
    left: &Expression,
    right: &Expression,
    verb: &str,
    units: &BTreeMap<String, String>,
) -> Result<Dimension, String> {
    let (one, other) = (dimension(left, units)?, dimension(right, units)?);
    if one == other {
        return Ok(one);
    }
    let (scaled, unit) = if other.is_none() { (left, &one) } else { (right, &other) };
    Err(format!(
        "{verb} {left} ({}) and {right} ({}), which have different units; state a scale, as in {scaled}/100{unit}, or take log({scaled})",
        one.told(),
        other.told()
    ))
}

fn compute(expression: &Expression, values: &BTreeMap<String, f64>) -> Option<f64> {
    let of = |inner: &Expression| compute(inner, values);
    Some(match expression {
        Expression::Number(value, _) => *value,
        Expression::Name(name) => *values.get(name)?,
        Expression::Negative(inner) => -of(inner)?,
        Expression::Pair(operator, left, right) => {
            let (left, right) = (of(left)?, of(right)?);
            match operator {
                Operator::Plus => left + right,
                Operator::Minus => left - right,
                Operator::Times => left * right,
                Operator::Over => left / right,
                Operator::Power => left.powf(right),
            }
        }
        Expression::Call(function, arguments) => {
            let arguments = arguments.iter().map(of).collect::<Option<Vec<f64>>>()?;
            let first = *arguments.first()?;
            match function {
                Function::Log => first.ln(),
                Function::Log2 => first.log2(),
                Function::Log10 => first.log10(),
                Function::Exp => first.exp(),
                Function::Sqrt => first.sqrt(),
                Function::Abs => first.abs(),
                Function::Min => arguments.iter().copied().fold(f64::INFINITY, f64::min),
                Function::Max => arguments.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units() -> BTreeMap<String, String> {
        let units =
            [("loss", ""), ("acc", "%"), ("latency_ms", "ms"), ("mem", "MB"), ("rate", "tok/s"), ("val/loss", "")];
        units.map(|(name, unit)| (name.to_owned(), unit.to_owned())).into()
    }

    fn value(text: &str) -> Result<f64, String> {
        let values =
            [("loss", 2.0), ("acc", 80.0), ("latency_ms", 8.0), ("mem", 100.0), ("rate", 50.0), ("val/loss", 3.0)];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Composite::new(text, &units())?.value(&values).unwrap())
    }

    #[test]
    fn expressions_are_computed_by_the_usual_rules() {
        for (text, expected) in [
            ("0.7*loss + 0.3*log2(latency_ms)", 0.7 * 2.0 + 0.3 * 3.0),
            ("loss - 2*3 + 4/2", -2.0),
            ("-(loss + 1) * 2", -6.0),
            ("-loss^2", -4.0),
            ("2^3^2", 512.0),
            ("loss + latency_ms/10ms", 2.8),
            ("loss + latency_ms / 10 ms", 2.8),
            ("`val/loss` + min(loss, 1, 7)", 4.0),
            ("max(latency_ms, 10ms) / 5ms", 2.0),
            ("sqrt(latency_ms*2ms) / 1ms", 4.0),
            ("1e-1*loss + abs(-1)", 1.2),
            ("rate / 10 tok/s", 5.0),
        ] {
            assert!((value(text).unwrap() - expected).abs() < 1e-12, "{text}: {:?}", value(text));
        }
        assert!(value("log(loss - 2 - 1)").unwrap().is_nan());
    }

    #[test]
    fn different_units_are_not_added_without_a_scale() {
        for text in [
            "loss + latency_ms",
            "0.7*loss + 0.3*latency_ms",
            "latency_ms + mem",
            "latency_ms + 3",
            "acc - loss",
            "max(loss, latency_ms)",
            "exp(latency_ms)",
            "latency_ms + 3s",
            "latency_ms^0.5",
        ] {
            let error = value(text).unwrap_err();
            assert!(error.contains("unit") || error.contains("scale"), "{text}: {error}");
        }
        let error = value("loss + latency_ms").unwrap_err();
        assert!(error.contains("latency_ms/100ms") && error.contains("log(latency_ms)"), "{error}");
    }

    #[test]
    fn what_cannot_be_parsed_says_where() {
        for (text, word) in [
            ("loss +", "ends"),
            ("(loss", ")"),
            ("loss loss", "loss"),
            ("speed*2", "speed"),
            ("sin(loss)", "sin"),
            ("log(loss, 2)", "log"),
            ("", "ends"),
            ("loss $ 2", "$"),
        ] {
            let error = value(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert_eq!(Composite::names("a + log(b)*a"), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }
}
