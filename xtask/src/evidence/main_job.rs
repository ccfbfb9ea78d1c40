//! The figures of the main job: a run of research on a fresh machine.

use super::{bad_input, cuda, durable_core, latency, main_run};
use crate::figure::{self, Line, Measure};
use crate::sh;

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[
    ("core-is-light", core_is_light),
    ("val-bpb-formula", val_bpb_formula),
    ("packing", packing),
    ("tokenizer-round-trip", tokenizer),
    ("git-overhead", git_overhead),
    ("bad-input", bad_input::bad_input),
    ("edit-to-running", latency::edit_to_running),
    ("cuda", cuda::cuda),
    ("tests", tests),
    ("main-run", main_run::main_run),
    ("incumbent-reproduces", main_run::incumbent_reproduces),
];

/// Crates that the core must never depend on.
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

fn val_bpb_formula() -> Result<Line, String> {
    let difference = figure::number(&figure::printed("suite", "val_bpb::", "val_bpb")?, "max_abs_diff")?;
    let value = format!("differs from the Python formula by {difference:e} at most");
    Ok(Line::Measured(difference <= 1e-6, value, "1e-6"))
}

fn packing() -> Result<Line, String> {
    let words = figure::printed("suite", "packing::", "packing")?;
    let (tokens, mismatches) = (figure::number(&words, "tokens_compared")?, figure::number(&words, "mismatches")?);
    let value = format!("{mismatches} of {tokens} tokens differ from prepare.py's algorithm");
    Ok(Line::Measured(mismatches == 0.0 && tokens > 100_000.0, value, "0 of more than 100000"))
}

fn tokenizer() -> Result<Line, String> {
    let words = figure::printed("suite", "tokenizer::", "tokenizer")?;
    let (cases, failures) = (figure::number(&words, "cases")?, figure::number(&words, "failures")?);
    Ok(Line::Measured(
        failures == 0.0 && cases >= 4000.0,
        format!("{failures} of {cases} texts came back changed"),
        "0",
    ))
}

fn git_overhead() -> Result<Line, String> {
    let text = durable_core::measured("git-overhead")?;
    // The second number is without the commands, which are not the lab.
    let millis = durable_core::before(&text, "ms")?;
    Ok(Line::Measured(millis.get(1).is_some_and(|millis| *millis <= 300.0), text, "300 ms without the commands"))
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
