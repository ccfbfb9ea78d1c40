//! The figures of the proposers: quality and cost of the ideas.

use crate::figure::{self, Line, Measure, number, printed};
use crate::{agents, sh};

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[
    ("searcher-beats-random", searcher),
    ("api-faults", faults),
    ("cassettes", cassettes),
    ("agent-claude", claude),
    ("agent-codex", codex),
    ("fuzz", fuzz),
];

const AGENTS: &str = "autoresearch-agents";
/// Number of inputs of each fuzzing test.
const INPUTS: &str = "1000000";
/// Seed of the inputs.
const SEED: &str = "1";

fn searcher() -> Result<Line, String> {
    let words = printed("suite", "knob_searches", "searcher-beats-random")?;
    let number = |key| number(&words, key);
    let (seeds, low) = (number("seeds")?, number("low")?);
    let value = format!(
        "+{} on average over {seeds} seeds, 95 % interval +{low} to +{}, better in {}",
        number("mean_gain")?,
        number("high")?,
        number("wins")?
    );
    Ok(Line::Measured(low > 0.0 && seeds >= 20.0, value, "the interval lies above 0, paired over 20 seeds"))
}

fn faults() -> Result<Line, String> {
    let words = printed("suite", "faulty_runs", "api-faults")?;
    let number = |key| number(&words, key);
    let (proposals, faults) = (number("proposals")?, number("faults")?);
    let (overspent, stalls) = (number("overspent_calls")?, number("stalls")?);
    let value =
        format!("{proposals} proposals through {faults} faults, {overspent} calls beyond the cap, {stalls} stalls");
    let fine = proposals >= 200.0 && faults > 0.0 && overspent <= 1.0 && stalls == 0.0;
    Ok(Line::Measured(fine, value, "200 proposals, at most one call beyond the cap, no stall"))
}

fn cassettes() -> Result<Line, String> {
    let words = printed("suite", "faulty_runs", "cassettes")?;
    let identical = number(&words, "identical")? == 1.0;
    let value = if identical { "the lineage is the same" } else { "the lineage differs" };
    Ok(Line::Measured(identical, value.into(), "the same run replayed from its cassettes"))
}

fn claude() -> Result<Line, String> {
    agent("agent-claude")
}

fn codex() -> Result<Line, String> {
    agent("agent-codex")
}

/// A run of the real agent against a mock of its vendor.
fn agent(name: &str) -> Result<Line, String> {
    let folder = match agents::agents() {
        Ok(folder) => folder,
        Err(why) => return Ok(Line::Skip(why)),
    };
    let mut cargo = sh::cargo();
    cargo.args(["test", "--locked", "-p", AGENTS, "--test", "suite", "--", "--nocapture", "real"]);
    let words = figure::words_after(&sh::output(cargo.env("AUTORESEARCH_TEST_AGENTS", folder))?, name)?;
    let number = |key| number(&words, key);
    let (experiments, edits, seen) = (number("experiments")?, number("edits_by_tool")?, number("key_seen")?);
    let value = format!("{experiments} experiments, {edits} edits by its own tool, the key seen {seen} times");
    Ok(Line::Measured(experiments >= 3.0 && edits >= experiments && seen == 0.0, value, "3, all of them, 0"))
}

/// A million inputs for each reader of what a server, a model or an agent says, and for the edits that it makes: mutations
/// of the corpus, and as many that are generated for each of the properties.
fn fuzz() -> Result<Line, String> {
    let run = |package: &str, filters: &[&str]| -> Result<(String, usize), String> {
        let mut cargo = sh::cargo();
        cargo.args(["test", "--locked", "--release", "-p", package, "--lib", "--"]).args(filters).arg("--nocapture");
        cargo.env("AUTORESEARCH_FUZZ_CASES", INPUTS).env("PROPTEST_CASES", INPUTS);
        cargo.env("AUTORESEARCH_FUZZ_SEED", SEED).env("PROPTEST_RNG_SEED", SEED);
        let output = sh::output(&mut cargo)?;
        let passed = output.lines().find_map(|line| line.split_once("test result: ok. ")?.1.split(' ').next());
        let passed = passed.and_then(|count| count.parse().ok()).ok_or("no test passed")?;
        Ok((output, passed))
    };
    let (output, _) = run(AGENTS, &["fuzz_of"])?;
    let (mut readers, mut corpus, mut fewest) = (0, 0.0, f64::INFINITY);
    for words in figure::all_words_after(&output, "evidence fuzz-") {
        readers += 1;
        corpus += number(&words, "corpus")?;
        fewest = fewest.min(number(&words, "inputs")?);
    }
    let generated = run(AGENTS, &["panic", "any_bytes"])?.1 + run("autoresearch-core", &["change::"])?.1;
    let value = format!(
        "{readers} readers with {fewest} mutations each of {corpus} inputs, and {generated} tests of generated ones with \
         {INPUTS} each, seed {SEED}: no panic, no wrong place edited"
    );
    Ok(Line::Measured(readers >= 10 && fewest.to_string() == INPUTS, value, "a million each, without a failure"))
}
