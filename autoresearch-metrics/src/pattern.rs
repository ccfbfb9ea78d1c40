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
        for captures in self.regex.captures_iter(&text) {
            let Some(value) = captures.name(GROUP).or_else(|| captures.get(1)) else { continue };
            let line = text[..value.start()].matches('\n').count();
            let shown = one_line(text.lines().nth(line).unwrap_or_default(), 120);
            let source = format!("line {}: `{shown}`", line + 1);
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
    fn a_pattern_without_its_group_is_an_error() {
        assert!(Pattern::new("loss: .*").unwrap_err().contains("(?<value>"));
        assert!(Pattern::new("(a) (b)").is_err());
        assert!(Pattern::new("(").unwrap_err().contains("no regular expression"));
        assert!(Pattern::new("loss: (.*)").is_ok());
    }
}
