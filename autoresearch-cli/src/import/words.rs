//! The words that tables are written in: decisions, and names of columns.

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
