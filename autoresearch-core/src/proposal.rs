//! A proposal: a change, one line that describes it, the reason why it should help, and its cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::Patch;
use crate::text::{DESCRIPTION_LIMIT, PARAGRAPH_LIMIT, one_line, paragraph};

/// Description of a draft that the end of a run cut off.
pub const CANCELLED: &str = "cancelled";

/// True for a rejected proposal that only holds the cost of what the end of a run cut off.
pub(crate) fn was_cancelled(description: &str, change: &serde_json::Value) -> bool {
    description == CANCELLED && change.is_null()
}

/// Cost of making a proposal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens read and written by a model.
    pub tokens: u64,
    /// US dollars.
    pub dollars: f64,
    /// Calls of a model that led to a bill.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calls: u64,
}

/// Most searches make no calls, and their journals say nothing of them.
fn is_zero(calls: &u64) -> bool {
    *calls == 0
}

/// The greatest cost of one proposal that is believed: a server that reports more reports no cost. A million of them still fit
/// into the sums.
const GREATEST: Cost = Cost { tokens: 1 << 42, dollars: 1e9, calls: 1 << 42 };

impl std::ops::Add for Cost {
    type Output = Cost;

    /// Adds two costs. Sums that are too large for their type stay at its largest value.
    fn add(self, other: Cost) -> Cost {
        Cost {
            tokens: self.tokens.saturating_add(other.tokens),
            dollars: (self.dollars + other.dollars).clamp(-f64::MAX, f64::MAX),
            calls: self.calls.saturating_add(other.calls),
        }
    }
}

impl Cost {
    /// The same cost as one that can be added up with many others: 0 dollars in place of a number of dollars that is negative
    /// or not finite, and each number that no proposal can cost cut to a great one.
    pub(crate) fn valid(self) -> Cost {
        let is_valid = self.dollars.is_finite() && self.dollars >= 0.0;
        Cost {
            tokens: self.tokens.min(GREATEST.tokens),
            dollars: if is_valid { self.dollars.min(GREATEST.dollars) } else { 0.0 },
            calls: self.calls.min(GREATEST.calls),
        }
    }
}

/// A change, and its author's expectation of it.
///
/// ```
/// use autoresearch_core::{Patch, Proposal};
/// let patch = Patch::replace("train.py", "lr = 0.04", "lr = 0.02");
/// let proposal = Proposal::new(patch, "halve the learning rate").because("The loss is noisy at the end.");
/// assert_eq!(proposal.hypothesis, "The loss is noisy at the end.");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal<C = Patch> {
    /// The change to the context's files.
    pub change: C,
    /// One line, as it will stand in `results.tsv`.
    pub description: String,
    /// Why it should help.
    pub hypothesis: String,
    /// Cost of making it.
    #[serde(default)]
    pub cost: Cost,
    /// Name of the proposer that made it, where several take turns; empty where there is only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proposer: String,
    /// Its place in a designed wave, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<Box<Design>>,
}

/// A point of a design over named factors, such as a factorial grid: what all its points together show is in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Design {
    /// The design's name, the same for all its points.
    pub name: String,
    /// The level of each factor, as text. An unchanged factor has a level too.
    pub levels: BTreeMap<String, String>,
}

impl<C> Proposal<C> {
    /// A proposal without a cost and without a hypothesis.
    pub fn new(change: C, description: impl Into<String>) -> Proposal<C> {
        Proposal {
            change,
            description: description.into(),
            hypothesis: String::new(),
            cost: Cost::default(),
            proposer: String::new(),
            design: None,
        }
    }

    /// Adds a reason why it should help.
    pub fn because(mut self, hypothesis: impl Into<String>) -> Proposal<C> {
        self.hypothesis = hypothesis.into();
        self
    }

    /// Sets its cost.
    pub fn at_cost(mut self, cost: Cost) -> Proposal<C> {
        self.cost = cost;
        self
    }

    /// The proposal with texts that are safe to store, commit and print, and with a cost that can be added up.
    ///
    /// It is the gate of the lab: every text of a model passes it. Control characters become spaces; a description is cut
    /// after 500 characters, a hypothesis after 20,000.
    pub(crate) fn cleaned(mut self) -> Proposal<C> {
        self.description = one_line(&self.description, DESCRIPTION_LIMIT);
        if self.description.is_empty() {
            self.description = "(no description)".into();
        }
        self.hypothesis = paragraph(&self.hypothesis, PARAGRAPH_LIMIT);
        self.proposer = one_line(&self.proposer, DESCRIPTION_LIMIT);
        self.cost = self.cost.valid();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_without_calls_is_read_and_written_without_them() {
        let before = r#"{"tokens":3,"dollars":0.5}"#;
        let cost: Cost = serde_json::from_str(before).unwrap();
        assert_eq!((cost.calls, serde_json::to_string(&cost).unwrap().as_str()), (0, before));
        let two = cost + Cost { calls: 2, ..cost };
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"{"tokens":6,"dollars":1.0,"calls":2}"#);
    }

    #[test]
    fn sums_stay_finite_and_costs_that_are_no_numbers_count_as_nothing() {
        let huge = Cost { tokens: u64::MAX, dollars: f64::MAX, calls: 1 };
        let sum = huge + huge;
        assert_eq!((sum.tokens, sum.dollars, sum.calls), (u64::MAX, f64::MAX, 2));
        for dollars in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(Cost { dollars, ..Cost::default() }.valid().dollars, 0.0);
        }
    }

    #[test]
    fn the_greatest_costs_of_many_proposals_can_be_added_up() {
        let greatest = Cost { tokens: u64::MAX, dollars: f64::MAX, calls: u64::MAX }.valid();
        let sum = (0..1000).fold(Cost::default(), |sum, _| sum + greatest);
        assert_eq!((sum.tokens, sum.calls), (1000 * greatest.tokens, 1000 * greatest.calls));
        assert_eq!(sum.dollars, 1000.0 * greatest.dollars);
        let usual = Cost { tokens: 5_000_000, dollars: 12.5, calls: 40 };
        assert_eq!(usual.valid(), usual);
    }

    #[test]
    fn a_proposal_of_control_characters_becomes_harmless_text() {
        let proposal = Proposal::new((), "wider\0 \u{1b}[2J").because("since\0 it is\nwider");
        let cleaned = proposal.cleaned();
        assert_eq!((cleaned.description.as_str(), cleaned.hypothesis.as_str()), ("wider", "since  it is\nwider"));
        assert_eq!(Proposal::new((), "\0\n").cleaned().description, "(no description)");
    }
}
