//! The words that tables are written in: decisions, names of columns, numbers.

use autoresearch_core::Direction;

/// A decision, or another state of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Keep,
    Discard,
    Crash,
    /// The unchanged program.
    Baseline,
    /// It ran, and nothing says whether it was kept.
    Ran,
    /// It has not ended.
    Open,
}

const WORDS: &[(Word, &[&str])] = &[
    (
        Word::Keep,
        &[
            "keep",
            "keeps",
            "kept",
            "keeping",
            "keeper",
            "accept",
            "accepted",
            "improve",
            "improved",
            "improvement",
            "better",
            "best",
            "newbest",
            "win",
            "winner",
            "merged",
            "merge",
            "committed",
            "commit",
            "adopted",
            "promoted",
            "advance",
            "advanced",
            "success",
            "successful",
        ],
    ),
    (
        Word::Discard,
        &[
            "discard",
            "discards",
            "discarded",
            "revert",
            "reverted",
            "reject",
            "rejected",
            "dropped",
            "drop",
            "worse",
            "regression",
            "regressed",
            "rollback",
            "rolledback",
            "undone",
            "abandoned",
            "noimprovement",
            "notimproved",
            "neutral",
            "nochange",
            "same",
            "equal",
            "skipped",
            "lost",
            "loss",
            "pruned",
        ],
    ),
    (
        Word::Crash,
        &[
            "crash",
            "crashed",
            "crashes",
            "oom",
            "outofmemory",
            "timeout",
            "timedout",
            "fail",
            "failed",
            "failure",
            "error",
            "errored",
            "checksfailed",
            "checkfailed",
            "buildfailed",
            "buildfailure",
            "buildfail",
            "compileerror",
            "compilefailed",
            "testsfailed",
            "testfailed",
            "killed",
            "invalid",
            "diverged",
            "nan",
            "broken",
            "exception",
            "incorrect",
            "aborted",
        ],
    ),
    (Word::Baseline, &["baseline", "base", "start", "initial", "original", "reference", "control"]),
    (
        Word::Ran,
        &[
            "ok",
            "okay",
            "done",
            "ran",
            "complete",
            "completed",
            "finished",
            "measured",
            "pass",
            "passed",
            "valid",
            "correct",
            "evaluated",
        ],
    ),
    (Word::Open, &["running", "pending", "waiting", "planned", "todo", "queued", "inprogress", "scheduled", "started"]),
];

/// Understands a decision in any of its spellings; a remark may follow in brackets, or after a comma, colon, semicolon or dash.
pub fn word(text: &str) -> Option<Word> {
    let end = [text.find(['(', '[', ',', ';', ':', '–', '—']), text.find(" -")].into_iter().flatten().min();
    let head = &text[..end.unwrap_or(text.len())];
    let letters: String = head.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    if letters.is_empty() {
        return match head.trim().chars().next()? {
            '✓' | '✔' | '✅' | '👍' => Some(Word::Keep),
            '✗' | '✘' | '❌' | '👎' | '✖' => Some(Word::Discard),
            '💥' | '⚠' => Some(Word::Crash),
            _ => None,
        };
    }
    WORDS.iter().find(|(_, words)| words.contains(&letters.as_str())).map(|(word, _)| *word)
}

/// Understands a cell of a column such as `kept`, which says yes or no.
pub fn yes_or_no(text: &str) -> Option<Word> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "t" => Some(Word::Keep),
        "false" | "no" | "n" | "0" | "f" => Some(Word::Discard),
        other => word(other),
    }
}

/// A column's name without what differs by habit: `Memory (GB)` is `memory_gb`.
pub fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_lowercase()
}

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

/// Takes thousands separators out: groups of three digits behind a comma or an underscore.
fn without_separators(digits: &str) -> Option<String> {
    let separator = [',', '_'].into_iter().find(|separator| digits.contains(*separator));
    let Some(separator) = separator else { return Some(digits.to_owned()) };
    let (whole, rest) = digits.split_once('.').map_or((digits, String::new()), |(a, b)| (a, format!(".{b}")));
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    let first_fits = (1..=3).contains(&first.trim_start_matches(['+', '-']).len());
    let three = |group: &str| group.len() == 3 && group.chars().all(|c| c.is_ascii_digit());
    (first_fits && groups.all(three) && !rest.contains(separator)).then(|| whole.replace(separator, "") + &rest)
}

const LOWER: &[&str] = &[
    "loss",
    "bpb",
    "bpc",
    "ppl",
    "perplexity",
    "error",
    "err",
    "mse",
    "rmse",
    "mae",
    "mape",
    "latency",
    "time",
    "ms",
    "us",
    "µs",
    "ns",
    "s",
    "sec",
    "secs",
    "seconds",
    "duration",
    "runtime",
    "wall",
    "wer",
    "cer",
    "fid",
    "memory",
    "size",
    "bytes",
    "kb",
    "mb",
    "allocs",
    "allocations",
    "instructions",
    "cycles",
    "cost",
    "regret",
    "nll",
    "eer",
    "brier",
    "misses",
    "lines",
];
const HIGHER: &[&str] = &[
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "auprc",
    "ap",
    "map",
    "f1",
    "psnr",
    "ssim",
    "throughput",
    "toks",
    "tps",
    "qps",
    "rps",
    "ops",
    "fps",
    "speedup",
    "speed",
    "score",
    "reward",
    "return",
    "r2",
    "iou",
    "miou",
    "dice",
    "bleu",
    "rouge",
    "precision",
    "recall",
    "winrate",
    "passrate",
    "mfu",
    "sharpe",
    "elo",
    "gflops",
    "tflops",
    "bandwidth",
    "hits",
    "fitness",
    "success",
    "profit",
];

/// The direction that a name suggests. It is for a message alone: nothing is taken for granted.
pub fn suggested(name: &str) -> Option<Direction> {
    let name = plain(name);
    let rate = ["per_s", "per_sec", "per_second", "tok_s", "win_rate", "pass_rate", "success_rate"];
    let words: Vec<&str> = name.split('_').collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if rate.iter().any(|rate| name.contains(rate)) || has(HIGHER) {
        return Some(Direction::Maximise);
    }
    has(LOWER).then_some(Direction::Minimise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_understood_in_odd_spellings() {
        for (expected, texts) in [
            (
                Word::Keep,
                &["KEEP", "kept", "keep*", "accepted", "Improved", "✓ keep", "keep (best so far)", "keep - best", "✅"]
                    [..],
            ),
            (
                Word::Discard,
                &["discard", "Discarded", "revert", "reverted", "REJECTED", "discard: worse", "no improvement", "❌"],
            ),
            (
                Word::Crash,
                &[
                    "crash",
                    "OOM",
                    "out of memory",
                    "timed-out",
                    "failed",
                    "ERROR",
                    "crash (OOM)",
                    "checks_failed",
                    "Build failed",
                ],
            ),
            (Word::Baseline, &["baseline", "Baseline (seed 1)"]),
            (Word::Ran, &["ok", "OK", "done", "COMPLETE"]),
            (Word::Open, &["running", "in progress"]),
        ] {
            for text in texts {
                assert_eq!(word(text), Some(expected), "{text}");
            }
        }
        for text in ["", "maybe", "not kept", "keep/discard", "failed to improve", "(keep)", "0.98"] {
            assert_eq!(word(text), None, "{text}");
        }
        assert_eq!((yes_or_no("True"), yes_or_no("0")), (Some(Word::Keep), Some(Word::Discard)));
    }

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
        for text in
            ["", "soon", "1,23", "12,3456", "a1", "3 layers more", "1.2.3", "2024-01-01", "NaN", "inf", "1e999", "0x10"]
        {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_suggests_a_direction_or_none() {
        use Direction::{Maximise, Minimise};
        for (name, expected) in [
            ("val_bpb", Some(Minimise)),
            ("Latency (ms)", Some(Minimise)),
            ("accuracy", Some(Maximise)),
            ("val/AUC", Some(Maximise)),
            ("PSNR", Some(Maximise)),
            ("tokens_per_sec", Some(Maximise)),
            ("throughput", Some(Maximise)),
            ("value", None),
        ] {
            assert_eq!(suggested(name), expected, "{name}");
        }
    }
}
