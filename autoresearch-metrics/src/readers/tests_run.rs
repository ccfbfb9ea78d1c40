//! Last lines of test runners, and of `time`.

use autoresearch_core::internal::metric::parse_number;

use super::entry::Entry;

/// pytest's last line: `=== 3 failed, 12 passed, 1 skipped in 1.20s ===`.
pub(super) fn pytest(text: &str) -> Vec<Entry> {
    let is_summary = |line: &&str| line.contains(" in ") && line.trim_end_matches(['=', ' ']).ends_with(['s', ')']);
    let counts = ["passed", "failed", "error", "errors", "skipped", "xfailed", "xpassed", "warnings", "deselected"];
    let Some(line) = text.lines().rev().filter(is_summary).find(|line| counts.iter().any(|word| line.contains(word)))
    else {
        return Vec::new();
    };
    let source = format!("`{}`", line.trim());
    let inner = line.trim().trim_matches(['=', ' ']);
    let (listed, time) = inner.rsplit_once(" in ").unwrap_or((inner, ""));
    let mut found = Vec::new();
    for part in listed.split(',') {
        if let Some((count, word)) = part.trim().split_once(' ')
            && let Ok(count) = count.parse::<u32>()
            && counts.contains(&word.trim())
        {
            found.push(Entry::new(word.trim(), f64::from(count), "", source.as_str()));
        }
    }
    // A kind without tests is not printed.
    for word in ["passed", "failed", "errors"] {
        let is_told = |entry: &Entry| entry.name == word || (word == "errors" && entry.name == "error");
        if !found.iter().any(is_told) {
            found.push(Entry::new(word, 0.0, "", source.as_str()));
        }
    }
    let seconds = time.split_whitespace().next().and_then(|time| time.strip_suffix('s'));
    if let Some(Ok((seconds, _))) = seconds.map(parse_number) {
        found.push(Entry::new("time", seconds, "s", source));
    }
    found
}

/// `cargo test`: the sums over its lines `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
pub(super) fn cargo(text: &str) -> Vec<Entry> {
    let lines: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("test result:")).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let sum = |word: &str| -> u32 {
        let of = |line: &&str| {
            let parts = line.split([';', '.']).filter_map(|part| part.trim().strip_suffix(word));
            parts.filter_map(|count| count.trim().parse::<u32>().ok()).sum::<u32>()
        };
        lines.iter().map(of).sum()
    };
    let source = format!("{} lines `test result:`", lines.len());
    ["passed", "failed", "ignored"].map(|word| Entry::new(word, f64::from(sum(word)), "", source.as_str())).to_vec()
}

/// `time` of a shell (`real 0m1.234s`) or of POSIX (`real 1.23`), in seconds.
pub(super) fn time(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((word, value)) = line.trim().split_once(char::is_whitespace) else { continue };
        if !["real", "user", "sys"].contains(&word) {
            continue;
        }
        let value = value.trim();
        let seconds = match value.strip_suffix('s').and_then(|value| value.split_once('m')) {
            Some((minutes, seconds)) => {
                minutes.parse::<f64>().ok().zip(seconds.parse::<f64>().ok()).map(|(m, s)| m * 60.0 + s)
            }
            None => value.parse::<f64>().ok(),
        };
        found.extend(
            seconds.map(|seconds| Entry::new(word, seconds, "s", format!("line {}: `{}`", at + 1, line.trim()))),
        );
    }
    found
}
