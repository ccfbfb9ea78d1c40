//! Units that programs print behind a number, and the factors between those of one kind.

/// Units of one kind, each with its size.
const SCALES: [&[(&str, f64)]; 3] = [
    &[
        ("ns", 1e-9),
        ("nsec", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("usec", 1e-6),
        ("ms", 1e-3),
        ("msec", 1e-3),
        ("millis", 1e-3),
        ("s", 1.0),
        ("sec", 1.0),
        ("secs", 1.0),
        ("second", 1.0),
        ("seconds", 1.0),
        ("min", 60.0),
        ("mins", 60.0),
        ("minutes", 60.0),
        ("h", 3600.0),
        ("hr", 3600.0),
        ("hours", 3600.0),
    ],
    &[
        ("B", 1.0),
        ("bytes", 1.0),
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ],
    &[("Hz", 1.0), ("kHz", 1e3), ("KHz", 1e3), ("MHz", 1e6), ("GHz", 1e9)],
];

/// Other units, which no program changes from one line to the next.
const OTHERS: [&str; 31] = [
    "%", "‰", "x", "X", "×", "bits", "bit", "nats", "nat", "bpb", "bpc", "ppl", "dB", "fps", "FPS", "qps", "rps", "px",
    "W", "kW", "J", "kJ", "FLOPS", "GFLOPS", "TFLOPS", "PFLOPS", "°C", "°", "tokens", "points", "pts",
];

/// The word that `text` begins with, as far as it can be a unit.
pub(super) fn word(text: &str) -> &str {
    let is_part = |c: char| c.is_alphabetic() || matches!(c, '%' | '‰' | '×' | '/' | '°' | '²' | '³' | 'µ');
    let end = text.find(|c: char| !is_part(c)).unwrap_or(text.len());
    text[..end].trim_end_matches('/')
}

/// Returns true for a unit that is known, also one such as `tok/s` or `ns/iter`.
pub fn is_known(word: &str) -> bool {
    let parts: Vec<&str> = word.split('/').collect();
    let is_rate = parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.len() <= 12);
    is_rate || OTHERS.contains(&word) || scale(word).is_some()
}

/// The multiplier of a suffix such as `k` in `12.5k`.
pub(super) fn multiplier(word: &str) -> Option<f64> {
    match word {
        "k" | "K" => Some(1e3),
        "M" => Some(1e6),
        "G" => Some(1e9),
        _ => None,
    }
}

fn scale(word: &str) -> Option<(usize, f64)> {
    SCALES
        .iter()
        .enumerate()
        .find_map(|(kind, units)| units.iter().find(|(name, _)| *name == word).map(|(_, size)| (kind, *size)))
}

/// Returns true for a unit that programs choose by the size of the number, such as `ms` beside `s`.
pub(super) fn varies(unit: &str) -> bool {
    scale(numerator(unit)).is_some()
}

/// Returns the factor from the unit `from` to the unit `to`, if they are of one kind.
fn factor(from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(1.0);
    }
    let (below_from, below_to) = (from.split_once('/').map(|pair| pair.1), to.split_once('/').map(|pair| pair.1));
    let ((kind, size), (other_kind, other)) = (scale(numerator(from))?, scale(numerator(to))?);
    if kind != other_kind || below_from != below_to {
        return None;
    }
    Some(size / other)
}

/// Returns `value` in the unit `to`, if both units are of one kind. Whole factors divide rather than multiply by their inexact
/// inverse.
pub fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
    let (by, back) = (factor(from, to)?, factor(to, from)?);
    let is_whole = |factor: f64| factor >= 1.0 && (factor - factor.round()).abs() < 1e-6 * factor;
    Some(match (is_whole(by), is_whole(back)) {
        (true, _) => value * by.round(),
        (false, true) => value / back.round(),
        _ => value * by,
    })
}

fn numerator(unit: &str) -> &str {
    unit.split_once('/').map_or(unit, |(above, _)| above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_kind_are_converted_and_others_are_not() {
        assert_eq!(convert(1.2, "s", "ms"), Some(1200.0));
        assert_eq!(convert(980.0, "ms", "s"), Some(0.98));
        assert_eq!(convert(3.0, "us", "s"), Some(3e-6));
        assert_eq!(convert(2.0, "GiB", "MiB"), Some(2048.0));
        assert_eq!(convert(2.0, "MB/s", "kB/s"), Some(2000.0));
        assert_eq!(convert(2.0, "MB/s", "kB"), None);
        assert_eq!(convert(2.0, "MB", "s"), None);
        assert!(is_known("ns/iter") && is_known("%") && !is_known("epochs"));
    }
}
