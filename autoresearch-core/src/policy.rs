//! The fingerprint of the settings that decide the number, compared key by key when a run is resumed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The settings that decide the number, by their own literal names.
///
/// A run is never continued under another policy, as its measurements would not compare. The names and values are those
/// that the owner of the settings writes, never those of Rust items, so that a renamed field changes nothing.
///
/// ```
/// use autoresearch_core::internal::Policy;
/// let then = Policy::new().with("run.command", ["python", "train.py"]).with("run.seconds", 300);
/// let now = Policy::new().with("run.command", ["python", "train.py"]).with("run.seconds", 600);
/// let [difference] = &then.differences(&now)[..] else { panic!() };
/// assert_eq!(difference.to_string(), "run.seconds: 300 then, 600 now");
/// assert_eq!(serde_json::to_string(&then).unwrap(), r#"{"v":1,"run.command":["python","train.py"],"run.seconds":300}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Version of the meaning of the entries.
    v: u32,
    #[serde(flatten)]
    entries: BTreeMap<String, Value>,
}

/// Version of new policies.
const VERSION: u32 = 1;

impl Default for Policy {
    fn default() -> Policy {
        Policy::new()
    }
}

impl Policy {
    /// A policy without any entry, for searches that are described by their metric, rule and budget alone.
    pub fn new() -> Policy {
        Policy { v: VERSION, entries: BTreeMap::new() }
    }

    /// Adds an entry. A value that cannot be written as JSON counts as null.
    pub fn with(mut self, name: impl Into<String>, value: impl Serialize) -> Policy {
        self.entries.insert(name.into(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// A policy of one entry: a hash of all settings together. A difference then cannot be told key by key.
    pub fn of_hash(hash: impl Into<String>) -> Policy {
        Policy::new().with("settings", hash.into())
    }

    /// The value of an entry.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(name)
    }

    /// Lists the entries that differ between this policy, of the journal, and the present one, in the order of their names.
    pub fn differences(&self, now: &Policy) -> Vec<Difference> {
        let mut differences = Vec::new();
        if self.v != now.v {
            differences.push(Difference::new("policy version", self.v, now.v));
        }
        let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let names = self.entries.keys().chain(now.entries.keys().filter(|name| !self.entries.contains_key(*name)));
        let mut names: Vec<&String> = names.collect();
        names.sort();
        let values = names.into_iter().map(|name| (name, self.get(name), now.get(name)));
        let changed = values.filter(|(_, then, now)| then != now);
        differences.extend(changed.map(|(name, then, now)| Difference::new(name, shown(then), shown(now))));
        differences
    }
}

/// A setting with another value than when the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Name of the setting.
    pub name: String,
    /// Its value in the journal.
    pub then: String,
    /// Its present value.
    pub now: String,
}

impl Difference {
    /// Makes the difference of a setting between the journal and the present.
    pub fn new(name: impl Into<String>, then: impl fmt::Display, now: impl fmt::Display) -> Difference {
        Difference { name: name.into(), then: then.to_string(), now: now.to_string() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} then, {} now", self.name, self.then, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_key_by_key() {
        let then = Policy::new().with("a", 1).with("b", "x").with("c", true);
        let now = Policy::new().with("a", 1).with("b", "y").with("d", 2.5);
        let told: Vec<String> = then.differences(&now).iter().map(Difference::to_string).collect();
        assert_eq!(told, ["b: \"x\" then, \"y\" now", "c: true then, nothing now", "d: nothing then, 2.5 now"]);
        assert_eq!(then.differences(&then), []);
    }

    #[test]
    fn a_policy_is_read_back_as_it_was_written() {
        let policy = Policy::new().with("limits", [("memory", 2)]).with("seconds", 0.1).with("none", f64::NAN);
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(text, r#"{"v":1,"limits":[["memory",2]],"none":null,"seconds":0.1}"#);
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }

    #[test]
    fn another_version_of_the_meaning_is_a_difference() {
        let newer: Policy = serde_json::from_str(r#"{"v":2,"a":1}"#).unwrap();
        let told = Policy::new().with("a", 1).differences(&newer);
        assert_eq!(told[0].to_string(), "policy version: 1 then, 2 now");
    }
}
