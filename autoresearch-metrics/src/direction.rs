//! The better direction that a metric's name suggests. It is a suggestion: a person confirms it.

use autoresearch_core::Direction;

/// Words of names of which less is better.
const LOWER: [&str; 62] = [
    "loss",
    "error",
    "errors",
    "err",
    "wer",
    "cer",
    "ter",
    "mse",
    "rmse",
    "mae",
    "mape",
    "smape",
    "perplexity",
    "ppl",
    "bpb",
    "bpc",
    "bpt",
    "nll",
    "logloss",
    "crossentropy",
    "xent",
    "time",
    "latency",
    "duration",
    "elapsed",
    "wall",
    "runtime",
    "walltime",
    "seconds",
    "secs",
    "sec",
    "millis",
    "ms",
    "us",
    "ns",
    "memory",
    "mem",
    "rss",
    "vram",
    "bytes",
    "size",
    "regret",
    "cost",
    "fid",
    "kl",
    "eer",
    "brier",
    "misses",
    "instructions",
    "cycles",
    "allocs",
    "allocations",
    "warnings",
    "failures",
    "failed",
    "distance",
    "divergence",
    "mpjpe",
    "overhead",
    "p50",
    "p95",
    "p99",
];
/// Words of names of which more is better.
const HIGHER: [&str; 50] = [
    "acc",
    "accuracy",
    "top1",
    "top5",
    "auc",
    "auroc",
    "auprc",
    "f1",
    "precision",
    "recall",
    "map",
    "iou",
    "miou",
    "dice",
    "bleu",
    "rouge",
    "rougel",
    "meteor",
    "psnr",
    "ssim",
    "r2",
    "reward",
    "return",
    "returns",
    "throughput",
    "tps",
    "fps",
    "qps",
    "rps",
    "speedup",
    "mfu",
    "elo",
    "winrate",
    "ndcg",
    "mrr",
    "hits",
    "passed",
    "success",
    "ips",
    "ops",
    "flops",
    "gflops",
    "tflops",
    "bandwidth",
    "coverage",
    "sharpe",
    "correct",
    "solved",
    "spearman",
    "pearson",
];
/// Words that turn a name around, or leave no direction.
const NONE: [&str; 9] = ["improvement", "delta", "gain", "reduction", "change", "decrease", "increase", "target", "lr"];

/// Suggests the better direction of a metric by its name and unit. `None` if they do not tell, or contradict each other.
///
/// ```
/// use autoresearch_core::Direction;
/// use autoresearch_metrics::suggested_direction;
/// assert_eq!(suggested_direction("val_loss", ""), Some(Direction::Minimise));
/// assert_eq!(suggested_direction("tokens/sec", ""), Some(Direction::Maximise));
/// assert_eq!(suggested_direction("bench", "ns/iter"), Some(Direction::Minimise));
/// assert_eq!(suggested_direction("score", ""), None);
/// ```
pub fn suggested_direction(name: &str, unit: &str) -> Option<Direction> {
    let name = spaced(name);
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| NONE.contains(word)) {
        return None;
    }
    let per_second = |text: &str| text.ends_with("/s") || text.ends_with("/sec");
    if is_rate(&words) || per_second(name.trim()) || per_second(unit) {
        // More errors per second are no better. What they are counted by says nothing.
        let mut counted = words.iter().take_while(|word| **word != "per").filter(|word| **word != "sec");
        return (!counted.any(|word| LOWER.contains(word))).then_some(Direction::Maximise);
    }
    let lower = words.iter().any(|word| LOWER.contains(word));
    let higher = words.iter().any(|word| HIGHER.contains(word));
    match (lower, higher) {
        (true, false) => Some(Direction::Minimise),
        (false, true) => Some(Direction::Maximise),
        (true, true) => None,
        (false, false) => {
            let unit = unit.split('/').next().unwrap_or_default();
            let is_time = ["ns", "us", "µs", "ms", "s", "sec", "seconds", "min"].contains(&unit);
            is_time.then_some(Direction::Minimise)
        }
    }
}

/// True for a number per time: `tokens_per_second`.
fn is_rate(words: &[&str]) -> bool {
    words
        .windows(2)
        .any(|pair| pair[0] == "per" && ["s", "sec", "second", "minute", "hour", "dollar"].contains(&pair[1]))
}

/// The name in small letters, with a space before each capital of `valLoss`.
fn spaced(name: &str) -> String {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
        before = c;
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_suggest_a_direction_and_others_none() {
        for (name, unit, expected) in [
            ("eval_accuracy", "", Some(Direction::Maximise)),
            ("ROC AUC", "", Some(Direction::Maximise)),
            ("PSNR", "dB", Some(Direction::Maximise)),
            ("tokens_per_second", "", Some(Direction::Maximise)),
            ("bandwidth", "GB/s", Some(Direction::Maximise)),
            ("val_bpb", "", Some(Direction::Minimise)),
            ("valLoss", "", Some(Direction::Minimise)),
            ("peak memory", "MB", Some(Direction::Minimise)),
            ("fib 20", "us", Some(Direction::Minimise)),
            ("time/step", "", Some(Direction::Minimise)),
            ("time/sample", "", Some(Direction::Minimise)),
            ("loss/smooth_l1", "", Some(Direction::Minimise)),
            ("errors_per_second", "", None),
            ("tokens/s", "", Some(Direction::Maximise)),
            ("score", "", None),
            ("loss_improvement", "", None),
            ("epoch", "", None),
            ("accuracy_loss", "", None),
        ] {
            assert_eq!(suggested_direction(name, unit), expected, "{name} {unit}");
        }
    }
}
