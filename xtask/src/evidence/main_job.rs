//! The figures of the main job: a night of research on a fresh machine.

use super::{Line, Measure, bad_input, cuda, latency, night};
use crate::{setup, sh};

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[
    ("core-is-light", core_is_light),
    ("val-bpb-formula", val_bpb_formula),
    ("packing", packing),
    ("tokenizer-round-trip", tokenizer),
    ("harness-overhead", harness_overhead),
    ("bad-input", bad_input::bad_input),
    ("edit-to-running", latency::edit_to_running),
    ("cuda", cuda::cuda),
    ("tests", tests),
    ("night", night::night),
    ("tip-reproduces", night::tip_reproduces),
];

/// What the core must never depend on.
const HEAVY: &[&str] =
    &["reqwest", "hyper", "rustls", "openssl", "openssl-sys", "native-tls", "curl", "tch", "torch-sys", "tokenizers"];

fn core_is_light() -> Result<Line, String> {
    let tree = sh::output(sh::cargo().args([
        "tree",
        "--locked",
        "-p",
        "autoresearch-core",
        "-e",
        "normal",
        "--prefix",
        "none",
    ]))?;
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    let heavy: Vec<&str> = names.iter().copied().filter(|name| HEAVY.contains(name)).collect();
    let value = format!("{} crates, of which network or libtorch: {heavy:?}", names.len());
    Ok(Line::Measured(heavy.is_empty() && names.len() > 10, value, "none"))
}

/// The words after `evidence NAME` in what a test prints.
fn printed(test: &str, name: &str) -> Result<Vec<String>, String> {
    let libtorch = setup::setup()?;
    let mut cargo = sh::cargo();
    cargo.args(["test", "--locked", "-p", "autoresearch-llm", "--test", test, "--", "--nocapture"]);
    let output = sh::output(cargo.env("LIBTORCH", libtorch))?;
    let marker = format!("evidence {name} ");
    let line = output.lines().find_map(|line| line.split_once(&marker));
    let (_, words) = line.ok_or_else(|| format!("the test {test} printed no `{marker}`"))?;
    Ok(words.split_whitespace().map(str::to_owned).collect())
}

/// The number that follows `key`.
fn number(words: &[String], key: &str) -> Result<f64, String> {
    let at = words.iter().position(|word| word == key);
    let value = at.and_then(|at| words.get(at + 1)).and_then(|word| word.parse().ok());
    value.ok_or_else(|| format!("no number after {key} in {words:?}"))
}

fn val_bpb_formula() -> Result<Line, String> {
    let difference = number(&printed("val_bpb", "val_bpb")?, "max_abs_diff")?;
    let value = format!("differs from the Python formula by {difference:e} at most");
    Ok(Line::Measured(difference <= 1e-6, value, "1e-6"))
}

fn packing() -> Result<Line, String> {
    let words = printed("packing", "packing")?;
    let (tokens, mismatches) = (number(&words, "tokens_compared")?, number(&words, "mismatches")?);
    let value = format!("{mismatches} of {tokens} tokens differ from prepare.py's algorithm");
    Ok(Line::Measured(mismatches == 0.0 && tokens > 100_000.0, value, "0 of more than 100000"))
}

fn tokenizer() -> Result<Line, String> {
    let words = printed("tokenizer", "tokenizer")?;
    let (cases, failures) = (number(&words, "cases")?, number(&words, "failures")?);
    Ok(Line::Measured(
        failures == 0.0 && cases >= 4000.0,
        format!("{failures} of {cases} texts came back changed"),
        "0",
    ))
}

fn harness_overhead() -> Result<Line, String> {
    let output =
        sh::output(sh::cargo().args(["run", "--locked", "-q", "-p", "autoresearch-core", "--example", "overhead"]))?;
    let seconds = output.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    let seconds = seconds.ok_or_else(|| format!("no number in: {output}"))?;
    Ok(Line::Measured(seconds <= 0.3, output.trim().to_owned(), "0.3 s"))
}

fn tests() -> Result<Line, String> {
    let output = sh::output(sh::cargo().args(["xtask", "test"]))?;
    let count = |what: &str| -> usize {
        let results = output.lines().filter(|line| line.starts_with("test result:"));
        results.filter_map(|line| line.split(what).next()?.split_whitespace().next_back()?.parse::<usize>().ok()).sum()
    };
    let (passed, failed) = (count(" passed"), count(" failed"));
    Ok(Line::Measured(failed == 0 && passed > 50, format!("{passed} passed, {failed} failed"), "all"))
}
