//! A number behind a pattern of one's own.

use autoresearch_core::MetricError;
use autoresearch_core::internal::metric::parse_number;
use autoresearch_core::internal::text::{clean, one_line};
use regex::{Regex, RegexBuilder};

use crate::reading::Reading;

/// A regular expression over the output, with the group `value` around the number: `^best: (?<value>\S+)`.
///
/// `^` and `$` are the beginning and the end of a line. Colours are removed before, and what a progress bar overwrites has lines of
/// its own.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
}

/// The group around the number.
const GROUP: &str = "value";

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If it is no regular expression, or has neither a group `value` nor exactly one group. The error continues the key's name.
    pub fn new(pattern: &str) -> Result<Pattern, String> {
        let regex = RegexBuilder::new(pattern).multi_line(true).build();
        let regex =
            regex.map_err(|error| format!("is no regular expression: {}", one_line(&error.to_string(), 300)))?;
        let is_named = regex.capture_names().flatten().any(|name| name == GROUP);
        match is_named || regex.captures_len() == 2 {
            true => Ok(Pattern { regex }),
            false => Err(r"has no group around the number; write (?<value>…), as in '^loss: (?<value>\S+)'".into()),
        }
    }

    /// Finds all numbers that the pattern matches.
    pub(crate) fn readings(&self, output: &str, name: &str) -> Result<Vec<Reading>, MetricError> {
        let text = clean(&output.replace('\r', "\n")).into_owned();
        let mut found = Vec::new();
        let mut line = Line::default();
        for captures in self.regex.captures_iter(&text) {
            let Some(value) = captures.name(GROUP).or_else(|| captures.get(1)) else { continue };
            line.move_to(&text, value.start());
            let source = format!("line {}: `{}`", line.before + 1, line.shown);
            match parse_number(value.as_str()) {
                Ok((number, unit)) => found.push(Reading::new(number, unit, source)),
                Err(why) => {
                    let value = one_line(value.as_str(), 60);
                    return Err(match why.contains("finite") {
                        true => MetricError::NotFinite { name: name.to_owned(), value },
                        false => MetricError::Refused(format!(
                            "the pattern of {name} matches `{value}`, which {why} ({source})"
                        )),
                    });
                }
            }
        }
        match found.is_empty() {
            true => Err(MetricError::Refused(format!(
                "the output has nothing that matches the pattern of {name}: {}",
                self.regex
            ))),
            false => Ok(found),
        }
    }
}

/// The line of a match. It goes on from match to match: a log of a million numbers is passed once.
#[derive(Default)]
struct Line {
    /// Lines before it.
    before: usize,
    /// Byte up to which lines are counted.
    counted: usize,
    shown: String,
}

impl Line {
    /// Goes on to the line of the byte `at`, which no match has passed yet.
    fn move_to(&mut self, text: &str, at: usize) {
        let passed = text.get(self.counted..at).unwrap_or_default();
        if self.counted == 0 || passed.contains('\n') {
            self.before += passed.matches('\n').count();
            let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
            self.shown = one_line(text[start..].lines().next().unwrap_or_default(), 120);
        }
        self.counted = at;
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_the_number() {
        let pattern = Pattern::new(r"^best of (\d+): (?<value>\S+)").unwrap();
        let found = pattern.readings("loss: 3\n\x1b[1mbest of 10: 1,234.5\x1b[0m\n", "loss").unwrap();
        assert_eq!(
            (found.len(), found[0].value, found[0].source.as_str()),
            (1, 1234.5, "line 2: `best of 10: 1,234.5`")
        );
        assert!(pattern.readings("best of 10: nan", "loss").unwrap_err().to_string().contains("nan"));
        assert!(pattern.readings("nothing", "loss").unwrap_err().to_string().contains("matches the pattern"));
    }

    #[test]
    fn each_number_has_its_own_line() {
        let pattern = Pattern::new("[a-z]=(.)").unwrap();
        let found = pattern.readings("a=1 b=2\n\nc=3\nd=4 e=5", "loss").unwrap();
        let sources: Vec<&str> = found.iter().map(|reading| reading.source.as_str()).collect();
        let [first, second] = ["line 1: `a=1 b=2`", "line 4: `d=4 e=5`"];
        assert_eq!(sources, [first, first, "line 3: `c=3`", second, second]);
    }

    #[test]
    fn a_pattern_without_its_group_is_an_error() {
        assert!(Pattern::new("loss: .*").unwrap_err().contains("(?<value>"));
        assert!(Pattern::new("(a) (b)").is_err());
        assert!(Pattern::new("(").unwrap_err().contains("no regular expression"));
        assert!(Pattern::new("loss: (.*)").is_ok());
    }
}
