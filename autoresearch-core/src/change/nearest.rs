//! The line of a text that is most like one that is searched for in vain.

/// The line that shares most words with the first line searched for, for an error that helps to mend the edit.
pub(super) fn nearest_line(text: &str, search: &str) -> (usize, String) {
    let first = search.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let wanted: Vec<&str> = words(first).collect();
    let shared = |line: &str| words(line).filter(|word| wanted.contains(word)).count();
    let best = text.lines().enumerate().max_by_key(|(at, line)| (shared(line), std::cmp::Reverse(*at)));
    best.map_or((1, String::new()), |(at, line)| (at + 1, line.trim().chars().take(200).collect()))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
