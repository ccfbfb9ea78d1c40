//! The figures of a house that reads: its circles, layers, files, words, public items, and the time that its tests take.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::figure::{Line, Measure};
use crate::{places, setup, sh};

mod circles;
mod crates;
mod graph;
mod items;
mod layers;
mod light;
mod path;
mod source;
mod tokens;

pub use items::store as store_public_api;

/// All of them, the quick ones first.
pub const FIGURES: &[(&str, Measure)] = &[
    ("module-circles", module_circles),
    ("layering", layering),
    ("experiment-path", experiment_path),
    ("file-lengths", file_lengths),
    ("words", glossary_words),
    ("readme-words", readme_words),
    ("public-api", public_api),
    ("undocumented", undocumented),
    ("public-items", public_items),
    ("light-core", light_core),
    ("test-time", test_time),
];

const MAX_LINES: usize = 400;
const MAX_MEDIAN: usize = 140;
const MAX_README: usize = 700;
const MAX_BUILD_SECONDS: f64 = 20.0;

/// A figure that counts what is wrong and shows each.
fn none(found: &[String], what: &str) -> Line {
    for one in found {
        eprintln!("  {one}");
    }
    Line::Measured(found.is_empty(), format!("{} {what}", found.len()), "0")
}

fn module_circles() -> Result<Line, String> {
    Ok(none(&circles::found(&places::root())?, "circles among the files of the workspace's crates"))
}

fn layering() -> Result<Line, String> {
    Ok(none(
        &layers::found(&places::root().join("autoresearch-core"))?,
        "uses between rooms of the core against DESIGN",
    ))
}

fn experiment_path() -> Result<Line, String> {
    let path = path::path(&places::root())?;
    for one in &path.wrong {
        eprintln!("  {one}");
    }
    let value = format!(
        "{} functions in {} files, {} of ARCHITECTURE.md's rows against the code",
        path.functions,
        path.files,
        path.wrong.len()
    );
    let good = path.wrong.is_empty() && path.functions <= 12 && path.files <= 5;
    Ok(Line::Measured(good, value, "at most 12 functions in at most 5 files, each as the code has it"))
}

/// `train.rs`, which is read as a whole by people and by models, lies outside of src and is no part of this.
fn file_lengths() -> Result<Line, String> {
    let root = places::root();
    let mut lengths = Vec::new();
    for member in crates::crates(&root)? {
        for file in crates::below(&member.folder.join("src"), "rs")? {
            lengths.push((crates::read(&file)?.lines().count(), crates::shown(&root, &file)));
        }
    }
    lengths.sort();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > MAX_LINES).collect();
    for (lines, file) in &long {
        eprintln!("  {file} has {lines} lines");
    }
    let median = lengths.get(lengths.len() / 2).map_or(0, |(lines, _)| *lines);
    let value = format!("{} of {} files of src over {MAX_LINES} lines, median {median}", long.len(), lengths.len());
    Ok(Line::Measured(long.is_empty() && median <= MAX_MEDIAN, value, "0 but train.rs, median at most 140"))
}

/// The book's test of the glossary, which names each use and the word that stands in its place.
fn glossary_words() -> Result<Line, String> {
    let mut test = crate::test::of(&["--test", "book"], &["--nocapture", "words::"])?;
    let output = test.output().map_err(|e| format!("cannot start `{}`: {e}", sh::shown(&test)))?;
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let found: Vec<String> = printed.lines().filter(|line| line.contains(" -> ")).map(str::to_owned).collect();
    if !output.status.success() && found.is_empty() {
        let end = printed.lines().last().unwrap_or_default();
        return Err(format!("`{}` failed: {}: {end}", sh::shown(&test), output.status));
    }
    Ok(none(&found, "uses of words that the glossary replaces"))
}

fn readme_words() -> Result<Line, String> {
    let words = crates::read(&places::root().join("README.md"))?.split_whitespace().count();
    Ok(Line::Measured(words <= MAX_README, format!("{words} words"), "at most 700"))
}

fn public_api() -> Result<Line, String> {
    let changed = items::changed()?;
    Ok(none(&changed, "lines differ from autoresearch-core/public-api.txt; `cargo xtask public-api` writes it anew"))
}

fn undocumented() -> Result<Line, String> {
    Ok(none(
        &items::undocumented()?,
        "public items of the core without a sentence, or traits and constructors without a doctest",
    ))
}

/// Counted as `cargo public-api` lists them. The second count, beside it, takes each item once however many paths lead to it: it
/// has grown with what guards, metrics and executors brought since, and has no bar.
fn public_items() -> Result<Line, String> {
    let (before, now) = (items::before()?.len(), items::now()?.len());
    let (distinct, distinct_before) = items::distinct()?;
    let value = format!(
        "{now} public items of the core as cargo public-api lists them, {before} at {}; each once: {distinct}, {distinct_before} then",
        items::BEFORE
    );
    Ok(Line::Measured(2 * now <= before, value, "at most half as listed"))
}

fn light_core() -> Result<Line, String> {
    let light::Build { git, seconds, cpu } = light::build()?;
    let cpu = cpu.map_or(String::new(), |cpu| format!(", {cpu:.1} s of processor time"));
    let value = format!("libgit2: {git:?}; a fresh crate with it, built by two jobs in {seconds:.1} s{cpu}");
    Ok(Line::Measured(git.is_empty() && seconds < MAX_BUILD_SECONDS, value, "none; under 20 s"))
}

/// The time of `cargo xtask test` after an edit of the core, here and before the house was rebuilt.
fn test_time() -> Result<Line, String> {
    let before = items::checkout(items::BEFORE)?;
    let (now, then) = (timed_test(&places::root())?, timed_test(&before)?);
    let value = format!("{now:.0} s after an edit of the core, {then:.0} s at {}", items::BEFORE);
    Ok(Line::Measured(2.0 * now <= then, value, "at most half"))
}

/// Builds the tests of a checkout, touches the core, and times its `cargo xtask test`.
fn timed_test(checkout: &Path) -> Result<f64, String> {
    let libtorch = setup::setup()?;
    let target = sh::target()?.join("house/test").join(checkout.file_name().unwrap_or_default());
    let cargo = |arguments: &[&str]| {
        let mut cargo = sh::cargo();
        cargo.current_dir(checkout).env("CARGO_TARGET_DIR", &target).env("LIBTORCH", &libtorch).args(arguments);
        cargo.env_remove("AUTORESEARCH_ROOT");
        sh::output(&mut cargo)
    };
    cargo(&["test", "--locked", "--workspace", "--no-run"])?;
    cargo(&["xtask", "test", "--no-run"])?;
    let edited = checkout.join("autoresearch-core/src/lib.rs");
    let source = crates::read(&edited)?;
    fs::write(&edited, source).map_err(|e| format!("cannot touch {}: {e}", edited.display()))?;
    let began = Instant::now();
    cargo(&["xtask", "test"])?;
    Ok(began.elapsed().as_secs_f64())
}
