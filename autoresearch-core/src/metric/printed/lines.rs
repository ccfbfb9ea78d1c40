//! The lines of an output as a terminal shows them: without colours, and with what a progress bar overwrites told apart.

use crate::text::clean;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number in the output, from 1.
    pub number: usize,
    /// Its place among all lines, also those that a terminal overwrites.
    pub place: usize,
    /// Its text, cleaned.
    pub text: String,
    /// True if the next output overwrote it, as that of a progress bar.
    pub overwritten: bool,
    /// Column of its first character.
    pub indent: usize,
}

/// Splits an output into its lines. Empty ones are left out.
pub(super) fn lines(output: &str) -> Vec<Line> {
    let mut found = Vec::new();
    for (at, raw) in output.split('\n').enumerate() {
        // A run of backspaces returns to the beginning, too.
        let parts: Vec<&str> = raw.split(['\r', '\u{8}']).filter(|part| !part.trim().is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            let text = clean(part);
            let trimmed = text.trim_start();
            let indent = text.chars().count() - trimmed.chars().count();
            let text = trimmed.trim_end().to_owned();
            if !text.is_empty() {
                found.push(Line {
                    number: at + 1,
                    place: found.len(),
                    text,
                    overwritten: index + 1 < parts.len(),
                    indent,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_bar_is_overwritten_and_colours_are_gone() {
        let found = lines("\x1b[1mone\x1b[0m\r\n\r 10%|# |\r100%|##|\n  two\n");
        let told: Vec<_> = found.iter().map(|line| (line.number, line.text.as_str(), line.overwritten)).collect();
        assert_eq!(told, [(1, "one", false), (2, "10%|# |", true), (2, "100%|##|", false), (3, "two", false)]);
        assert_eq!(found[3].indent, 2);
    }
}
