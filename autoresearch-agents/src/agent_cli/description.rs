//! The choice of a description out of an agent's output.

use std::str::FromStr;

use regex::Regex;
use serde::Deserialize;

/// A regular expression that chooses a description out of an agent's output: the first group of the last match, or the whole
/// match where the pattern has no group.
///
/// ```
/// use autoresearch_agents::agent_cli::DescriptionPattern;
/// let pattern: DescriptionPattern = "(?m)^Commit: (.*)$".parse()?;
/// assert_eq!(pattern.choose("v1\nCommit: lower it\n"), Some("lower it"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct DescriptionPattern(Regex);

impl DescriptionPattern {
    /// Returns the chosen part of an output, if the pattern matches.
    pub fn choose<'a>(&self, output: &'a str) -> Option<&'a str> {
        let groups = self.0.captures_iter(output).last()?;
        groups.get(1).or(groups.get(0)).map(|group| group.as_str())
    }
}

impl FromStr for DescriptionPattern {
    type Err = String;

    fn from_str(pattern: &str) -> Result<DescriptionPattern, String> {
        let regex = Regex::new(pattern);
        regex.map(DescriptionPattern).map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
    }
}

impl TryFrom<String> for DescriptionPattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<DescriptionPattern, String> {
        pattern.parse()
    }
}
