//! Numbers as languages spell them: `1e-3`, `1_000`, `1'000`, `3.0f`, `0xff`, `-8`, `64MB`, `"0.5"`.

/// A number with its spelling, so that another number can be written in the same one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    /// Its value.
    pub value: f64,
    /// Quote around it, if it stands in a string.
    quote: Option<char>,
    form: Form,
    /// Separator of groups of digits.
    separator: Option<char>,
    /// Letters behind the digits: the suffix of a type, or a unit.
    suffix: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// Radix, the prefix as written, and true for digits in upper case.
    Integer(u32, String, bool),
    /// The `e` of its exponent, and true if it has a decimal point.
    Float(Option<char>, bool),
}

/// Suffixes with digits, which are types.
const TYPES: [&str; 16] = [
    "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f16", "f32", "f64", "f128",
];

impl Number {
    /// Reads a literal; `None` if it is no number.
    pub fn parse(text: &str) -> Option<Number> {
        let text = text.trim();
        if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) {
            let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
            let number = Number::parse(inner).filter(|number| number.quote.is_none() && inner.trim() == inner)?;
            return Some(Number { quote: Some(quote), ..number });
        }
        let (negative, body) = match text.strip_prefix('-') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let number = Number::with_prefix(body).or_else(|| Number::decimal(body))?;
        Some(Number { value: if negative { -number.value } else { number.value }, ..number })
    }

    /// Reads `0x…`, `0o…` and `0b…`.
    fn with_prefix(body: &str) -> Option<Number> {
        let prefix = body.get(..2)?;
        let radix = match prefix {
            "0x" | "0X" => 16,
            "0o" | "0O" => 8,
            "0b" | "0B" => 2,
            _ => return None,
        };
        let rest = body.get(2..)?;
        let end = rest.find(|c: char| !c.is_digit(radix) && c != '_' && c != '\'').unwrap_or(rest.len());
        let digits = rest.get(..end)?.trim_end_matches('_');
        let suffix = rest.get(digits.len()..)?;
        let separator = separator(digits)?;
        let plain: String = digits.chars().filter(|c| c.is_digit(radix)).collect();
        let value = i64::from_str_radix(&plain, radix).ok()? as f64;
        let upper = plain.contains(|c: char| c.is_ascii_uppercase());
        let suffix = suffix_of(suffix)?;
        Some(Number { value, quote: None, form: Form::Integer(radix, prefix.into(), upper), separator, suffix })
    }

    fn decimal(body: &str) -> Option<Number> {
        let digits = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '\'').unwrap_or(text.len());
            text.get(..end).map_or(0, |digits| digits.trim_end_matches(['_', '\'']).len())
        };
        let (whole, rest) = body.split_at(digits(body));
        let (point, fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) if !rest.starts_with('.') => {
                let (fraction, rest) = rest.split_at(digits(rest));
                (true, fraction, rest)
            }
            _ => (false, "", rest),
        };
        if whole.is_empty() && fraction.is_empty() || fraction.starts_with(['_', '\'']) {
            return None;
        }
        let (exponent, rest) = exponent(rest);
        let is_float = point || exponent.is_some();
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        let prefix = whole == "0" && rest.starts_with(['x', 'X', 'o', 'O', 'b', 'B']);
        if !is_float && (leading_zero || prefix) {
            // An octal number, a code that is none, or a prefix without its digits.
            return None;
        }
        let separator = separator(whole)?;
        let plain = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let text = format!("{}.{}{}", plain(whole), plain(fraction), exponent.unwrap_or_default());
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
        let form = match is_float {
            true => Form::Float(exponent.and_then(|exponent| exponent.chars().next()), point),
            false if value.abs() > 9e15 => return None,
            false => Form::Integer(10, String::new(), false),
        };
        Some(Number { value, quote: None, form, separator, suffix: suffix_of(rest)? })
    }

    /// Returns true if it is written as an integer.
    pub fn is_integer(&self) -> bool {
        matches!(self.form, Form::Integer(..)) && !TYPES[12..].contains(&self.suffix.trim_start_matches('_'))
    }

    /// Returns true if it is a number alone, without a suffix and without quotes.
    pub fn is_plain(&self) -> bool {
        self.suffix.is_empty() && self.quote.is_none()
    }

    /// Writes another number in this one's spelling. An integer becomes a float where `value` is none.
    pub fn write(&self, value: f64) -> String {
        let sign = if value < 0.0 { "-" } else { "" };
        let magnitude = value.abs();
        let body = match &self.form {
            Form::Integer(radix, prefix, upper) if value.fract() == 0.0 && magnitude < 9e15 => {
                let whole = magnitude as u64;
                let digits = match (radix, upper) {
                    (16, true) => format!("{whole:X}"),
                    (16, false) => format!("{whole:x}"),
                    (8, _) => format!("{whole:o}"),
                    (2, _) => format!("{whole:b}"),
                    _ => self.grouped(&whole.to_string()),
                };
                format!("{prefix}{digits}")
            }
            Form::Integer(..) => magnitude.to_string(),
            Form::Float(Some(e), point) if magnitude != 0.0 && !(0.01..1000.0).contains(&magnitude) => {
                let text = format!("{magnitude:e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let point = if *point && !mantissa.contains('.') { ".0" } else { "" };
                format!("{mantissa}{point}{e}{exponent}")
            }
            Form::Float(..) => {
                let text = magnitude.to_string();
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
                format!("{}.{fraction}", self.grouped(whole))
            }
        };
        let quote = self.quote.map(String::from).unwrap_or_default();
        format!("{quote}{sign}{body}{}{quote}", self.suffix)
    }

    /// Puts this number's separator between groups of three digits.
    fn grouped(&self, digits: &str) -> String {
        let Some(separator) = self.separator.filter(|_| digits.len() > 3) else { return digits.to_owned() };
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        text
    }
}

/// Splits an exponent from what follows a number's digits.
fn exponent(rest: &str) -> (Option<&str>, &str) {
    let Some(after) = rest.strip_prefix(['e', 'E']) else { return (None, rest) };
    let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
    let count = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match count {
        0 => (None, rest),
        _ => {
            let (exponent, rest) = rest.split_at(rest.len() - digits.len() + count);
            (Some(exponent), rest)
        }
    }
}

/// Returns the separator of groups of digits; `None` where it stands at no sensible place.
fn separator(digits: &str) -> Option<Option<char>> {
    let used = digits.chars().find(|c| !c.is_ascii_hexdigit());
    let Some(used) = used else { return Some(None) };
    let is_right = digits.split(used).all(|group| group.chars().all(|c| c.is_ascii_hexdigit()) && !group.is_empty());
    is_right.then_some(Some(used))
}

/// Returns the letters behind a number, if they are a suffix.
fn suffix_of(text: &str) -> Option<String> {
    let name = text.trim_start_matches('_');
    let letters = name.chars().all(|c| c.is_alphabetic() || c == '%') && name.chars().count() <= 5 && text == name;
    (text.is_empty() || letters || TYPES.contains(&name)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, another one, and that in the spelling of the first.
    #[test]
    fn numbers_keep_their_spelling() {
        for (text, is_integer, new, written) in [
            ("8", true, 9.0, "9"),
            ("8", true, 0.5, "0.5"),
            ("-1", true, 3.0, "3"),
            ("1", true, -3.0, "-3"),
            ("1_000", true, 250_000.0, "250_000"),
            ("1'000", true, 2500.0, "2'500"),
            ("1_000_000", true, 10.0, "10"),
            ("0x40", true, 255.0, "0xff"),
            ("0XFF", true, 171.0, "0XAB"),
            ("0b101", true, 2.0, "0b10"),
            ("64u32", true, 32.0, "32u32"),
            ("64_u32", true, 32.0, "32_u32"),
            ("64UL", true, 32.0, "32UL"),
            ("64MB", true, 32.0, "32MB"),
            ("1e-3", false, 0.0025, "2.5e-3"),
            ("1E-3", false, 0.0025, "2.5E-3"),
            ("1.0e-3", false, 0.002, "2.0e-3"),
            ("1e-3", false, 0.05, "0.05"),
            ("3.0f", false, 2.5, "2.5f"),
            ("3.f", false, 2.0, "2.0f"),
            ("0.5f32", false, 2.0, "2.0f32"),
            ("1f64", false, 2.0, "2f64"),
            (".5", false, 0.25, "0.25"),
            ("-0.5", false, 0.5, "0.5"),
            ("5.0", false, 7.0, "7.0"),
            ("1_000.0", false, 2000.0, "2_000.0"),
            ("\"0.5\"", false, 0.25, "\"0.25\""),
            ("'64'", true, 32.0, "'32'"),
            ("50%", true, 75.0, "75%"),
        ] {
            let number = Number::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((number.is_integer(), number.write(new)), (is_integer, written.to_owned()), "{text}");
        }
        for text in
            ["", "-", "x", "1.2.3", "1..8", "007", "1__0", "_1", "2 ** 10", "1 << 10", "0x", "0xg", "2024-01-01", "4x4"]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse("-0x10").map(|number| number.value), Some(-16.0));
        assert_eq!(Number::parse("'1"), None);
    }
}
