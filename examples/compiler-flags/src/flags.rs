//! The changes: compiler flags, and the command line that they add up to.

use std::collections::BTreeMap;
use std::fmt;

use autoresearch_core::Revision;
use serde::{Deserialize, Serialize};

/// One flag of the compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is switched on, in place of what it excludes: `-O3` replaces `-O1`.
    On(String),
    /// It is taken away.
    Off(String),
}

/// A change: one flag, or several at once where one alone does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flags(pub Vec<Switch>);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, switch) in self.0.iter().enumerate() {
            let joint = if index > 0 { ", " } else { "" };
            match switch {
                Switch::On(flag) => write!(f, "{joint}{flag}")?,
                Switch::Off(flag) => write!(f, "{joint}no {flag}")?,
            }
        }
        Ok(())
    }
}

/// A state: the flags in force, at most one of each kind. Its name is its command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine(BTreeMap<String, String>);

impl CommandLine {
    /// The state of that name.
    pub fn named(revision: &Revision) -> CommandLine {
        CommandLine(revision.0.split_whitespace().map(|flag| (kind(flag).to_owned(), flag.to_owned())).collect())
    }

    /// Its name. Flags stand in the order of their kinds, so that one set of flags has one name.
    pub fn name(&self) -> Revision {
        Revision(self.flags().collect::<Vec<_>>().join(" "))
    }

    /// The flags in force.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// The state that a change leads to.
    pub fn with(&self, change: &Flags) -> CommandLine {
        let mut flags = self.0.clone();
        for switch in &change.0 {
            match switch {
                Switch::On(flag) => flags.insert(kind(flag).to_owned(), flag.clone()),
                Switch::Off(flag) => flags.remove(kind(flag)),
            };
        }
        CommandLine(flags)
    }
}

/// Flags of the same kind exclude each other: the values of one option, and the optimisation levels.
pub fn kind(flag: &str) -> &str {
    match flag.rsplit_once('=') {
        Some((kind, _)) => kind,
        None if flag.starts_with("-O") => "-O",
        None => flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(flag: &str) -> Switch {
        Switch::On(flag.into())
    }

    #[test]
    fn a_flag_replaces_its_own_kind_only() {
        let start = CommandLine::named(&Revision("-O0 -march=native --param=max-unroll-times=4".into()));
        let changed = start.with(&Flags(vec![on("-O3"), on("-march=x86-64"), Switch::Off("-flto".into())]));
        assert_eq!(changed.name().0, "--param=max-unroll-times=4 -O3 -march=x86-64");
        assert_eq!(changed.with(&Flags(vec![Switch::Off("-march=native".into())])).flags().count(), 2);
    }

    #[test]
    fn one_set_of_flags_has_one_name() {
        let one = CommandLine::default().with(&Flags(vec![on("-O2"), on("-flto")]));
        let other = CommandLine::default().with(&Flags(vec![on("-flto"), on("-O2")]));
        assert_eq!(one.name(), other.name());
        assert_eq!(CommandLine::named(&one.name()), one);
    }
}
