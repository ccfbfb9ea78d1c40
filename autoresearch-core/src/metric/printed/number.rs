//! One number as programs print it: with a sign, separators of thousands, a unit, a remark behind.

use super::units;

/// A number at the beginning of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// The number, or the reason why the text is not read as one.
    pub value: Result<f64, String>,
    /// The number's own text.
    pub text: String,
    /// The unit behind it; empty for none.
    pub unit: String,
    /// Length of the number with its unit, in bytes.
    pub length: usize,
}

/// Words that stand where a number is missing or is not finite.
const NO_NUMBERS: [&str; 12] =
    ["nan", "-nan", "inf", "+inf", "-inf", "infinity", "-infinity", "none", "null", "n/a", "undefined", "-"];
/// Functions and types around a number in the output of a program.
const WRAPPERS: [&str; 12] = [
    "tensor",
    "array",
    "Array",
    "Tensor",
    "float",
    "float32",
    "float64",
    "np.float32",
    "np.float64",
    "numpy.float64",
    "Decimal",
    "Some",
];
/// Words before a further number in a remark, which is then none of the metric's.
const REMARKS: [&str; 16] = [
    "at", "@", "after", "in", "on", "for", "with", "during", "using", "over", "within", "since", "until", "#", "//",
    "per",
];

/// Functions and brackets around a number that are looked into, one in the other. A candidate may print thousands.
const DEEPEST: usize = 8;

/// Reads the number that `text` begins with, up to its unit. `None` if it begins with something else.
pub(super) fn leading(text: &str) -> Option<Number> {
    leading_within(text, DEEPEST)
}

fn leading_within(text: &str, deepest: usize) -> Option<Number> {
    let start = text.len() - text.trim_start().len();
    let inner = text.trim_start();
    if let Some((skipped, found)) = deepest.checked_sub(1).and_then(|deepest| wrapped(inner, deepest)) {
        return Some(Number { length: start + skipped, ..found });
    }
    let opened = inner.len() - inner.trim_start_matches(['"', '\'', '`', '*', '$', '€', '£']).len();
    let bare = inner.get(opened..)?;
    if let Some(word) = no_number(bare) {
        return Some(Number {
            value: Err("is not a finite number".into()),
            text: word.to_owned(),
            unit: String::new(),
            length: start + opened + word.len(),
        });
    }
    let mut found = digits(bare)?;
    let mut rest = bare.get(found.length..).unwrap_or_default();
    if opened > 0 {
        let closed = rest.len() - rest.trim_start_matches(['"', '\'', '`', '*']).len();
        found.length += closed;
        rest = rest.get(closed..).unwrap_or_default();
    }
    if found.value.is_ok() {
        unit_behind(&mut found, rest);
    }
    found.length += start + opened;
    Some(found)
}

/// Reads a text that is one number, with its unit and a remark, and nothing else. The error continues the text: ``is a fraction``.
///
/// ```
/// use autoresearch_core::internal::metric::parse_number;
/// assert_eq!(parse_number("1,234.5 ms"), Ok((1234.5, "ms".to_owned())));
/// assert!(parse_number("3/10").is_err());
/// ```
pub fn parse(text: &str) -> Result<(f64, String), String> {
    let number = leading(text).ok_or("is no number")?;
    let value = number.value?;
    match several(text.get(number.length..).unwrap_or_default()) {
        Some(why) => Err(why.to_owned()),
        None => Ok((value, number.unit)),
    }
}

/// Reads `tensor(1.25, device='cuda:0')`, and a list with one number in it.
fn wrapped(text: &str, deepest: usize) -> Option<(usize, Number)> {
    let open = text.find(['(', '['])?;
    let (before, close) = (&text[..open], if text[open..].starts_with('(') { ')' } else { ']' });
    let is_list = before.is_empty() && close == ']';
    if !(is_list || WRAPPERS.contains(&before) && close == ')') {
        return None;
    }
    let inside = &text[open + 1..];
    let end = inside.find(close).unwrap_or(inside.len());
    let length = (open + 1 + end + 1).min(text.len());
    let inside = &inside[..end];
    let mut found = leading_within(inside, deepest)?;
    let rest = inside.get(found.length..).unwrap_or_default().trim();
    let keywords =
        rest.strip_prefix(',').is_some_and(|rest| rest.trim_start().starts_with(|c: char| c.is_alphabetic()));
    if !rest.is_empty() && (!keywords || is_list) {
        found.value = Err("is a list of several numbers".into());
        found.text = text[..length].to_owned();
    }
    Some((length, found))
}

/// The word at the beginning that says that there is no number.
fn no_number(text: &str) -> Option<&str> {
    let end = text.find(|c: char| c.is_whitespace() || ",;)]}|\"'`".contains(c)).unwrap_or(text.len());
    let word = text.get(..end)?;
    NO_NUMBERS.contains(&word.to_lowercase().as_str()).then_some(word)
}

/// Reads sign, digits, separators of thousands, decimals and exponent.
fn digits(text: &str) -> Option<Number> {
    let mut chars = text.char_indices().peekable();
    let mut plain = String::new();
    if let Some((_, sign)) = chars.next_if(|(_, c)| matches!(c, '+' | '-' | '\u{2212}')) {
        plain.push(if sign == '+' { '+' } else { '-' });
    }
    let from = chars.peek().map_or(text.len(), |(at, _)| *at);
    let body = text.get(from..)?;
    let (mut length, mut wrong) = whole(body, &mut plain);
    if let Some(fraction) = body.get(length..).and_then(|rest| rest.strip_prefix('.')) {
        let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
        // A full stop behind a whole number ends its sentence.
        if count > 0 {
            plain.push('.');
            plain.push_str(&fraction[..count]);
            length += 1 + count;
        }
    }
    if length == 0 {
        return None;
    }
    length += exponent(body.get(length..).unwrap_or_default(), &mut plain);
    let rest = body.get(length..).unwrap_or_default();
    if wrong.is_none() {
        wrong = continues(rest);
    }
    let text = text.get(..from + length)?.to_owned();
    let value = match (wrong, plain.parse::<f64>()) {
        (Some(why), _) => Err(why.to_owned()),
        (None, Ok(value)) if value.is_finite() => Ok(value),
        (None, _) => Err("is not a finite number".into()),
    };
    let length = text.len();
    Some(Number { value, text, unit: String::new(), length })
}

/// Reads the whole part with its separators of thousands. Returns its length, and the reason why it cannot be read.
fn whole(body: &str, plain: &mut String) -> (usize, Option<&'static str>) {
    let run = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let first = run(body);
    plain.push_str(&body[..first]);
    let (mut length, mut separator) = (first, None);
    while let Some(next) = body.get(length..).and_then(|rest| rest.chars().next()) {
        let is_separator = matches!(next, ',' | '_' | '\'' | '\u{a0}' | '\u{202f}' | '\u{2009}');
        let group = body.get(length + next.len_utf8()..).unwrap_or_default();
        let count = run(group);
        if !is_separator || first == 0 || count == 0 {
            break;
        }
        let grouped = count == 3 && first <= 3 && !body.starts_with('0') && separator.is_none_or(|one| one == next);
        if !grouped {
            let why = "has a comma or another mark that may be a decimal point or a separator; print it with a point";
            return (length + next.len_utf8() + count, Some(why));
        }
        plain.push_str(&group[..count]);
        length += next.len_utf8() + count;
        separator = Some(next);
    }
    (length, None)
}

fn exponent(rest: &str, plain: &mut String) -> usize {
    let Some(after) = rest.strip_prefix(['e', 'E']) else { return 0 };
    let sign = usize::from(after.starts_with(['+', '-']));
    let count = after[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return 0;
    }
    plain.push('e');
    plain.push_str(&after[..sign + count]);
    1 + sign + count
}

/// The reason why digits that go on like this are no single number: a version, a date, a time, a fraction.
fn continues(rest: &str) -> Option<&'static str> {
    let mut chars = rest.chars();
    let (next, after) = (chars.next()?, chars.next());
    let digit = after.is_some_and(|c| c.is_ascii_digit());
    match next {
        '.' | '-' | '_' if digit => Some("is a version, a date or a range rather than a number"),
        ':' if digit => Some("is a time of day or a duration in several units"),
        '/' if digit => Some("is a fraction or a date"),
        '^' | '*' | '×' | '·' if digit => Some("is a product or a power"),
        ',' if digit => Some("has a comma that may be a decimal point or a separator; print it with a point"),
        _ => None,
    }
}

/// Adds the unit behind a number, and its multiplier if it is one of `k`, `K`, `M` and `G`.
fn unit_behind(found: &mut Number, rest: &str) {
    let gap = rest.len() - rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']).len();
    let word = units::word(&rest[gap..]);
    let attached = gap == 0;
    if word.is_empty() {
        return;
    }
    if let Some(times) = units::multiplier(word).filter(|_| attached) {
        found.value = match found.value.as_ref().map(|value| value * times) {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err("is not a finite number".into()),
        };
        found.text.push_str(word);
        found.length += word.len();
        return;
    }
    if units::is_known(word) {
        found.unit = word.to_owned();
        found.length += gap + word.len();
        let next = rest.get(gap + word.len()..).unwrap_or_default();
        if attached && next.starts_with(|c: char| c.is_ascii_digit()) {
            found.value = Err("is a duration in several units; print it in one".into());
        }
    } else if attached {
        found.value = Err(format!("goes on with `{word}`, which is no known unit; put a space before it"));
    }
}

/// The reason why the text behind a number makes it one of several. Brackets, an uncertainty and a remark that begins with
/// `at`, `after`, `in` and the like may have numbers of their own.
pub(super) fn several(behind: &str) -> Option<&'static str> {
    let mut rest = behind.trim_start_matches(|c: char| c.is_whitespace() || "\"'`*!.".contains(c));
    for mark in ["±", "+/-", "+-", "\\pm"] {
        if let Some(after) = rest.strip_prefix(mark) {
            let spread = leading(after)?;
            rest = after.get(spread.length..).unwrap_or_default();
        }
    }
    let mut outside = String::new();
    let mut depth = 0usize;
    for c in rest.chars() {
        match c {
            '(' | '[' | '<' => depth += 1,
            ')' | ']' | '>' => depth = depth.saturating_sub(1),
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let mut words = outside.split_whitespace();
    let first = words.next().unwrap_or_default();
    let starts_remark = REMARKS.iter().any(|word| first.eq_ignore_ascii_case(word)) || first.starts_with(['#', '@']);
    match !starts_remark && outside.contains(|c: char| c.is_ascii_digit()) {
        true => Some("is followed by another number"),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_brackets_are_looked_into_and_thousands_of_them_are_no_number() {
        assert_eq!(leading("[[tensor(0.5)]]").and_then(|number| number.value.ok()), Some(0.5));
        for open in ["[", "Some(", "[tensor("] {
            assert_eq!(leading(&open.repeat(200_000)), None, "{open}");
        }
    }

    #[test]
    fn numbers_are_read_as_printed() {
        for (text, value, unit) in [
            ("0.5", 0.5, ""),
            (" -1.5e-3", -1.5e-3, ""),
            ("\u{2212}5", -5.0, ""),
            ("1,234.5", 1234.5, ""),
            ("1_234_567", 1_234_567.0, ""),
            ("1\u{202f}234", 1234.0, ""),
            (".5", 0.5, ""),
            ("5.", 5.0, ""),
            ("12.5ms", 12.5, "ms"),
            ("12.5 ms", 12.5, "ms"),
            ("95%", 95.0, "%"),
            ("12.5k", 12500.0, ""),
            ("1.5x", 1.5, "x"),
            ("45 tok/s", 45.0, "tok/s"),
            ("\"0.5\"", 0.5, ""),
            ("**0.5**", 0.5, ""),
            ("tensor(1.25, device='cuda:0')", 1.25, ""),
            ("np.float64(0.5)", 0.5, ""),
            ("[0.5]", 0.5, ""),
            ("$12.5", 12.5, ""),
        ] {
            let found = leading(text).unwrap();
            assert_eq!((found.value, found.unit.as_str()), (Ok(value), unit), "{text}");
        }
    }

    #[test]
    fn what_may_be_another_number_is_not_read() {
        for text in [
            "0,95",
            "1,23,456",
            "1.234,5",
            "1.2.3",
            "10:11:12",
            "2024-01-02",
            "95/100",
            "0x1f",
            "1m23s",
            "5abc",
            "nan",
            "-inf",
            "1e999",
            "[0.5, 0.6]",
            "3rd",
            "None",
            "1.5×10",
            "5m",
        ] {
            assert!(leading(text).unwrap().value.is_err(), "{text}: {:?}", leading(text));
        }
        assert_eq!(leading("soon"), None);
    }

    #[test]
    fn a_remark_is_told_from_another_number() {
        for fine in ["", " (was 0.9)", " ± 0.1", " +/- 0.2 ms (n=5)", " at step 100", " # 3", " nats", " in 3.2s"] {
            assert_eq!(several(fine), None, "{fine}");
        }
        for wrong in [" of 10", " 0.6", " -> 0.4", " to 0.3", " vs 2", " / 100", " ± 0.1 0.4"] {
            assert!(several(wrong).is_some(), "{wrong}");
        }
    }
}
