//! Numbers for people.

/// The greatest share of a number that six decimals may hide.
const ROUNDING: f64 = 1e-3;
/// From here on a number has more digits than a person reads.
const MOST: f64 = 1e12;

/// Formats a number with six decimals, or with six significant digits where six decimals would hide it.
///
/// `0.05` is `0.050000` and `5e-8` is `5.00000e-8`: a small value never looks like zero.
pub fn significant(value: f64) -> String {
    let fixed = format!("{value:.6}");
    let close = |shown: f64| (shown - value).abs() <= ROUNDING * value.abs();
    match value.abs() < MOST && fixed.parse().is_ok_and(close) {
        true => fixed,
        false if value.is_finite() => format!("{value:.5e}"),
        false => value.to_string(),
    }
}

/// Formats a difference like [`significant`], always with its sign.
pub fn significant_change(value: f64) -> String {
    let text = significant(value);
    if text.starts_with('-') { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_numbers_keep_their_digits() {
        for (value, text) in [
            (0.0, "0.000000"),
            (50.5, "50.500000"),
            (-0.0986, "-0.098600"),
            (0.001, "0.001000"),
            (0.000_412, "0.000412"),
            (0.000_123_456_7, "1.23457e-4"),
            (5e-8, "5.00000e-8"),
            (-5e-8, "-5.00000e-8"),
            (1e18, "1.00000e18"),
        ] {
            assert_eq!(significant(value), text);
            assert!((text.parse::<f64>().unwrap() - value).abs() <= ROUNDING * value.abs());
        }
        assert_eq!((significant_change(0.1), significant_change(-0.1)), ("+0.100000".into(), "-0.100000".into()));
    }
}
