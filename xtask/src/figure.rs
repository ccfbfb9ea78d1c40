//! A figure of the evidence, and the words that tests print for it.

use crate::sh;

/// The result of measuring a figure.
pub enum Line {
    /// True if it reaches its bar; the value; the bar.
    Measured(bool, String, &'static str),
    /// It cannot be measured here.
    Skip(String),
}

/// A function that measures a figure. An error counts as short.
pub type Measure = fn() -> Result<Line, String>;

/// The words after `evidence NAME` in what one test prints, in its long form.
pub fn printed(test: &str, only: &str, name: &str) -> Result<Vec<String>, String> {
    words_after(&sh::output(&mut crate::test::of(&["--test", test], &["--nocapture", only])?)?, name)
}

/// The number of tests that passed, by libtest's own words.
pub fn passed(output: &str) -> usize {
    let counts = output.lines().filter_map(|line| line.split_once("test result: ok. ")?.1.split(' ').next());
    counts.filter_map(|count| count.parse::<usize>().ok()).sum()
}

/// The words after `evidence NAME` in what a test prints.
pub fn words_after(output: &str, name: &str) -> Result<Vec<String>, String> {
    let marker = format!("evidence {name} ");
    let line = output.lines().find_map(|line| line.split_once(&marker));
    let (_, words) = line.ok_or_else(|| format!("the test printed no `{marker}`"))?;
    Ok(words.split_whitespace().map(str::to_owned).collect())
}

/// The words of every line that begins with `marker`, what follows it there included.
pub fn all_words_after(output: &str, marker: &str) -> Vec<Vec<String>> {
    let lines = output.lines().filter_map(|line| line.split_once(marker));
    lines.map(|(_, words)| words.split_whitespace().map(str::to_owned).collect()).collect()
}

/// The number that follows `key`.
pub fn number(words: &[String], key: &str) -> Result<f64, String> {
    let at = words.iter().position(|word| word == key);
    let value = at.and_then(|at| words.get(at + 1)).and_then(|word| word.parse().ok());
    value.ok_or_else(|| format!("no number after {key} in {words:?}"))
}
