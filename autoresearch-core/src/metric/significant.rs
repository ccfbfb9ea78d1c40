//! Numbers for people, with digits that mean something.

/// Writes a number for people: with six decimals, as karpathy's tables have it, or with six significant digits where six
/// decimals would hide them.
///
/// ```
/// use autoresearch_core::internal::metric::significant;
/// assert_eq!(significant(0.9979), "0.997900");
/// assert_eq!(significant(0.0005), "0.000500");
/// assert_eq!(significant(5e-8), "5.00000e-8");
/// assert_eq!(significant(0.0), "0.000000");
/// ```
pub fn significant(value: f64) -> String {
    let fixed = format!("{value:.6}");
    let close = |shown: f64| (shown - value).abs() <= ROUNDING * value.abs();
    match value.abs() < MOST && fixed.parse().is_ok_and(close) {
        true => fixed,
        false if value.is_finite() => format!("{value:.5e}"),
        false => value.to_string(),
    }
}

/// Writes a difference for people, like [`significant`], always with its sign.
///
/// ```
/// use autoresearch_core::internal::metric::signed;
/// assert_eq!(signed(0.0012), "+0.001200");
/// assert_eq!(signed(-5e-8), "-5.00000e-8");
/// ```
pub fn signed(value: f64) -> String {
    if value.is_sign_negative() { significant(value) } else { format!("+{}", significant(value)) }
}

/// The greatest share of a number that six decimals may hide.
const ROUNDING: f64 = 1e-3;
/// From here on a number has more digits than a person reads: with its sign it would take more than 19 places.
const MOST: f64 = 1e11;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_differs_from_the_number_by_less_than_a_thousandth_of_it(mantissa in 1.0..10.0f64, exponent in -300..300i32, negative: bool) {
            let value = mantissa * 10f64.powi(exponent) * if negative { -1.0 } else { 1.0 };
            let shown: f64 = significant(value).parse().unwrap();
            prop_assert!((shown - value).abs() <= value.abs() * 1e-3, "{value} is shown as {shown}");
            // Twelve digits, a point, six decimals, and the sign.
            prop_assert!(significant(value).len() <= 19 + usize::from(negative), "{}", significant(value));
        }
    }
}
