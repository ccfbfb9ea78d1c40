//! Limits on spending.

use std::fmt;

use autoresearch_core::Cost;
use serde::Deserialize;

/// US dollars that all proposals of a run may cost together where no limit in dollars is set.
pub const DEFAULT_RUN_DOLLARS: f64 = 20.0;

/// Calls that all proposals of a run may make together where the price of a model is not known and no limit in calls is set: a
/// limit in dollars counts nothing there.
pub const DEFAULT_RUN_CALLS: u64 = 1000;

/// Limits on spending. A missing one does not limit.
///
/// ```
/// use autoresearch_agents::model::Caps;
/// let caps = Caps { calls: Some(100), ..Caps::default() };
/// assert_eq!(caps.to_string(), "100 calls");
/// assert_eq!(caps.or_default_dollars().to_string(), "$20, 100 calls");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// US dollars. `inf` lifts the default limit of a run.
    pub dollars: Option<f64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Billed calls of a model.
    pub calls: Option<u64>,
}

impl Caps {
    /// Sets the limit in dollars to [`DEFAULT_RUN_DOLLARS`] unless there is one.
    pub fn or_default_dollars(self) -> Caps {
        Caps { dollars: self.dollars.or(Some(DEFAULT_RUN_DOLLARS)), ..self }
    }

    /// Returns the limits of `count` proposals together.
    pub(super) fn times(self, count: u64) -> Caps {
        Caps {
            dollars: self.dollars.map(|dollars| dollars * count as f64),
            tokens: self.tokens.map(|tokens| tokens.saturating_mul(count)),
            calls: self.calls.map(|calls| calls.saturating_mul(count)),
        }
    }

    /// Names the limit that `spent` and one more call of at most `worst` would pass, if there is one.
    pub(super) fn exceeded_by(&self, spent: Cost, worst: Cost) -> Option<String> {
        let next = spent + worst;
        let (left, call) = if let Some(cap) = self.dollars.filter(|cap| next.dollars > *cap) {
            (format!("${:.4} of ${cap} are spent", spent.dollars), format!("${:.4}", worst.dollars))
        } else if let Some(cap) = self.tokens.filter(|cap| next.tokens > *cap) {
            (format!("{} of {cap} tokens are spent", spent.tokens), format!("{} tokens", worst.tokens))
        } else if let Some(cap) = self.calls.filter(|cap| next.calls > *cap) {
            (format!("{} of {cap} calls are made", spent.calls), "one".into())
        } else {
            return None;
        };
        Some(format!("{left}, and the next call may take {call}"))
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.dollars.filter(|dollars| dollars.is_finite()).map(|dollars| format!("${dollars}")),
            self.tokens.map(|tokens| format!("{tokens} tokens")),
            self.calls.map(|calls| format!("{calls} calls")),
        ];
        match parts.into_iter().flatten().collect::<Vec<_>>() {
            none if none.is_empty() => f.write_str("no limit"),
            parts => f.write_str(&parts.join(", ")),
        }
    }
}
