//! The name before a printed number, freed from what a log puts before it: timestamps, levels, counters, bullets.

/// Words that change the meaning of a name before which they stand.
const QUALIFIERS: [&str; 50] = [
    "best",
    "min",
    "max",
    "minimum",
    "maximum",
    "mean",
    "avg",
    "average",
    "median",
    "std",
    "var",
    "previous",
    "prev",
    "last",
    "first",
    "old",
    "new",
    "initial",
    "final",
    "baseline",
    "target",
    "expected",
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "testing",
    "dev",
    "eval",
    "evaluation",
    "holdout",
    "ema",
    "total",
    "sum",
    "delta",
    "change",
    "improvement",
    "lower",
    "upper",
    "running",
    "smoothed",
    "global",
    "local",
    "current",
    "no",
    "not",
    "p50",
    "p99",
];
/// Levels of a log, and words that say that a result follows.
const LEVELS: [&str; 16] = [
    "info", "debug", "warn", "warning", "error", "trace", "notice", "critical", "fatal", "metric", "result", "am",
    "pm", "utc", "gmt", "cest",
];
/// Words that count time or tell the place, with a number behind.
const COUNTERS: [&str; 16] = [
    "epoch",
    "ep",
    "step",
    "steps",
    "iter",
    "iteration",
    "it",
    "batch",
    "update",
    "generation",
    "gen",
    "round",
    "rank",
    "gpu",
    "worker",
    "node",
];
const MONTHS: [&str; 19] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mon", "tue", "wed", "thu",
    "fri", "sat", "sun",
];

/// The names that a label may be meant as, the most likely one first.
pub(super) fn names(label: &str, is_key: bool) -> (Vec<String>, String) {
    let (label, unit) = unit_of(label);
    let whole = trimmed(label);
    let mut names = Vec::new();
    // After a prefix such as `INFO:root:`, only the end is the name.
    let end = whole.rsplit([':', '：']).next().unwrap_or(whole);
    let end = without_prefixes(end);
    if is_key {
        names.extend(key(end));
    }
    for name in [end, without_prefixes(whole), whole] {
        let is_name = name.contains(char::is_alphabetic) && name.chars().count() <= 100 && !is_stamp(name);
        if is_name && !names.iter().any(|one| one == name) {
            names.push(name.to_owned());
        }
    }
    (names, unit)
}

/// The last word of a label directly before `=`, with the words that change its meaning: `best loss`, `fold 1 loss`.
fn key(label: &str) -> Option<String> {
    let words: Vec<&str> = label.split_whitespace().map(trimmed).collect();
    let is_qualifier = |word: &str| QUALIFIERS.iter().any(|one| one.eq_ignore_ascii_case(word));
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let from = match words.as_slice() {
        [.., _, number, _] if is_number(number) => words.len() - 3,
        [.., before, _] if is_qualifier(before) || is_number(before) => words.len() - 2,
        _ => words.len().checked_sub(1)?,
    };
    Some(words.get(from..)?.join(" "))
}

/// Takes a unit in brackets off the end of a label: `time (ms)`.
fn unit_of(label: &str) -> (&str, String) {
    let label = label.trim_end();
    let brackets = [('(', ')'), ('[', ']')].into_iter().find(|(_, close)| label.ends_with(*close));
    let Some((open, _)) = brackets else { return (label, String::new()) };
    let Some(at) = label.rfind(open) else { return (label, String::new()) };
    let inside = label[at + 1..label.len() - 1].trim();
    match super::units::is_known(inside) {
        true => (&label[..at], inside.to_owned()),
        false => (label, String::new()),
    }
}

/// A name without bullets, quotes and leaders around it.
fn trimmed(name: &str) -> &str {
    let name = name.trim_matches(|c: char| c.is_whitespace() || "\"'`*•#>.…=~,;".contains(c));
    name.trim_start_matches(|c: char| "-:|✓✔✅→–—]) ".contains(c) || c.is_whitespace())
        .trim_end_matches([':', ' ', '-'])
}

/// Removes timestamps, levels, counters and groups in brackets from the beginning.
fn without_prefixes(label: &str) -> &str {
    let mut rest = trimmed(label);
    loop {
        let shorter = trimmed(without_prefix(rest));
        if shorter.len() == rest.len() || shorter.is_empty() {
            return rest;
        }
        rest = shorter;
    }
}

fn without_prefix(label: &str) -> &str {
    for (open, close) in [('[', ']'), ('(', ')'), ('<', '>')] {
        if let Some(inside) = label.strip_prefix(open) {
            return inside.split_once(close).map_or(label, |(_, rest)| rest);
        }
    }
    let Some((word, rest)) = label.split_once(char::is_whitespace) else { return label };
    let plain = word.trim_matches(|c: char| !c.is_alphanumeric());
    let is_one_of = |words: &[&str]| words.iter().any(|one| one.eq_ignore_ascii_case(plain));
    if is_stamp(plain) || is_one_of(&LEVELS) || is_glog(plain) {
        return rest;
    }
    if is_one_of(&MONTHS) && rest.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
        return rest;
    }
    if is_one_of(&COUNTERS) {
        let (number, after) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest, ""));
        if is_stamp(number.trim_matches(|c: char| !c.is_alphanumeric())) {
            return after;
        }
    }
    let letters = plain.trim_end_matches(|c: char| c.is_ascii_digit() || "-_/#".contains(c));
    if letters.len() < plain.len() && COUNTERS.iter().any(|one| one.eq_ignore_ascii_case(letters)) {
        return rest;
    }
    label
}

/// True for a word of digits with the marks of dates, times, durations and shares.
fn is_stamp(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || ".:,/-+%TZsmhx".contains(c))
}

/// True for the first word of glog's lines: `I0131`.
fn is_glog(word: &str) -> bool {
    word.len() == 5 && word.starts_with(['I', 'W', 'E', 'F']) && word[1..].bytes().all(|b| b.is_ascii_digit())
}

/// True for the short name of a month or of a day of the week.
pub(super) fn is_calendar(word: &str) -> bool {
    MONTHS.contains(&word)
}

/// A name for comparisons: in small letters, with `_` for every `-` and space.
pub fn folded(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let words = name.split(|c: char| c.is_whitespace() || c == '-' || c == '_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(label: &str, is_key: bool) -> String {
        names(label, is_key).0.first().cloned().unwrap_or_default()
    }

    #[test]
    fn what_a_log_puts_before_a_name_is_no_part_of_it() {
        for (label, name) in [
            ("score", "score"),
            ("INFO:root:score", "score"),
            ("[rank0]: score", "score"),
            ("2024-01-02 10:11:12,345 INFO score", "score"),
            ("2024-01-02T10:11:12.345Z  INFO train::eval: score", "score"),
            ("I0102 10:11:12.123456 4711 train.py:33] score", "score"),
            ("Epoch 3/10 score", "score"),
            ("step-100 score", "score"),
            ("- **score**", "score"),
            ("score .......", "score"),
            ("Eval loss", "Eval loss"),
            ("val/acc@1", "val/acc@1"),
            ("best score", "best score"),
            ("fold 2 score", "fold 2 score"),
            ("Nov 29 10:11:12 host prog[12]: score", "score"),
        ] {
            assert_eq!(first(label, false), name, "{label}");
        }
        assert_eq!(first("done in time score", true), "score");
        assert_eq!(first("best score", true), "best score");
        assert_eq!(first("of fold 1 score", true), "fold 1 score");
        assert_eq!(names("time (ms)", false), (vec!["time".to_owned()], "ms".to_owned()));
        assert_eq!(first("loss (train)", false), "loss (train)");
    }

    #[test]
    fn spellings_of_a_name_are_one() {
        assert_eq!(folded("Val-Loss"), folded("val loss"));
        assert_ne!(folded("val/loss"), folded("val_loss"));
    }
}
