//! The numbers that a program prints, by their names, as far as they can be told without doubt.

use std::collections::BTreeMap;

mod choose;
mod entry;
mod json;
mod label;
mod lines;
mod number;
mod pairs;
mod table;
mod units;

pub(in crate::metric) use choose::read_each;
pub use choose::{Reading, Which, read};
pub use entry::Printed;
pub use label::folded as folded_name;
use lines::Line;
pub use number::parse as parse_number;
pub use units::{convert as convert_unit, is_known as is_unit};

/// Finds all numbers with a name in an output, in the order of the lines.
pub fn printed(output: &str) -> Vec<Printed> {
    of_lines(&lines::lines(output), |_| true)
}

/// Finds the numbers of the lines that `may_name` accepts.
fn of_lines(lines: &[Line], may_name: impl Fn(&str) -> bool) -> Vec<Printed> {
    let mut found = Vec::new();
    let mut headings = Headings::default();
    for line in lines {
        let parents = headings.above(line);
        if !may_name(&line.text) {
            continue;
        }
        if let Some(object) = json::object(&line.text) {
            let prefix = words(&line.text, object.from, line.text.len());
            let shape = format!("{} {prefix} {}", parents.join(" "), object.texts);
            let numbers = object.numbers.into_iter();
            found.extend(numbers.map(|(names, number)| Printed::new(line, names, number, shape.clone())));
            continue;
        }
        for pair in pairs::pairs(&line.text) {
            let shape = format!("{} {}", parents.join(" "), words(&line.text, pair.label_to, pair.to));
            let mut names = pair.names;
            if let Some(inner) = parents.last().filter(|_| line.indent > 0)
                && let Some(name) = names.first()
            {
                names.push(format!("{inner}.{name}"));
            }
            found.push(Printed::new(line, names, pair.number, shape));
        }
    }
    if lines.iter().any(|line| may_name(&line.text)) {
        found.extend(table::printed(lines));
        found.sort_by_key(|printed| printed.place);
    }
    found
}

/// Words behind a number that say whose it is.
const PARTS: [&str; 15] = [
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
    "student",
    "teacher",
    "baseline",
];
/// Words before a number whose digits tell two numbers apart.
const PLACES: [&str; 9] = ["rank", "gpu", "worker", "node", "process", "fold", "seed", "dataloader", "run"];

/// The words of a line that tell its number from that of another line: those before the label, without what counts, and those
/// behind the number that name a part of the data.
fn words(line: &str, from: usize, to: usize) -> String {
    let mut kept: BTreeMap<usize, String> = BTreeMap::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, word) in line.split(|c| !is_word(c)).map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word)) {
        let lower = word.to_lowercase();
        let letters = lower.trim_end_matches(|c: char| c.is_ascii_digit());
        let has_digits = letters.len() < lower.len();
        let is_place = PLACES.contains(&letters.trim_end_matches('_'));
        if at < from && !lower.is_empty() {
            let digits_of_place = kept.values().next_back().is_some_and(|last| PLACES.contains(&last.as_str()));
            let is_plain = !lower.contains(|c: char| c.is_ascii_digit());
            if is_plain || is_place || (digits_of_place && letters.is_empty()) {
                kept.insert(at, lower);
            }
        } else if at >= to && (PARTS.contains(&lower.as_str()) || (is_place && has_digits)) {
            kept.insert(at, lower);
        }
    }
    let months = |word: &String| !label::is_calendar(word);
    kept.into_values().filter(months).collect::<Vec<_>>().join(" ")
}

/// The headings above a line: `[section]`, `Validation:`, and the keys that a line is indented below.
#[derive(Default)]
struct Headings {
    open: Vec<(usize, String)>,
}

impl Headings {
    /// Returns the headings of a line, and remembers it if it is one.
    fn above(&mut self, line: &Line) -> Vec<String> {
        let heading = heading(&line.text);
        let is_closed = |indent: usize| match heading {
            Some(_) => indent >= line.indent,
            // A heading that is not indented holds for what follows it, indented or not.
            None => indent >= line.indent && indent > 0,
        };
        while self.open.last().is_some_and(|(indent, _)| is_closed(*indent)) {
            self.open.pop();
        }
        let names = self.open.iter().map(|(_, name)| name.clone()).collect();
        if let Some(name) = heading {
            self.open.push((line.indent, name));
        }
        names
    }
}

/// The name in a line that is a heading, without its numbers.
fn heading(line: &str) -> Option<String> {
    let section = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let key = line
        .strip_suffix(':')
        .or_else(|| line.strip_suffix('{').map(|rest| rest.trim_end().trim_end_matches([':', '='])));
    let framed = line.starts_with(['#', '=']).then(|| line.trim_matches(|c: char| "#=- ".contains(c)));
    let name = section.or(key).or(framed)?.trim().trim_matches(['"', '\'', '*']);
    let is_name = name.contains(char::is_alphabetic) && name.chars().count() <= 60 && !name.contains(['=', '{']);
    let plain: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    is_name.then(|| plain.trim().trim_end_matches(['/', ' ', '-']).to_lowercase())
}

#[cfg(test)]
mod tests;
