//! The protections that hold on a machine.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hosts::Network;

/// One protection, and whether it holds on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Protection {
    /// Its purpose, as `files`.
    pub name: String,
    /// True if it holds.
    pub enforced: bool,
    /// The means if it holds, the reason if it does not.
    pub how: String,
}

/// The protections of an isolation on this machine: exactly what holds, and what does not.
///
/// ```
/// use autoresearch_core::internal::isolation::Isolation;
/// assert!(Isolation::default().enforcement().protections.is_empty());
/// let enforcement = Isolation::best_effort().enforcement();
/// assert_eq!(enforcement.is_full(), enforcement.missing().next().is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Enforcement {
    /// All protections that the isolation asks for; empty if it asks for none.
    pub protections: Vec<Protection>,
}

impl Enforcement {
    /// Returns whether all protections hold.
    pub fn is_full(&self) -> bool {
        self.protections.iter().all(|protection| protection.enforced)
    }

    /// The protections that do not hold.
    pub fn missing(&self) -> impl Iterator<Item = &Protection> {
        self.protections.iter().filter(|protection| !protection.enforced)
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protections.is_empty() {
            return f.write_str("commands may do what the user may do");
        }
        let shown = |enforced: bool| {
            let those = self.protections.iter().filter(move |protection| protection.enforced == enforced);
            those.map(|protection| format!("{} ({})", protection.name, protection.how)).collect::<Vec<_>>().join(", ")
        };
        let (held, missing) = (shown(true), shown(false));
        f.write_str(if held.is_empty() { "nothing is enforced" } else { &held })?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; not enforced: {missing}") }
    }
}

pub(super) fn protection(name: &str, result: Result<String, String>) -> Protection {
    let enforced = result.is_ok();
    Protection { name: name.to_owned(), enforced, how: result.unwrap_or_else(|why| why) }
}

/// The protection that is missing where commands cannot reach the hosts that they may reach.
pub(super) fn hosts(network: &Network, why: &str) -> Option<Protection> {
    let hosts = network.hosts()?;
    Some(protection("hosts", Err(format!("{hosts} cannot be reached, which needs a network namespace: {why}"))))
}
