//! Numbers as people write them into tables.

/// Texts that stand for a missing number.
const NOTHING: &[&str] = &["", "-", "--", "—", "–", "n/a", "na", "none", "null", "?", "tbd"];

/// True if a cell stands for a missing number.
pub fn is_nothing(text: &str) -> bool {
    NOTHING.contains(&text.trim().to_lowercase().as_str())
}

/// A number of a cell, with the unit that is written behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    pub value: f64,
    pub unit: String,
}

/// Reads a number as people write it: `1,234.5`, `97.1%`, `12.3 ms`, `**0.98**`, `0.98 ± 0.01`. Anything else behind it makes it a
/// text.
pub fn number(text: &str) -> Option<Number> {
    let text = text.trim().trim_matches(['*', '`', '~', '_', '"', '\'']).trim();
    let text = text.split(['±', '(']).next()?.split("+/-").next()?.trim();
    let end = text
        .char_indices()
        .find(|(at, c)| {
            let exponent = matches!(c, 'e' | 'E') && {
                let rest = text[at + 1..].trim_start_matches(['+', '-']);
                *at > 0 && rest.starts_with(|c: char| c.is_ascii_digit())
            };
            let sign = matches!(c, '+' | '-') && (*at == 0 || text[..*at].ends_with(['e', 'E']));
            !(c.is_ascii_digit() || matches!(c, '.' | ',' | '_') || exponent || sign)
        })
        .map_or(text.len(), |(at, _)| at);
    let (digits, unit) = (text[..end].trim_end_matches(','), text[end..].trim());
    let value: f64 = without_separators(digits)?.parse().ok().filter(|value: &f64| value.is_finite())?;
    let is_unit = unit.chars().count() <= 12
        && unit.chars().all(|c| c.is_alphabetic() || matches!(c, '%' | '/' | 'µ' | '²' | '³' | '^' | '$' | '·' | '_'));
    is_unit.then(|| Number { value, unit: unit.to_owned() })
}

/// Writes a number with a decimal comma with a point. Where semicolons separate cells, commas are for decimals; what is no number then
/// stays as it is.
pub fn with_decimal_point(cell: &str) -> Option<String> {
    let (before, after) = cell.split_once(',')?;
    let digits = before.ends_with(|c: char| c.is_ascii_digit()) && after.starts_with(|c: char| c.is_ascii_digit());
    let point = format!("{before}.{after}");
    (digits && !before.contains('.') && !after.contains([',', '.']) && number(&point).is_some()).then_some(point)
}

/// Takes thousands separators out: groups of three digits behind a comma or an underscore.
fn without_separators(digits: &str) -> Option<String> {
    let separator = [',', '_'].into_iter().find(|separator| digits.contains(*separator));
    let Some(separator) = separator else { return Some(digits.to_owned()) };
    let (whole, rest) = digits.split_once('.').map_or((digits, String::new()), |(a, b)| (a, format!(".{b}")));
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    // Nobody writes thousands behind a zero: `0,987` has a decimal comma.
    let first = first.trim_start_matches(['+', '-']);
    let first_fits = (1..=3).contains(&first.len()) && !first.starts_with('0');
    let three = |group: &str| group.len() == 3 && group.chars().all(|c| c.is_ascii_digit());
    (first_fits && groups.all(three) && !rest.contains(separator)).then(|| whole.replace(separator, "") + &rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, value, unit) in [
            ("0.98", 0.98, ""),
            ("1,234.5", 1234.5, ""),
            ("1_000_000", 1e6, ""),
            ("97.1%", 97.1, "%"),
            ("12.3 ms", 12.3, "ms"),
            ("123 tok/s", 123.0, "tok/s"),
            ("**0.98**", 0.98, ""),
            ("0.98 ± 0.01", 0.98, ""),
            ("0.98 (best)", 0.98, ""),
            ("-1.5e-3", -1.5e-3, ""),
            ("+2E4", 2e4, ""),
        ] {
            assert_eq!(number(text), Some(Number { value, unit: unit.into() }), "{text}");
        }
        for (text, point) in
            [("0,987", Some("0.987")), ("-1,5 ms", Some("-1.5 ms")), ("1,234.5", None), ("more, less", None)]
        {
            assert_eq!(with_decimal_point(text).as_deref(), point, "{text}");
        }
        for text in [
            "0,987",
            "",
            "soon",
            "1,23",
            "12,3456",
            "a1",
            "3 layers more",
            "1.2.3",
            "2024-01-01",
            "NaN",
            "inf",
            "1e999",
            "0x10",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
